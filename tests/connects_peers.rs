//! Peers of one room are connected, and stay so.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/room.rs"]
mod room;
mod support;

use metered_realtime::peer::*;
use room::*;
use support::{server, within};

#[tokio::test]
async fn two_peers_meet_and_exchange_text_and_bytes() {
    let server = server().await;
    let mut pair = Pair::connected(&server, DataChannelOptions::default()).await;
    let large = vec![7_u8; 262_144];
    within(pair.a_channel.send_bytes(large.clone())).await.unwrap();
    assert_eq!(message(&mut pair.b_events).await, ChannelMessage::Binary(large.into()));
    let too_large = pair.a_channel.send_bytes(vec![0; 262_145]).await.unwrap_err();
    assert_eq!(too_large.code(), "oversized_payload");
    remote_state(&pair.b_of_a, RemoteState::Connected).await;
    let stats = pair.b_of_a.stats().await.unwrap();
    assert_eq!(stats.selected_pair.unwrap().local.candidate_type, CandidateType::Host);
    assert!(pair.b_of_a.polite() && !pair.a_of_b.polite());
    pair.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn channels_that_are_opened_at_any_moment_of_the_handshake_all_open() {
    let server = server().await;
    let mut a = Member::joined(&server, "alice").await;
    let mut b = Member::joined(&server, "bob").await;
    let (b_of_a, a_of_b) = (a.other().await, b.other().await);
    let mut channels = Vec::new();
    // At both ends, since one of them waits for the other's part of the handshake.
    for n in 0..120 {
        for remote in [&b_of_a, &a_of_b] {
            let options = DataChannelOptions::default();
            channels.push(remote.open_data_channel(&n.to_string(), options).await.unwrap());
        }
    }
    for channel in &channels {
        within(channel.send_text("x")).await.unwrap();
    }
    a.peer.close().await;
    b.peer.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_pair_connects_within_eight_signals() {
    let server = server().await;
    let pair = Pair::connected(&server, DataChannelOptions::default()).await;
    let signals = server
        .log()
        .iter()
        .filter(|entry| entry.event == "in" && entry.text.contains("\"type\":\"send\""))
        .count();
    assert!(signals <= 8, "{signals} signals");
    pair.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn another_network_is_taken_at_once() {
    let server = server().await;
    let mut pair = Pair::connected(&server, DataChannelOptions::default()).await;
    pair.a.network.change_to([127, 0, 0, 77]);
    pair.a.peer.network_changed();
    pair.talk("after").await;
    let moved = async {
        loop {
            let stats = pair.b_of_a.stats().await.unwrap();
            let address = stats.selected_pair.and_then(|pair| pair.local.address);
            if address.as_deref() == Some("127.0.0.77") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    within(moved).await;
    pair.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn who_leaves_is_gone_and_says_so() {
    let server = server().await;
    let mut pair = Pair::connected(&server, DataChannelOptions::default()).await;
    pair.a.peer.close().await;
    let left = pair
        .b
        .until(|event| match event {
            PeerEvent::PeerLeft(remote) => Some(remote.clone()),
            _ => None,
        })
        .await;
    assert_eq!((left.id(), left.state()), ("alice", RemoteState::Closed));
    assert_eq!(pair.b_channel.send_text("x").await.unwrap_err().code(), "data_channel_closed");
    let error = left.open_data_channel("x", DataChannelOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), "remote_gone");
    assert!(pair.b.peer.remote_peers().is_empty());
    pair.b.peer.close().await;
    assert_eq!(pair.a.peer.state(), PeerState::Closed);
    server.shutdown().await;
}
