//! The crate under our hands: what `peer` relies on, shown with real connections on loopback.

mod browsers;
mod media;
mod simulated;
mod support;

use support::*;

use super::*;
use crate::rtc::engine::{ChannelEvent, ChannelMessage, IceState};
use crate::rtc::sdp::{self, SdpFacts};

#[tokio::test]
async fn who_was_told_of_a_certificate_connects_to_the_next_connection_that_has_it() {
    let config = ConnectionConfig {
        certificate: Some(Certificate::new().unwrap()),
        ..ConnectionConfig::default()
    };
    let (old, mut two) = (Side::with(loopback(), config.clone()).await, Side::new().await);
    old.connection.open_channel(&reliable("lost")).await.unwrap();
    let offer = old.connection.offer(false).await.unwrap();
    let told = SdpFacts::read(&offer.sdp).unwrap().fingerprint;
    two.connection.apply_remote(offer).await.unwrap();
    two.connection.answer().await.unwrap();
    two.gathered().await;
    old.connection.close(true).await;

    let mut one = Side::with(loopback(), config).await;
    let channel = one.connection.open_channel(&reliable("chat")).await.unwrap();
    negotiate(&mut one, &mut two, false).await;
    let local = one.connection.local_description().await.unwrap();
    assert_eq!(SdpFacts::read(&local.sdp).unwrap().fingerprint, told);
    opened(&*channel).await;
    one.connection.close(true).await;
    two.connection.close(true).await;
}

#[tokio::test]
async fn two_connections_exchange_messages_and_leave_nothing() {
    let (mut one, mut two) = (Side::new().await, Side::new().await);
    let channel = one.connection.open_channel(&reliable("chat")).await.unwrap();
    negotiate(&mut one, &mut two, false).await;
    opened(&*channel).await;
    let other = two.channel().await;
    assert_eq!(other.init().label, "chat");
    channel.send(&ChannelMessage::Text("hello".into())).await.unwrap();
    assert_eq!(message(&*other).await, ChannelMessage::Text("hello".into()));
    let large = ChannelMessage::Binary(vec![7; MAX_MESSAGE_BYTES as usize].into());
    other.send(&large).await.unwrap();
    assert_eq!(message(&*channel).await, large);
    let stats = one.connection.stats().await;
    let pair = stats.selected_pair.unwrap();
    assert!(pair.local.port > 0 && stats.bytes_received > u64::from(MAX_MESSAGE_BYTES));
    assert_eq!(stats.channels[0].label, "chat");
    one.connection.close(true).await;
    // The remote notices at once, not by silence.
    while !matches!(other.next().await, None | Some(ChannelEvent::Closed)) {}
    two.connection.close(true).await;
    assert!(two.connection.offer(false).await.is_err());
}

#[tokio::test]
async fn a_local_offer_can_be_taken_back_for_the_remotes() {
    let (mut one, mut two) = (Side::new().await, Side::new().await);
    let first = one.connection.open_channel(&reliable("one")).await.unwrap();
    let second = two.connection.open_channel(&reliable("two")).await.unwrap();
    one.connection.offer(false).await.unwrap();
    let offer = two.connection.offer(false).await.unwrap();
    assert!(
        one.connection.apply_remote(offer.clone()).await.is_err(),
        "nothing rolls back by itself"
    );
    one.connection.roll_back().await.unwrap();
    one.connection.apply_remote(offer).await.unwrap();
    let answer = one.connection.answer().await.unwrap();
    two.connection.apply_remote(answer).await.unwrap();
    exchange_candidates(&mut one, &mut two).await;
    opened(&*first).await;
    opened(&*second).await;
    one.connection.close(true).await;
    two.connection.close(true).await;
}

#[tokio::test]
async fn a_channel_opens_whenever_it_is_opened() {
    // Also in the midst of the association's handshake, which is some milliseconds long.
    for pause in 0..6 {
        let (mut one, mut two) = (Side::new().await, Side::new().await);
        let first = one.connection.open_channel(&reliable("first")).await.unwrap();
        negotiate(&mut one, &mut two, false).await;
        let mut more = Vec::new();
        for _ in 0..40 {
            more.push(two.connection.open_channel(&reliable("more")).await.unwrap());
            tokio::time::sleep(Duration::from_micros(300 + 200 * pause)).await;
        }
        opened(&*first).await;
        for channel in more {
            opened(&*channel).await;
        }
        one.connection.close(true).await;
        two.connection.close(true).await;
    }
}

#[tokio::test]
async fn a_closed_connection_is_told_to_the_remote_and_a_closed_channel_alone_is_not() {
    let (mut one, mut two) = (Side::new().await, Side::new().await);
    let channel = one.connection.open_channel(&reliable("chat")).await.unwrap();
    let other = one.connection.open_channel(&reliable("other")).await.unwrap();
    negotiate(&mut one, &mut two, false).await;
    opened(&*channel).await;
    opened(&*other).await;
    let (first, second) = (two.channel().await, two.channel().await);
    channel.close().await.unwrap();
    let (closed, open) =
        if first.init().label == "chat" { (first, second) } else { (second, first) };
    while !matches!(closed.next().await, None | Some(ChannelEvent::Closed)) {}
    assert!(!two.saw(|event| matches!(event, ConnectionEvent::TransportClosed)));
    one.connection.close(true).await;
    while !matches!(open.next().await, None | Some(ChannelEvent::Closed)) {}
    two.until(|event| matches!(event, ConnectionEvent::TransportClosed)).await;
    two.connection.close(true).await;
}

