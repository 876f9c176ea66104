//! The protocol, frame by frame: order, presence, rights, limits.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use metered_dev_server::{DevServer, Limits, TokenClaims, TurnConfig};
use serde_json::json;
use support::Raw;

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

#[tokio::test]
async fn welcome_ack_snapshot_and_deltas_in_their_order() {
    let server = DevServer::builder().start().await.unwrap();
    let mut key = Raw::open(&server, "key=pk_live_dev").await.unwrap();
    let welcome = key.next().await;
    assert_eq!((&welcome["type"], &welcome["expiresAt"]), (&json!("welcome"), &json!(null)));
    assert!(welcome["serverTime"].is_u64() && welcome["maxMessageSize"] == 65_536);
    assert!(welcome.get("metadata").is_none());
    let mut claims = TokenClaims::new("alice");
    claims.peer_metadata = Some(json!({ "n": 1 }));
    let mut alice = Raw::by_claims(&server, &claims).await;
    let empty = json!({ "type": "presence", "channel": "c", "joined": [], "left": [] });
    assert_eq!(alice.subscribe("c").await, empty, "a snapshot always, even empty");
    let snapshot = key.subscribe("c").await;
    assert_eq!(snapshot["joined"], json!([{ "peerId": "alice", "metadata": { "n": 1 } }]));
    let delta = alice.next().await;
    assert_eq!(delta["joined"][0]["peerId"], welcome["peerId"]);
    // Again: a fresh snapshot for who asks, and nothing for the others.
    assert_eq!(key.subscribe("c").await["joined"][0]["peerId"], "alice");
    assert!(alice.hears_nothing().await);
    assert!(
        alice.ask(r#"{"type":"unsubscribe","channel":"c","requestId":"u"}"#).await["type"] == "ack"
    );
    assert_eq!(key.next().await["left"][0]["peerId"], "alice");
    server.shutdown().await;
}

#[tokio::test]
async fn several_sockets_of_one_peer_are_one_member() {
    let server = DevServer::builder().start().await.unwrap();
    let mut watcher = Raw::named(&server, "watcher").await;
    watcher.subscribe("c").await;
    let (mut one, mut two) = (Raw::named(&server, "bob").await, Raw::named(&server, "bob").await);
    one.subscribe("c").await;
    assert_eq!(watcher.next().await["joined"][0]["peerId"], "bob");
    two.subscribe("c").await;
    assert!(watcher.hears_nothing().await, "joined with the first");
    // Both get messages and directs, and none of their own peer's.
    watcher.write(r#"{"type":"publish","channel":"c","data":1}"#).await;
    watcher.write(r#"{"type":"send","to":"bob","data":2}"#).await;
    for socket in [&mut one, &mut two] {
        assert_eq!(socket.next().await["data"], 1);
        assert_eq!(socket.next().await, json!({ "type": "direct", "from": "watcher", "data": 2 }));
    }
    one.write(r#"{"type":"publish","channel":"c","data":3}"#).await;
    assert_eq!(watcher.next().await["data"], 3);
    assert!(two.hears_nothing().await, "no echo to the publisher's other socket");
    drop(one);
    server.wait_connections(2).await;
    assert!(watcher.hears_nothing().await, "one socket is left");
    drop(two);
    assert_eq!(watcher.next().await["left"][0]["peerId"], "bob");
    server.shutdown().await;
}

#[tokio::test]
async fn requests_without_an_id_get_no_ack_and_still_their_errors() {
    let server = DevServer::builder().start().await.unwrap();
    let mut alice = Raw::named(&server, "alice").await;
    alice.write(r#"{"type":"publish","channel":"c","data":1}"#).await;
    assert!(alice.hears_nothing().await);
    let error = alice.ask(r#"{"type":"publish","channel":"c"}"#).await;
    assert_eq!((&error["code"], error.get("requestId")), (&json!("missing_data"), None));
    for (text, code) in [
        ("x", "malformed_message"),
        (r#"{"type":"x","requestId":"1"}"#, "unknown_type"),
        (r#"{"type":"subscribe","channel":""}"#, "invalid_channel"),
        (r#"{"type":"subscribe","channel":"_METERED/x"}"#, "channel_reserved"),
        (r#"{"type":"send","to":"nobody","data":1}"#, "peer_not_found"),
    ] {
        assert_eq!(alice.ask(text).await["code"], code, "{text}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn without_the_action_presence_nothing_is_seen_of_others() {
    let server = DevServer::builder().start().await.unwrap();
    let mut claims = TokenClaims::new("blind");
    claims.permissions = Some(vec!["subscribe".into()]);
    let mut blind = Raw::by_claims(&server, &claims).await;
    let request = r#"{"type":"subscribe","channel":"c","requestId":"s"}"#;
    assert_eq!(blind.ask(request).await["type"], "ack");
    let mut other = Raw::named(&server, "other").await;
    assert_eq!(other.subscribe("c").await["joined"][0]["peerId"], "blind", "but is seen");
    assert!(blind.hears_nothing().await);
    server.shutdown().await;
}

#[tokio::test]
async fn every_limit_holds_and_can_be_switched_off() {
    let server = DevServer::builder()
        .limits(limits(|limits| {
            limits.subscriptions = 1;
            limits.max_message_size = 500;
            limits.message_burst = 5.0;
            limits.messages_per_second = 0.001;
            limits.messages_per_period = 2;
            limits.concurrent_connections = 2;
            limits.connects_per_window = 4;
        }))
        .start()
        .await
        .unwrap();
    let mut one = Raw::named(&server, "one").await;
    one.subscribe("a").await;
    let more = r#"{"type":"subscribe","channel":"b","requestId":"1"}"#;
    assert_eq!(one.ask(more).await["code"], "channel_limit_exceeded");
    let publish = r#"{"type":"publish","channel":"a","data":1,"requestId":"1"}"#;
    for expected in ["ack", "ack", "error"] {
        assert_eq!(one.ask(publish).await["type"], expected);
    }
    one.write(publish).await;
    assert_eq!(one.closed().await, Some(4011), "the sixth frame finds the bucket empty");
    server.wait_connections(0).await;
    let mut two = Raw::named(&server, "two").await;
    two.write(&"x".repeat(501)).await;
    assert_eq!(two.closed().await, Some(1009));
    server.wait_connections(0).await;
    let (_a, _b) = (Raw::named(&server, "a").await, Raw::named(&server, "b").await);
    assert_eq!(Raw::open(&server, "key=pk_live_dev").await.err(), Some(429));
    server.shutdown().await;

    let off = limits(|limits| {
        limits.subscriptions = 0;
        limits.max_message_size = 0;
        limits.messages_per_second = 0.0;
    });
    let server = DevServer::builder().limits(off).start().await.unwrap();
    let mut free = Raw::named(&server, "free").await;
    for n in 0..300 {
        free.subscribe(&format!("c{n}")).await;
    }
    let large = "x".repeat(200_000);
    let request = format!(r#"{{"type":"publish","channel":"c","data":"{large}","requestId":"1"}}"#);
    assert_eq!(free.ask(&request).await["type"], "ack");
    server.shutdown().await;
}

#[tokio::test]
async fn over_the_concurrent_limit_is_4010() {
    let server = DevServer::builder()
        .limits(limits(|limits| limits.concurrent_connections = 1))
        .start()
        .await
        .unwrap();
    let _first = Raw::named(&server, "one").await;
    let mut second = Raw::open(&server, "key=pk_live_dev").await.unwrap();
    assert_eq!(second.closed().await, Some(4010));
    server.shutdown().await;
}

#[tokio::test]
async fn a_silent_socket_is_pinged_and_cut() {
    let server = DevServer::builder()
        .record()
        .limits(limits(|limits| {
            limits.ping_interval_seconds = 0.1;
            // Who is read answers at once, however busy the machine is; who is not, never.
            limits.ping_grace_seconds = 3.0;
        }))
        .start()
        .await
        .unwrap();
    let mut alive = Raw::named(&server, "alive").await;
    // Its pongs are sent only while it is read.
    let _silent = Raw::named(&server, "silent").await;
    let reading = tokio::spawn(async move { alive.closed().await });
    let cut = support::within(server.wait_for(|entry| entry.event == "cut")).await;
    assert_eq!(cut.peer_id.as_deref(), Some("silent"));
    assert_eq!(server.connections(), 1);
    server.close_connections(1000, "", metered_dev_server::Target::all());
    assert_eq!(reading.await.unwrap(), Some(1000));
    server.shutdown().await;
}

#[tokio::test]
async fn a_slow_reader_is_closed_when_its_queue_is_full() {
    let server = DevServer::builder()
        .record()
        .limits(limits(|limits| {
            limits.send_queue = 100;
            limits.messages_per_second = 0.0;
        }))
        .start()
        .await
        .unwrap();
    let mut slow = Raw::named(&server, "slow").await;
    slow.subscribe("c").await;
    let mut loud = Raw::named(&server, "loud").await;
    let data = "x".repeat(60_000);
    let request = format!(r#"{{"type":"publish","channel":"c","data":"{data}","requestId":"1"}}"#);
    while !server.log().iter().any(|e| e.event == "close" && e.text == "1008") {
        assert_eq!(loud.ask(&request).await["type"], "ack");
    }
    server.wait_connections(1).await;
    server.shutdown().await;
}

#[tokio::test]
async fn turn_is_injected_unless_the_token_says_anything_of_it() {
    let turn = TurnConfig {
        urls: vec!["turn:127.0.0.1:3478".into()],
        shared_secret: Some("north".into()),
        ..TurnConfig::default()
    };
    let server = DevServer::builder().turn(turn).start().await.unwrap();
    let mut key = Raw::open(&server, "key=pk_live_dev").await.unwrap();
    let servers = key.next().await["metadata"]["iceServers"].clone();
    assert!(servers[0]["username"].as_str().unwrap().contains(':'));
    let mut claims = TokenClaims::new("a");
    claims.metadata = Some(json!({ "iceServers": [] }));
    let token = server.mint(&claims).unwrap();
    let mut own = Raw::open(&server, &format!("token={token}")).await.unwrap();
    assert_eq!(own.next().await["metadata"], json!({ "iceServers": [] }));
    server.shutdown().await;
}

#[tokio::test]
async fn shutdown_says_going_away_and_leaves_nothing() {
    let server = DevServer::builder().start().await.unwrap();
    let mut alice = Raw::named(&server, "alice").await;
    let reading = tokio::spawn(async move {
        let frame = alice.next().await;
        (frame, alice.closed().await)
    });
    support::within(server.shutdown()).await;
    let (frame, code) = reading.await.unwrap();
    assert_eq!((frame["type"].as_str(), code), (Some("going_away"), Some(1001)));
}
