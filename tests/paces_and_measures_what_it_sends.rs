//! Requests leave in order, within the service's rate and size.

mod support;

use metered_realtime::signalling::{Event, RequestError, State};
use metered_realtime::wire::BuildError;
use support::{Watched, by_key, by_token, server};

#[tokio::test]
async fn more_than_the_servers_burst_arrives_whole_and_in_order() {
    let server = server().await;
    let alice = Watched::connected(by_token(&server, "alice")).await;
    let mut bob = Watched::connected(by_token(&server, "bob")).await;
    bob.client.subscribe("c").await.unwrap();
    let client = alice.client.clone();
    let sending = tokio::spawn(async move {
        let calls = (0..260_u32).map(|n| {
            let client = client.clone();
            async move { client.publish("c", &n).await }
        });
        futures_util::future::join_all(calls).await
    });
    for n in 0..260_u32 {
        assert_eq!(bob.message().await, n.to_string());
    }
    assert!(support::within(sending).await.unwrap().into_iter().all(|result| result.is_ok()));
    assert_eq!(alice.client.pacing().unanswered, 0);
    alice.client.close().await;
    bob.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn without_pacing_the_server_closes_with_4011_and_the_client_comes_back() {
    let server = server().await;
    let mut options = by_key(&server);
    options.pacing = None;
    let mut alice = Watched::connected(options).await;
    let calls = (0..400).map(|_| alice.client.publish("c", "x"));
    let results = futures_util::future::join_all(calls).await;
    assert!(results.iter().any(|result| result.is_err()));
    assert_eq!(alice.lost().await.code.get(), 4011);
    alice.until_state(State::Connected).await;
    alice.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_frame_at_the_limit_passes_and_one_byte_more_is_refused_here() {
    let server = server().await;
    let alice = Watched::connected(by_key(&server)).await;
    // The frame around the data: {"type":"publish","channel":"c","data":"…","requestId":"1"}
    let around = r#"{"type":"publish","channel":"c","data":"","requestId":"1"}"#.len();
    let fits = "x".repeat(65_536 - around);
    alice.client.publish("c", &fits).await.unwrap();
    let error = alice.client.publish("c", &format!("{fits}x")).await.unwrap_err();
    assert_eq!(error.name(), "OversizedPayloadError");
    let RequestError::Build(BuildError::Oversized { size, cap, .. }) = error else { panic!() };
    assert_eq!((size, cap), (fits.len() + 3, 65_536));
    alice.client.publish("c", &1).await.unwrap();
    alice.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn bad_names_never_leave() {
    let server = server().await;
    let alice = Watched::connected(by_key(&server)).await;
    let code = |result: Result<(), RequestError>| result.unwrap_err().code().to_owned();
    assert_eq!(code(alice.client.subscribe("").await), "invalid_channel");
    assert_eq!(code(alice.client.subscribe("_System/x").await), "channel_reserved");
    assert_eq!(code(alice.client.publish(&"x".repeat(257), &1).await), "invalid_channel");
    assert_eq!(code(alice.client.send("a\nb", &1).await), "invalid_peer_id");
    assert!(!server.log().iter().any(|entry| entry.event == "in"));
    alice.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn frames_that_make_no_sense_are_counted_and_an_oversized_one_costs_the_connection() {
    use metered_dev_server::Target;
    let server = server().await;
    let mut alice = Watched::connected(by_key(&server)).await;
    server.send_text("no json", Target::all());
    server.send_text(r#"{"type":"brand_new"}"#, Target::all());
    server.send_binary(10, Target::all());
    server.send_text(r#"{"type":"presence","channel":"c","joined":[7],"left":[]}"#, Target::all());
    alice.presence("c").await;
    let counters = alice.client.counters();
    assert_eq!(
        (counters.malformed_frames, counters.unknown_frames, counters.binary_frames),
        (1, 1, 1)
    );
    assert_eq!(counters.dropped_entries, 1);
    server.send_oversized(1_048_577, Target::all());
    assert_eq!(alice.lost().await.code.get(), 1009);
    alice.until_state(State::Connected).await;
    alice.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn going_away_is_waited_for() {
    use metered_dev_server::Target;
    use std::time::{Duration, Instant};
    let server = server().await;
    let mut alice = Watched::connected(by_key(&server)).await;
    // Before the client can have heard of it: it waits from then on, not from when its app has the event.
    let since = Instant::now();
    server.going_away(Duration::from_millis(600), Some(Duration::ZERO), Target::all());
    let asked = alice
        .until(|event| match event {
            Event::GoingAway { retry_after_ms } => Some(*retry_after_ms),
            _ => None,
        })
        .await;
    assert_eq!(asked, 600);
    assert_eq!(alice.lost().await.code.get(), 1001);
    alice.until_state(State::Connected).await;
    assert!(since.elapsed() >= Duration::from_millis(600));
    alice.client.close().await;
    server.shutdown().await;
}