#[tokio::test]
async fn a_restart_binds_new_sockets_and_keeps_the_channel() {
    let (mut one, mut two) = (Side::new().await, Side::new().await);
    let channel = one.connection.open_channel(&reliable("chat")).await.unwrap();
    negotiate(&mut one, &mut two, false).await;
    opened(&*channel).await;
    let other = two.channel().await;
    let port = one.connection.stats().await.selected_pair.unwrap().local.port;
    negotiate(&mut one, &mut two, true).await;
    channel.send(&ChannelMessage::Text("after".into())).await.unwrap();
    assert_eq!(message(&*other).await, ChannelMessage::Text("after".into()));
    let moved = async {
        while one.connection.stats().await.selected_pair.unwrap().local.port == port {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, moved).await.expect("the socket is the old one");
    one.connection.close(true).await;
    two.connection.close(true).await;
}

#[tokio::test]
async fn an_answer_keeps_the_role_in_the_handshake() {
    let (mut one, mut two) = (Side::new().await, Side::new().await);
    let channel = one.connection.open_channel(&reliable("chat")).await.unwrap();
    negotiate(&mut one, &mut two, false).await;
    opened(&*channel).await;
    let says = |side: &Side| {
        let connection = Arc::clone(&side.connection);
        async move { sdp::opens_dtls(&connection.local_description().await.unwrap().sdp) }
    };
    assert_eq!((says(&one).await, says(&two).await), (None, Some(false)));
    negotiate(&mut two, &mut one, false).await;
    assert_eq!((says(&one).await, says(&two).await), (Some(true), None));
    negotiate(&mut one, &mut two, true).await;
    assert_eq!((says(&one).await, says(&two).await), (None, Some(false)));
    one.connection.close(true).await;
    two.connection.close(true).await;
}

#[tokio::test]
async fn restarts_of_both_ends_settle_after_a_rollback() {
    let (mut one, mut two) = (Side::new().await, Side::new().await);
    let channel = one.connection.open_channel(&reliable("chat")).await.unwrap();
    negotiate(&mut one, &mut two, false).await;
    opened(&*channel).await;
    let other = two.channel().await;
    one.connection.offer(true).await.unwrap();
    let offer = two.connection.offer(true).await.unwrap();
    one.connection.roll_back().await.unwrap();
    one.connection.apply_remote(offer).await.unwrap();
    let answer = one.connection.answer().await.unwrap();
    two.connection.apply_remote(answer).await.unwrap();
    exchange_candidates(&mut one, &mut two).await;
    channel.send(&ChannelMessage::Text("after".into())).await.unwrap();
    assert_eq!(message(&*other).await, ChannelMessage::Text("after".into()));
    one.connection.close(true).await;
    two.connection.close(true).await;
}

#[tokio::test]
async fn the_description_holds_candidates_once_they_are_gathered() {
    let mut one = Side::new().await;
    one.connection.open_channel(&reliable("chat")).await.unwrap();
    let bare = one.connection.offer(false).await.unwrap();
    assert_eq!(SdpFacts::read(&bare.sdp).unwrap().candidates, 0);
    one.gathered().await;
    let full = one.connection.local_description().await.unwrap();
    let facts = SdpFacts::read(&full.sdp).unwrap();
    assert!(facts.candidates > 0 && facts.ice_ufrag.is_some() && facts.fingerprint.is_some());
    assert_eq!(facts.max_message_size, Some(MAX_MESSAGE_BYTES.into()));
    one.connection.close(true).await;
}

/// Prints the time from offer to open channel; the bench in `bench/peer` compares it.
#[tokio::test]
async fn connecting_needs_no_tick_of_the_driver() {
    let mut times = Vec::new();
    for _ in 0..10 {
        let (mut one, mut two) = (Side::new().await, Side::new().await);
        let channel = one.connection.open_channel(&reliable("chat")).await.unwrap();
        let start = std::time::Instant::now();
        negotiate(&mut one, &mut two, false).await;
        opened(&*channel).await;
        times.push(start.elapsed());
        one.connection.close(true).await;
        two.connection.close(true).await;
    }
    times.sort();
    println!("offer to open: median {:?}, all {times:?}", times[5]);
}

#[tokio::test]
async fn silence_is_noticed() {
    let (mut one, mut two) = (Side::new().await, Side::new().await);
    let channel = one.connection.open_channel(&reliable("chat")).await.unwrap();
    negotiate(&mut one, &mut two, false).await;
    opened(&*channel).await;
    two.connection.close(true).await;
    one.until(|event| {
        matches!(
            event,
            ConnectionEvent::Ice(IceState::Disconnected) | ConnectionEvent::TransportClosed
        )
    })
    .await;
    one.connection.close(true).await;
}
