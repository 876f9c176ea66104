//! Who has nothing to offer says so, once, and the app hears nothing of it.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/room.rs"]
mod room;
mod support;

use metered_realtime::media::LocalAudioTrack;
use metered_realtime::peer::*;
use room::*;
use support::{server, within};

/// How often the server was told by somebody that it has nothing to offer.
fn told(server: &metered_dev_server::DevServerHandle, peer: &str) -> usize {
    let by = |entry: &&metered_dev_server::LogEntry| {
        entry.event == "in" && entry.peer_id.as_deref() == Some(peer)
    };
    let says = |entry: &&metered_dev_server::LogEntry| entry.text.contains("nothing-to-offer");
    server.log().iter().filter(by).filter(says).count()
}

#[tokio::test]
async fn the_polite_lets_the_impolite_offer_and_its_app_sees_a_channel_alone() {
    let server = server().await;
    let (mut alice, mut bob) =
        (Member::joined(&server, "alice").await, Member::joined(&server, "bob").await);
    let (at_alice, at_bob) = (alice.other().await, bob.other().await);
    let mut events = at_alice.events();
    let channel = at_bob.open_data_channel("chat", DataChannelOptions::default()).await.unwrap();
    within(channel.send_text("hello")).await.unwrap();
    let arrived = incoming_channel(&mut events).await;
    assert_eq!(message(&mut arrived.events()).await, ChannelMessage::Text("hello".into()));
    assert_eq!((told(&server, "alice"), told(&server, "bob")), (1, 0));
    // What it was told by is no message of an app.
    while let Some(event) = bob.events.try_next() {
        assert!(!matches!(event, PeerEvent::Data { .. }), "{event:?}");
    }
    for peer in [alice.peer, bob.peer] {
        peer.close().await;
    }
    server.shutdown().await;
}

#[tokio::test]
async fn who_offers_does_not_say_that_it_has_nothing_to() {
    let server = server().await;
    let mut alice = Member::joined(&server, "alice").await;
    alice.peer.add_track(&LocalAudioTrack::default(), None, None).unwrap();
    let mut bob = Member::joined(&server, "bob").await;
    remote_state(&alice.other().await, RemoteState::Connected).await;
    remote_state(&bob.other().await, RemoteState::Connected).await;
    assert_eq!((told(&server, "alice"), told(&server, "bob")), (0, 0));
    for peer in [alice.peer, bob.peer] {
        peer.close().await;
    }
    server.shutdown().await;
}
