//! Connections over a simulated network, in virtual time: durations are exact to a tick of the driver.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::support::*;
use crate::rtc::engine::{
    Channel, ChannelMessage, ConnectionConfig, ConnectionEvent, Engine, IceState,
};
use crate::rtc::runtime::simulated::{Path, SimulatedNetwork};
use crate::rtc::runtime::{AddressSource, NetworkContext};

type Address = Arc<Mutex<IpAddr>>;

fn address(last: u8) -> Address {
    Arc::new(Mutex::new([127, 0, 0, last].into()))
}

async fn side(network: &Arc<SimulatedNetwork>, address: &Address, answers: bool) -> Side {
    let at = Arc::clone(address);
    let context = NetworkContext {
        addresses: AddressSource::Given(Arc::new(move || vec![*at.lock().unwrap()])),
        simulation: Some(Arc::clone(network)),
        ..NetworkContext::default()
    };
    let config = ConnectionConfig { answers_actively: answers, ..ConnectionConfig::default() };
    Side::with(context, config).await
}

/// Two sides at .1 and .2 with an open channel.
struct Talk {
    one: Side,
    two: Side,
    channel: Arc<dyn Channel>,
    other: Arc<dyn Channel>,
    took: Duration,
}

impl Talk {
    async fn over(network: &Arc<SimulatedNetwork>) -> Self {
        let (one, two) = (address(1), address(2));
        Self::between(network, &one, &two).await
    }

    async fn between(network: &Arc<SimulatedNetwork>, one: &Address, two: &Address) -> Self {
        let (mut one, mut two) = (side(network, one, false).await, side(network, two, true).await);
        let channel = one.connection.open_channel(&reliable("chat")).await.unwrap();
        let began = Instant::now();
        negotiate(&mut one, &mut two, false).await;
        opened(&*channel).await;
        let took = began.elapsed();
        let other = two.channel().await;
        Self { one, two, channel, other, took }
    }

    async fn say(&self, n: u32) {
        self.channel.send(&ChannelMessage::Text(n.to_string())).await.unwrap();
    }

    async fn hear(&self, n: u32) {
        assert_eq!(message(&*self.other).await, ChannelMessage::Text(n.to_string()));
    }

    async fn end(self) {
        self.one.connection.close(true).await;
        self.two.connection.close(true).await;
    }
}

fn is(state: IceState) -> impl Fn(&ConnectionEvent) -> bool {
    move |event| matches!(event, ConnectionEvent::Ice(found) if *found == state)
}

