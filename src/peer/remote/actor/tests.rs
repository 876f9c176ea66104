//! The actor over an engine that is played, in virtual time.

mod played;

use std::sync::{Mutex, MutexGuard};

use tokio::runtime::Handle;
use tokio::time::timeout;

use self::played::{Played, Script};
use super::*;
use crate::media::LocalAudioTrack;
use crate::peer::data_channel::DataChannelOptions;
use crate::peer::ice_restart::{ATTEMPT_WAIT, LADDER, POLITE_DELAY};
use crate::peer::negotiation::{Signal, model};
use crate::peer::remote::RemotePeer;
use crate::peer::remote::event::RemoteEvents;
use crate::signalling::SignallingOptions;
use crate::wire::IceUrls;

/// Longer than anything is waited for.
const DAY: Duration = Duration::from_secs(86_400);

const NO_RELAY: &str = "NoTurnServer";

/// What the app was told, and when.
type Told = Vec<(Duration, Arc<NegotiationError>)>;

struct Stage {
    actor: RemoteActor,
    remote: RemotePeer,
    events: RemoteEvents,
    script: Arc<Mutex<Script>>,
    inputs: mpsc::Sender<Input>,
    tracks: watch::Sender<Tracks>,
}

impl Stage {
    fn new(polite: bool) -> Self {
        let client = SignallingClient::new(SignallingOptions::with_api_key("pk_live_a").unwrap());
        let client = client.unwrap();
        let script = Arc::<Mutex<Script>>::default();
        let engine = Arc::new(Played(Arc::clone(&script)));
        let (shared, commands) = Shared::new("bob".into(), None, polite, true, client.clone());
        let remote = shared.handle();
        let (inputs, receiver) = mpsc::channel(8);
        let (tracks, _) = watch::channel(Tracks::default());
        let actor = RemoteActor::new(
            Context { engine, client },
            shared,
            commands,
            receiver,
            ConnectionConfig::default(),
            (mpsc::unbounded_channel().0, 1),
            tracks.subscribe(),
        );
        Self { actor, events: remote.events(), remote, script, inputs, tracks }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    fn refuse(&self, reason: &'static str) {
        self.script().refuses = Some(reason);
    }

    fn say(&self, input: Input) {
        self.inputs.try_send(input).unwrap();
    }

    /// While an operation of the engine is under way.
    fn say_during(&self, operation: &'static str, said: Vec<Input>) {
        self.script().during = Some((operation, self.inputs.clone(), said));
    }

    fn publish_a_track(&self) {
        let track = (&LocalAudioTrack::default()).into();
        self.tracks.send_modify(|tracks| assert_eq!(tracks.add(track, None, None), Ok(true)));
    }

    /// Until nothing happens for a day.
    async fn rest(&mut self) -> Told {
        let (began, mut told) = (Instant::now(), Told::new());
        loop {
            self.actor.settle().await;
            while let Some(event) = self.events.try_next() {
                if let RemoteEvent::NegotiationError(error) = event {
                    told.push((began.elapsed(), error));
                }
            }
            match timeout(DAY, self.actor.turn()).await {
                Ok(goes_on) => assert!(goes_on && began.elapsed() < DAY, "no rest"),
                Err(_) => return told,
            }
        }
    }

    /// The codes of what is told when all is tried once more.
    async fn try_again(&mut self) -> Vec<String> {
        self.say(Input::NetworkChanged);
        codes(&self.rest().await)
    }
}

/// From a connection of the remote's that has this key.
fn offer_of(key: u32) -> Input {
    let mut theirs = model::Engine::new('b', key);
    theirs.run(&Op::Offer { ice_restart: false });
    match theirs.run(&Op::LocalDescription) {
        Reply::Description(offer) => Input::Signal(Signal::Description(offer)),
        Reply::Nothing => panic!("no offer"),
    }
}

fn codes(told: &Told) -> Vec<String> {
    told.iter().map(|(_, error)| error.code.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn that_there_is_no_relay_is_told_once_per_trouble() {
    const ONCE: [&str; 2] = ["no_turn_server", "ice_restart_exhausted"];
    const NOT_AGAIN: [&str; 1] = ["ice_restart_exhausted"];
    for polite in [false, true] {
        let mut stage = Stage::new(polite);
        stage.refuse(NO_RELAY);
        stage.publish_a_track();
        assert_eq!(codes(&stage.rest().await), ONCE);
        assert_eq!(stage.script().asked, 10);
        assert_eq!(stage.try_again().await, NOT_AGAIN);

        // Other servers, none of which relays. The same again are not news.
        let urls = IceUrls::One("stun:stun.example.org".into());
        let servers = vec![IceServer { urls, username: None, credential: None }];
        stage.say(Input::IceServers(servers.clone()));
        assert_eq!(stage.try_again().await, ONCE);
        stage.say(Input::IceServers(servers));
        assert_eq!(stage.try_again().await, NOT_AGAIN);

        // A caller hears of each call of its own.
        for _ in 0..2 {
            let options = DataChannelOptions::default();
            let error = stage.actor.open_channel("chat", options).await.unwrap_err();
            assert_eq!(error.code(), "no_turn_server");
        }
        assert_eq!(codes(&stage.rest().await), [""; 0]);
        assert_eq!(stage.remote.last_error().unwrap().code, "no_turn_server");

        // Other troubles are told each time.
        stage.refuse("AddrNotAvailable");
        assert_eq!(stage.try_again().await, ["connection_failed"; 10]);

        // Connected at last, and then not: another trouble.
        stage.script().refuses = None;
        assert_eq!(stage.try_again().await, [""; 0]);
        assert_eq!(stage.remote.state(), RemoteState::Connected);
        stage.refuse(NO_RELAY);
        stage.script().tell(ConnectionEvent::TransportClosed);
        assert_eq!(codes(&stage.rest().await), ONCE);
    }
}

#[tokio::test(start_paused = true)]
async fn where_no_connection_can_ever_be_made_the_ladder_ends_and_nothing_runs_on() {
    for polite in [false, true] {
        let mut stage = Stage::new(polite);
        stage.refuse("AddrNotAvailable");
        stage.publish_a_track();
        let began = Instant::now();
        let told = stage.rest().await;

        // At once, at each rung, and at the end.
        let mut due = if polite { POLITE_DELAY } else { Duration::ZERO };
        let rungs = LADDER.map(|pause| {
            due += pause;
            (due, "connect failed: AddrNotAvailable")
        });
        let first = (Duration::ZERO, "connect failed: AddrNotAvailable");
        let end = (due + ATTEMPT_WAIT, "no connection could be made in nine attempts");
        let messages: Vec<_> = told.iter().map(|(at, error)| (*at, &*error.message)).collect();
        assert_eq!(messages, [&[first][..], &rungs, &[end]].concat());
        assert_eq!(codes(&told), ["connection_failed"; 11]);
        assert_eq!(stage.script().asked, 10);

        // The last timer was the end's.
        assert_eq!(began.elapsed(), end.0 + DAY);
        let (remote, last) = (stage.remote.clone(), &told[10].1);
        assert_eq!(
            (remote.state(), remote.last_error().as_ref()),
            (RemoteState::Connecting, Some(last))
        );
        let states: Vec<_> = remote.state_history().iter().map(|change| change.to).collect();
        assert_eq!(states, [RemoteState::Connecting]);

        // Another network begins it anew.
        assert_eq!(stage.try_again().await, ["connection_failed"; 10]);

        let Stage { mut actor, mut events, inputs, .. } = stage;
        drop(inputs);
        assert!(!actor.turn().await);
        actor.end().await;
        let closed = RemoteState::Closed;
        assert!(
            matches!(events.next().await, Some(RemoteEvent::StateChange { to, .. }) if to == closed)
        );
        assert!(events.next().await.is_none());
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_leave_when_another_offer_came_while_it_was_read() {
    let mut stage = Stage::new(true);
    stage.say(offer_of(1));
    // From another connection: there the answer to the first one would be taken for the answer to this.
    stage.say_during("local_description", vec![offer_of(2)]);
    assert_eq!(codes(&stage.rest().await), [""; 0]);
    assert_eq!((stage.script().asked, stage.actor.signals.sent()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn another_id_of_ours_begins_after_the_operation_that_was_under_way() {
    let mut stage = Stage::new(true);
    stage.refuse("AddrNotAvailable");
    stage.say(offer_of(1));
    // The offer to who we are now is not what was refused.
    stage.say_during("connect", vec![Input::OwnId("alice".into()), offer_of(2)]);
    assert!(stage.actor.turn().await);
    stage.actor.settle().await;
    stage.script().refuses = None;
    assert_eq!(codes(&stage.rest().await), [""; 0]);
    assert_eq!((stage.script().asked, stage.actor.signals.sent()), (2, 1));
}
