//! A refusal of the upgrade is read with its status and code, and judged by it.

mod support;

use std::time::{Duration, Instant};

use metered_dev_server::{DevServer, KeyConfig, Target};
use metered_realtime::signalling::{ConnectError, SignallingOptions, State};
use serde_json::json;
use support::{Watched, by_key, by_token, quick, server};

#[tokio::test]
async fn status_and_code_reach_the_caller() {
    let server = server().await;
    let watched = Watched::new(by_key(&server));
    server.refuse_upgrades(1, 401, Some(json!({ "error": "origin_not_allowed" })), None);
    let error = watched.client.connect().await.unwrap_err();
    assert_eq!(error.name(), "SignallingConnectError");
    assert_eq!((error.http_status(), error.http_code()), (Some(401), Some("origin_not_allowed")));
    assert_eq!(error.close_code().get(), 1006);
    assert_eq!(watched.client.state(), State::Closed);

    server.refuse_upgrades(1, 403, Some("<h1>Forbidden</h1>".into()), None);
    let ConnectError::Http(refusal) = watched.client.connect().await.unwrap_err() else { panic!() };
    assert_eq!((refusal.code, refusal.body.as_deref()), (None, Some("<h1>Forbidden</h1>")));
    watched.client.connect().await.unwrap();
    watched.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn an_endless_body_is_read_to_sixteen_kibibytes() {
    let server = server().await;
    let watched = Watched::new(by_key(&server));
    let line = "x".repeat(99) + "\n";
    server.refuse_upgrades(1, 500, Some(line.repeat(1_000).into()), None);
    let ConnectError::Http(refusal) = watched.client.connect().await.unwrap_err() else { panic!() };
    let length = refusal.body.unwrap().len();
    assert!((16_000..=16_384).contains(&length), "{length}");
    server.shutdown().await;
}

#[tokio::test]
async fn a_fixed_credential_is_not_tried_twice() {
    let server = server().await;
    let mut watched = Watched::connected(by_key(&server)).await;
    server.refuse_upgrades(1, 401, None, None);
    server.drop_connections(Target::all());
    assert!(watched.lost().await.will_reconnect);
    let last = watched.lost().await;
    assert_eq!((last.will_reconnect, last.error.http_status()), (false, Some(401)));
    assert_eq!(watched.client.state(), State::Closed);
    server.shutdown().await;
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let server = server().await;
    let mut watched = Watched::connected(by_key(&server)).await;
    server.refuse_upgrades(1, 429, Some(json!({ "error": "rate_limited" })), Some(1));
    // Before the refusal: the client waits from then on, not from when its app has the event.
    let since = Instant::now();
    server.drop_connections(Target::all());
    watched.lost().await;
    let refused = watched.lost().await;
    assert_eq!(refused.error.http_status(), Some(429));
    watched.until_state(State::Connected).await;
    assert!(since.elapsed() >= Duration::from_secs(1));
    watched.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn the_origin_option_and_headers_are_sent() {
    let key = KeyConfig { allowed_origins: vec!["https://app".into()], ..KeyConfig::default() };
    let server = DevServer::builder().keys(vec![key]).start().await.unwrap();
    let mut options = by_key(&server);
    options.headers = vec![("X-Trace".into(), "1".into())];
    let none = Watched::new(options.clone());
    none.client.connect().await.unwrap();
    none.client.close().await;
    options.origin = Some("https://other".into());
    let other = Watched::new(options.clone());
    let error = other.client.connect().await.unwrap_err();
    assert_eq!(error.code(), "origin_not_allowed");
    options.origin = Some("https://app".into());
    let right = Watched::new(options);
    right.client.connect().await.unwrap();
    right.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn nobody_there_is_told_from_somebody_else_there() {
    // Held and not listening: it refuses, and no other test gets it meanwhile.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = nobody.local_addr().unwrap();
    let mut options = SignallingOptions::with_api_key("pk_live_dev").unwrap();
    options.url = format!("ws://{address}");
    let error = Watched::new(options.clone()).client.connect().await.unwrap_err();
    assert_eq!(error.code(), "connect_failed");
    options.url = "wss://name.invalid".into();
    let error = Watched::new(options).client.connect().await.unwrap_err();
    assert_eq!(error.code(), "dns_failed");
}

#[tokio::test]
async fn close_codes_right_after_the_upgrade_are_refusals_too() {
    let server = server().await;
    let wrong = SignallingOptions::with_api_key("pk_live_wrong").unwrap();
    let error = Watched::new(quick(wrong, &server)).client.connect().await.unwrap_err();
    assert_eq!((error.code().as_ref(), error.close_code().get()), ("invalid_token", 4001));
    server.concurrent_limit(1);
    let first = Watched::connected(by_token(&server, "a")).await;
    let error = Watched::new(by_token(&server, "b")).client.connect().await.unwrap_err();
    assert_eq!(error.close_code().get(), 4010);
    server.suspend(true);
    let error = Watched::new(by_token(&server, "c")).client.connect().await.unwrap_err();
    assert_eq!(error.close_code().get(), 4012);
    first.client.close().await;
    server.shutdown().await;
}