#[tokio::test(start_paused = true)]
async fn set_up_takes_a_few_round_trips_and_no_tick() {
    for delay in [1, 25, 100, 300] {
        let delay = Duration::from_millis(delay);
        let network = SimulatedNetwork::new(Path { delay, ..Path::default() }, 1);
        let talk = Talk::over(&network).await;
        // Seven round trips: one of ICE, three of DTLS (the crate asks for a cookie), two of SCTP, and the
        // channel's own. What is on top is the driver's.
        let most = delay * 2 * 7 + Duration::from_millis(50);
        assert!(talk.took <= most, "{:?} at {delay:?} each way", talk.took);
        talk.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_lost_delayed_or_reordered_arrives_in_order() {
    let losses = [0.0].into_iter().chain([0.05; 12]).chain([0.2; 6]);
    for (seed, loss) in (1..).zip(losses) {
        let path = Path {
            delay: Duration::from_millis(50),
            jitter: Duration::from_millis(40),
            loss,
            ..Path::default()
        };
        let network = SimulatedNetwork::new(path, seed);
        let talk = Talk::over(&network).await;
        for n in 0..100 {
            talk.say(n).await;
        }
        for n in 0..100 {
            talk.hear(n).await;
        }
        talk.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_fails_is_told() {
    let network = SimulatedNetwork::new(Path::default(), 1);
    let (mut one, mut two) =
        (side(&network, &address(1), false).await, side(&network, &address(2), true).await);
    one.connection.open_channel(&reliable("chat")).await.unwrap();
    negotiate(&mut one, &mut two, false).await;
    // Checks of the path pass, the handshake does not. Who answers begins it, and gives up.
    network.set_all(Path { most_bytes: Some(120), ..Path::default() });
    two.until(|event| matches!(event, ConnectionEvent::TransportClosed)).await;
    one.connection.close(true).await;
    two.connection.close(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_narrow_path_is_filled_and_not_flooded() {
    let path = Path { rate: Some(100_000), ..Path::default() };
    let network = SimulatedNetwork::new(path, 1);
    let talk = Talk::over(&network).await;
    let began = Instant::now();
    let chunk = ChannelMessage::Binary(vec![7; 16_384].into());
    for _ in 0..32 {
        talk.channel.send(&chunk).await.unwrap();
    }
    for _ in 0..32 {
        assert_eq!(message(&*talk.other).await, chunk);
    }
    // 512 KiB over 100 kB/s need 5.2 s; congestion control may cost as much again, not more.
    let took = began.elapsed();
    assert!(took > Duration::from_secs(5) && took < Duration::from_secs(12), "{took:?}");
    talk.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_path_is_noticed_after_three_seconds_and_given_up_after_six() {
    let network = SimulatedNetwork::new(Path::default(), 1);
    let mut talk = Talk::over(&network).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    network.set_all(Path { up: false, ..Path::default() });
    let began = Instant::now();
    let watched = |side: &'static str, mut of: Side| async move {
        of.until(is(IceState::Disconnected)).await;
        let noticed = began.elapsed();
        of.until(is(IceState::Failed)).await;
        let failed = began.elapsed();
        let within = |took: Duration, wanted: u64| {
            let wanted = Duration::from_secs(wanted);
            took + Duration::from_secs(1) >= wanted && took <= wanted + Duration::from_secs(1)
        };
        assert!(within(noticed, 3) && within(failed, 6), "{side}: {noticed:?} {failed:?}");
        of
    };
    (talk.one, talk.two) = tokio::join!(watched("one", talk.one), watched("two", talk.two));
    talk.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_says_little_and_carries_at_once() {
    let network = SimulatedNetwork::new(Path::default(), 1);
    let talk = Talk::over(&network).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let heard = || talk.one.connection.received() + talk.two.connection.received();
    let before = heard();
    tokio::time::sleep(Duration::from_secs(60)).await;
    // A check and its answer each second, and the same the other way each four.
    let said = heard() - before;
    assert!((100..=160).contains(&said), "{said}");
    let began = Instant::now();
    talk.say(1).await;
    talk.hear(1).await;
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    talk.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_short_silence_heals_by_itself_and_loses_nothing() {
    let network = SimulatedNetwork::new(Path::default(), 1);
    let mut talk = Talk::over(&network).await;
    network.set_all(Path { up: false, ..Path::default() });
    for n in 0..20 {
        talk.say(n).await;
    }
    talk.one.until(is(IceState::Disconnected)).await;
    network.set_all(Path::default());
    talk.one.until(is(IceState::Connected)).await;
    for n in 0..20 {
        talk.hear(n).await;
    }
    talk.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_finds_no_path_fails_after_six_seconds() {
    let network = SimulatedNetwork::new(Path::default(), 1);
    let mut talk = Talk::over(&network).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    network.set_all(Path { up: false, ..Path::default() });
    let began = Instant::now();
    negotiate(&mut talk.one, &mut talk.two, true).await;
    talk.one.until(is(IceState::Failed)).await;
    let failed = began.elapsed();
    assert!(failed < Duration::from_secs(8), "{failed:?}");
    talk.end().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_blackout_what_was_said_arrives_with_the_path() {
    let network = SimulatedNetwork::new(Path::default(), 1);
    let mut talk = Talk::over(&network).await;
    network.set_all(Path { up: false, ..Path::default() });
    for n in 0..20 {
        talk.say(n).await;
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    network.set_all(Path::default());
    negotiate(&mut talk.one, &mut talk.two, true).await;
    talk.one.until(is(IceState::Connected)).await;
    let began = Instant::now();
    talk.one.connection.path_found().await;
    for n in 0..20 {
        talk.hear(n).await;
    }
    // The timer of SCTP stands at half a minute by then.
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    talk.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_finds_the_way_from_a_new_address() {
    let network = SimulatedNetwork::new(Path::default(), 1);
    let (one, two) = (address(1), address(2));
    let mut talk = Talk::between(&network, &one, &two).await;
    network.part([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
    *one.lock().unwrap() = [127, 0, 0, 3].into();
    // What is under way is lost with the path.
    talk.say(1).await;
    talk.say(2).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let began = Instant::now();
    negotiate(&mut talk.one, &mut talk.two, true).await;
    // Both ends learn that there is a path again.
    talk.one.until(is(IceState::Connected)).await;
    talk.two.until(is(IceState::Connected)).await;
    talk.one.connection.path_found().await;
    talk.hear(1).await;
    talk.hear(2).await;
    let took = began.elapsed();
    // SCTP by itself would wait for a second.
    assert!(took < Duration::from_millis(300), "{took:?}");
    talk.end().await;
}

impl Talk {
    /// As the channels of a peer send: when there is a path.
    async fn say_when_there_is_a_path(&self, numbers: std::ops::Range<u32>) {
        for n in numbers {
            self.channel.path(1_000).await;
            let text = format!("{n} {}", "x".repeat(1_000));
            self.channel.send(&ChannelMessage::Text(text)).await.unwrap();
        }
    }

    async fn hear_all(&self, numbers: std::ops::Range<u32>) {
        for n in numbers {
            let ChannelMessage::Text(text) = message(&*self.other).await else { panic!("bytes") };
            assert_eq!(text.split_once(' ').unwrap().0, n.to_string());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_that_outlives_a_change_of_the_network_carries_at_once() {
    let delay = Duration::from_millis(25);
    let network = SimulatedNetwork::new(Path { delay, ..Path::default() }, 1);
    let talk = Talk::over(&network).await;
    talk.one.connection.path_found().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    for n in 0..3 {
        talk.one.engine.network_changed();
        let began = Instant::now();
        talk.say_when_there_is_a_path(n..n + 1).await;
        talk.hear_all(n..n + 1).await;
        let took = began.elapsed();
        assert!(took < delay + Duration::from_millis(15), "{took:?}");
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    // More than may be lost goes on with the first acknowledgement: nobody looks for another path here.
    talk.one.engine.network_changed();
    let began = Instant::now();
    tokio::join!(talk.say_when_there_is_a_path(3..203), talk.hear_all(3..203));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    talk.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_path_that_goes_with_the_network_loses_nothing() {
    for messages in [1, 20, 200] {
        let network = SimulatedNetwork::new(Path::default(), 1);
        let (one, two) = (address(1), address(2));
        let mut talk = Talk::between(&network, &one, &two).await;
        talk.one.connection.path_found().await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        network.part([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        *one.lock().unwrap() = [127, 0, 0, 3].into();
        talk.one.engine.network_changed();
        let began = Instant::now();
        let said = tokio::time::timeout(
            Duration::from_millis(10),
            talk.say_when_there_is_a_path(0..messages),
        )
        .await;
        assert_eq!(said.is_ok(), messages <= 16, "few are risked");
        // The service is asked first whether an offer can leave.
        tokio::time::sleep(Duration::from_millis(10)).await;
        negotiate(&mut talk.one, &mut talk.two, true).await;
        talk.one.until(is(IceState::Connected)).await;
        talk.two.until(is(IceState::Connected)).await;
        talk.one.connection.path_found().await;
        let risked = messages.min(16);
        talk.hear_all(0..risked).await;
        // SCTP by itself would wait for a second.
        let took = began.elapsed();
        assert!(took < Duration::from_millis(300), "{messages}: {took:?}");
        tokio::join!(
            talk.say_when_there_is_a_path(risked..messages),
            talk.hear_all(risked..messages)
        );
        talk.end().await;
    }
}
