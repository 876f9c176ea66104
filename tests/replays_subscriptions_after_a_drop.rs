//! A drop costs the connection and nothing else.

mod support;

use std::time::Duration;

use metered_dev_server::{SnapshotMode, Target};
use metered_realtime::signalling::{Event, RequestError, State};
use support::{Watched, by_key, by_token, server, within};

#[tokio::test]
async fn subscriptions_and_their_flags_come_back() {
    let server = server().await;
    let mut claims = metered_dev_server::TokenClaims::new("bob");
    claims.peer_metadata = Some(serde_json::json!({ "name": "Bob" }));
    let token = server.mint(&claims).unwrap();
    let options = metered_realtime::signalling::SignallingOptions::with_token(token).unwrap();
    let bob = Watched::connected(support::quick(options, &server)).await;
    let mut alice = Watched::connected(by_token(&server, "alice")).await;
    let with = metered_realtime::signalling::SubscribeOptions { include_sender_metadata: true };
    alice.client.subscribe_with("a", with).await.unwrap();
    alice.client.subscribe("b").await.unwrap();
    alice.client.subscribe("gone").await.unwrap();
    alice.client.unsubscribe("gone").await.unwrap();
    server.drop_connections(Target::peer("alice"));
    alice.until_state(State::Reconnecting).await;
    for channel in ["a", "b"] {
        let (_, _, snapshot) = alice.presence(channel).await;
        assert!(snapshot);
    }
    bob.client.publish("gone", &0).await.unwrap();
    bob.client.publish("a", &1).await.unwrap();
    let (data, metadata) = alice
        .until(|event| match event {
            Event::Message(message) => Some((message.data.clone(), message.from_metadata.clone())),
            _ => None,
        })
        .await;
    assert_eq!(data.as_str(), "1");
    assert_eq!(metadata.unwrap().as_str(), r#"{"name":"Bob"}"#);
    alice.client.close().await;
    bob.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_by_the_drop() {
    let server = server().await;
    let alice = Watched::connected(by_key(&server)).await;
    server.lose_acks(1, Some("publish"));
    let client = alice.client.clone();
    let under_way = tokio::spawn(async move { client.publish("c", &1).await });
    server.wait_for(|entry| entry.event == "in" && entry.text.contains("publish")).await;
    server.drop_connections(Target::all());
    let error = within(under_way).await.unwrap().unwrap_err();
    assert!(matches!(error, RequestError::Disconnected { sent: true, .. }), "{error:?}");
    alice.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_before_with_or_long_after_the_ack_is_seen() {
    let server = server().await;
    let bob = Watched::connected(by_token(&server, "bob")).await;
    bob.client.subscribe("c").await.unwrap();
    for (mode, delay) in [
        (SnapshotMode::Normal, 0),
        (SnapshotMode::Merged, 0),
        (SnapshotMode::BeforeAck, 0),
        (SnapshotMode::Normal, 200),
    ] {
        server.snapshots(mode, Duration::from_millis(delay));
        let mut alice = Watched::connected(by_token(&server, "alice")).await;
        alice.client.subscribe("c").await.unwrap();
        assert_eq!(alice.presence("c").await, (vec!["bob".to_owned()], vec![], true), "{mode:?}");
        alice.client.close().await;
    }
    bob.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_replay_that_the_server_refuses_is_told() {
    let server = server().await;
    let mut alice = Watched::connected(by_key(&server)).await;
    alice.client.subscribe("c").await.unwrap();
    server.fail_requests(4, "backend_error", Some("subscribe"));
    server.drop_connections(Target::all());
    let (channel, code) = alice
        .until(|event| match event {
            Event::ResubscribeFailed { channel, error } => {
                Some((channel.clone(), error.code().to_owned()))
            }
            _ => None,
        })
        .await;
    assert_eq!((channel.as_str(), code.as_str()), ("c", "backend_error"));
    alice.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn an_exhausted_budget_ends_with_a_final_event() {
    let server = server().await;
    let mut options = by_key(&server);
    if let Some(reconnect) = &mut options.reconnect {
        reconnect.max_attempts = Some(2);
    }
    let mut alice = Watched::connected(options).await;
    server.shutdown().await;
    let mut will = Vec::new();
    loop {
        let lost = alice.lost().await;
        will.push(lost.will_reconnect);
        if !lost.will_reconnect {
            break;
        }
    }
    assert_eq!(will, [true, true, false]);
    assert_eq!(alice.client.state(), State::Closed);
}
