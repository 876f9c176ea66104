//! A connection that cannot be made is tried again while something needs it, and says why it could not.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/room.rs"]
mod room;
mod support;

use metered_realtime::media::LocalAudioTrack;
use metered_realtime::peer::{DataChannelOptions, RemoteEvent, RemotePeer, RemoteState};
use room::*;
use support::{server, within};

/// For documentation alone (RFC 5737): no machine has it.
const OF_NOBODY: [u8; 4] = [192, 0, 2, 1];

async fn failed(events: &mut metered_realtime::peer::RemoteEvents) {
    let error = until_remote(events, |event| match event {
        RemoteEvent::NegotiationError(error) => Some(error.clone()),
        _ => None,
    })
    .await;
    assert_eq!(error.code, "connection_failed");
    // Who refused what, in the system's words.
    assert!(error.message.starts_with("connect failed: 192.0.2.1: "), "{}", error.message);
    assert!(error.diagnosis.fix.contains("addresses that the device has"));
}

async fn connected(remote: &RemotePeer, events: &mut metered_realtime::peer::RemoteEvents) {
    until_remote(events, |event| matches!(event, RemoteEvent::Track(_)).then_some(())).await;
    remote_state(remote, RemoteState::Connected).await;
}

#[tokio::test]
async fn a_track_is_sent_once_the_address_is_there() {
    // Both are tried: who is polite waits a moment at first.
    for (sends, receives) in [("alice", "bob"), ("bob", "alice")] {
        let server = server().await;
        let mut sender = Member::joined(&server, sends).await;
        let mut receiver = Member::joined(&server, receives).await;
        let (remote, back) = (sender.other().await, receiver.other().await);
        sender.network.change_to(OF_NOBODY);
        let (mut events, mut arrivals) = (remote.events(), back.events());
        sender.peer.add_track(&LocalAudioTrack::default(), None, None).unwrap();
        // The first one, and those of the ladder.
        for _ in 0..3 {
            failed(&mut events).await;
            assert_eq!(remote.state(), RemoteState::Connecting);
        }
        sender.network.change_to([127, 0, 0, 1]);
        connected(&back, &mut arrivals).await;
        remote_state(&remote, RemoteState::Connected).await;
        sender.peer.close().await;
        receiver.peer.close().await;
        server.shutdown().await;
    }
}

#[tokio::test]
async fn what_waits_is_sent_on_the_connection_that_an_offer_brings() {
    let server = server().await;
    let mut alice = Member::joined(&server, "alice").await;
    let mut bob = Member::joined(&server, "bob").await;
    let (to_bob, to_alice) = (alice.other().await, bob.other().await);
    alice.network.change_to(OF_NOBODY);
    let (mut events, mut arrivals) = (to_bob.events(), to_alice.events());
    alice.peer.add_track(&LocalAudioTrack::default(), None, None).unwrap();
    for _ in 0..3 {
        failed(&mut events).await;
    }
    alice.network.change_to([127, 0, 0, 1]);
    let channel = to_alice.open_data_channel("chat", DataChannelOptions::default()).await.unwrap();
    connected(&to_alice, &mut arrivals).await;
    within(channel.send_text("hello")).await.unwrap();
    alice.peer.close().await;
    bob.peer.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_channel_that_could_not_be_opened_is_the_callers() {
    let server = server().await;
    let mut alice = Member::joined(&server, "alice").await;
    let mut bob = Member::joined(&server, "bob").await;
    let (to_bob, _to_alice) = (alice.other().await, bob.other().await);
    alice.network.change_to(OF_NOBODY);
    let open = || to_bob.open_data_channel("chat", DataChannelOptions::default());
    let error = within(open()).await.unwrap_err();
    assert_eq!(error.code(), "connection_failed");
    assert!(error.to_string().contains("192.0.2.1"), "{error}");
    assert_eq!(to_bob.state(), RemoteState::Idle);
    alice.network.change_to([127, 0, 0, 1]);
    within(open()).await.unwrap();
    remote_state(&to_bob, RemoteState::Connected).await;
    alice.peer.close().await;
    bob.peer.close().await;
    server.shutdown().await;
}
