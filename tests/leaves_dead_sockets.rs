//! A socket that swallows what it is given is left, without waiting for a polite close.

mod support;

use std::time::Duration;

use metered_dev_server::Target;
use metered_realtime::signalling::{State, WRITE_STALL_TIMEOUT};
use support::{Watched, by_key, server};

#[tokio::test]
async fn a_silent_server_is_left_at_the_watchdogs_limit() {
    let server = server().await;
    let mut options = by_key(&server);
    options.inactivity_timeout = Some(Duration::from_millis(3_000));
    let mut alice = Watched::connected(options).await;
    server.mute(true, Target::all());
    let lost = alice.lost().await;
    assert_eq!((lost.code.get(), lost.reason.as_str()), (4000, "inactivity timeout"));
    alice.until_state(State::Connected).await;
    alice.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_hint_finds_it_in_two_seconds() {
    for hint in 0..3 {
        let server = server().await;
        let mut alice = Watched::connected(by_key(&server)).await;
        server.mute(false, Target::all());
        match hint {
            0 => alice.client.network_changed(),
            1 => alice.client.entered_foreground(),
            _ => alice.client.entered_background(),
        }
        let lost = alice.lost().await;
        assert_eq!(lost.reason, "no answer to a probe");
        alice.until_state(State::Connected).await;
        alice.client.close().await;
        server.shutdown().await;
    }
}

#[tokio::test]
async fn a_live_connection_survives_every_hint() {
    let server = server().await;
    let mut alice = Watched::connected(by_key(&server)).await;
    let before = alice.client.connected().unwrap().peer_id.clone();
    alice.client.network_changed();
    alice.client.entered_background();
    alice.client.entered_foreground();
    alice.client.reconnect_now();
    server.wait_for(|entry| entry.event == "out" && entry.text.contains("pong")).await;
    alice.client.publish("c", &1).await.unwrap();
    assert_eq!(alice.client.connected().unwrap().peer_id, before);
    assert!(alice.events.try_next().is_some_and(|event| event.name() == "connected"));
    alice.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_server_that_does_not_read_is_left_when_writes_get_stuck() {
    let server = server().await;
    let mut options = by_key(&server);
    options.pacing = None;
    let mut alice = Watched::connected(options).await;
    server.stop_reading(Target::all());
    server.wait_for(|entry| entry.event == "fault" && entry.text.contains("StopReading")).await;
    let client = alice.client.clone();
    let flood = tokio::spawn(async move {
        let data = "x".repeat(60_000);
        let calls = (0..400).map(|_| client.publish("c", &data));
        futures_util::future::join_all(calls).await
    });
    // The verdict takes so long by itself, once the flood has filled what the system buffers.
    tokio::time::sleep(WRITE_STALL_TIMEOUT).await;
    let lost = alice.lost().await;
    assert_eq!(lost.code.get(), 4000);
    alice.until_state(State::Connected).await;
    for result in support::within(flood).await.unwrap() {
        assert!(matches!(result.unwrap_err().code(), "disconnected" | "ack_timeout"));
    }
    alice.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_costs_ten_seconds() {
    let server = server().await;
    server.ignore_connects(1);
    let alice = Watched::new(by_key(&server));
    let error = support::within(alice.client.connect()).await.unwrap_err();
    assert_eq!((error.code().as_ref(), error.close_code().get()), ("welcome_timeout", 4000));
    assert!(error.to_string().contains("waiting for the answer to the upgrade"), "{error}");
    server.withhold_welcome(1);
    let error = support::within(alice.client.connect()).await.unwrap_err();
    assert!(error.to_string().contains("waiting for the welcome"), "{error}");
    alice.client.connect().await.unwrap();
    alice.client.close().await;
    server.shutdown().await;
}
