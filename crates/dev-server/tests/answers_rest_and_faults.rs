//! The five REST endpoints with their errors, and the faults over HTTP.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::time::Duration;

use metered_dev_server::{Action, DevServer, SecretConfig};
use serde_json::json;
use support::{Raw, http};

const BEARER: Option<&str> = Some("sk_id_dev:sk_secret_dev");

#[tokio::test]
async fn tokens_are_minted_within_the_keys_rights() {
    let secret = SecretConfig {
        channels: vec!["app/**".into()],
        actions: vec![Action::Subscribe, Action::Publish],
        ..SecretConfig::default()
    };
    let server = DevServer::builder().secrets(vec![secret]).start().await.unwrap();
    let ask = async |body: serde_json::Value| {
        let (status, answer) = http(&server, "POST", "/v1/tokens", BEARER, &body.to_string()).await;
        (status, answer["error"].as_str().unwrap_or_default().to_owned(), answer)
    };
    let (status, _, answer) =
        ask(json!({ "peerId": "a", "channels": ["app/x"], "expiresInSec": 60 })).await;
    assert_eq!(status, 200);
    assert!(answer["expiresAt"].is_u64());
    let token = answer["token"].as_str().unwrap();
    let mut raw = Raw::open(&server, &format!("token={token}")).await.unwrap();
    assert_eq!(raw.next().await["peerId"], "a");
    for (body, status, code) in [
        (json!({}), 400, "invalid_request"),
        (json!({ "peerId": "" }), 400, "invalid_request"),
        (json!({ "peerId": "a", "expiresInSec": 86_401 }), 400, "invalid_request"),
        (json!({ "peerId": "a", "metadata": { "x": "y".repeat(9_000) } }), 400, "invalid_request"),
        (json!({ "peerId": "a", "channels": ["other"] }), 403, "channel_not_authorized"),
        (json!({ "peerId": "a", "permissions": ["send"] }), 403, "action_not_permitted"),
        (json!({ "peerId": "a", "permissions": ["fly"] }), 400, "invalid_request"),
    ] {
        let (got, error, _) = ask(body.clone()).await;
        assert_eq!((got, error.as_str()), (status, code), "{body}");
    }
    let large = json!({ "peerId": "a", "metadata": { "x": "y".repeat(40_000) } });
    assert_eq!(ask(large).await.0, 413);
    server.shutdown().await;
}

#[tokio::test]
async fn credentials_and_paths_are_checked() {
    let server = DevServer::builder().start().await.unwrap();
    for bearer in [None, Some("sk_id_dev"), Some("sk_id_dev:wrong"), Some("pk_live_dev")] {
        let (status, answer) = http(&server, "GET", "/v1/usage", bearer, "").await;
        assert_eq!((status, answer["error"].as_str()), (401, Some("unauthorized")), "{bearer:?}");
    }
    for (method, path) in [("GET", "/v1/nothing"), ("GET", "/v1/tokens"), ("POST", "/v1/usage")] {
        assert_eq!(http(&server, method, path, BEARER, "").await.0, 404, "{method} {path}");
    }
    assert_eq!(http(&server, "GET", "/v1", None, "").await.0, 426, "a socket is wanted there");
    server.shutdown().await;
}

#[tokio::test]
async fn a_backend_publishes_lists_kicks_and_counts() {
    let server = DevServer::builder().start().await.unwrap();
    let mut alice = Raw::named(&server, "alice").await;
    alice.subscribe("a/b c").await;
    let path = "/v1/channels/a%2Fb%20c";
    let (_, peers) = http(&server, "GET", &format!("{path}/peers"), BEARER, "").await;
    assert_eq!(peers, json!({ "channel": "a/b c", "peers": [{ "peerId": "alice" }] }));
    let publish = format!("{path}/publish");
    let body = r#"{"data":[1],"from":"backend"}"#;
    assert_eq!(http(&server, "POST", &publish, BEARER, body).await.0, 200);
    let expected = json!({ "type": "message", "channel": "a/b c", "from": "backend", "data": [1] });
    assert_eq!(alice.next().await, expected);
    assert_eq!(http(&server, "POST", &publish, BEARER, r#"{"data":null}"#).await.0, 200);
    assert_eq!(alice.next().await["from"], "system");
    assert_eq!(http(&server, "POST", &publish, BEARER, "{}").await.0, 400);
    let reserved = http(&server, "GET", "/v1/channels/_system%2Fx/peers", BEARER, "").await;
    assert_eq!((reserved.0, &reserved.1["error"]), (400, &json!("channel_reserved")));

    let usage = http(&server, "GET", "/v1/usage", BEARER, "").await.1;
    assert_eq!((&usage["concurrentNow"], &usage["peakConcurrent"]), (&json!(1), &json!(1)));
    let kick = http(&server, "DELETE", "/v1/peers/alice", BEARER, "").await.1;
    assert_eq!(kick, json!({ "peerId": "alice", "closed": 1 }));
    assert_eq!(alice.closed().await, Some(4020));
    let nobody = http(&server, "DELETE", "/v1/peers/nobody", BEARER, "").await;
    assert_eq!((nobody.0, &nobody.1["closed"]), (200, &json!(0)));
    server.shutdown().await;
}

#[tokio::test]
async fn faults_are_injected_over_http() {
    let server = DevServer::builder().record().start().await.unwrap();
    let fault = async |name: &str, body: serde_json::Value| {
        http(&server, "POST", &format!("/_dev/{name}"), None, &body.to_string()).await
    };
    let mut alice = Raw::named(&server, "alice").await;
    let mut bob = Raw::named(&server, "bob").await;
    let state = http(&server, "GET", "/_dev/state", None, "").await.1;
    assert_eq!(state["connections"][0]["peerId"], "alice");
    assert_eq!(
        fault("close", json!({ "code": 4001, "peerId": "alice" })).await.1["connections"],
        1
    );
    assert_eq!(alice.closed().await, Some(4001));
    assert_eq!(fault("drop", json!({ "connection": 2 })).await.1["connections"], 1);
    assert_eq!(bob.closed().await, None);
    assert_eq!(fault("no-such", json!({})).await.0, 400);
    assert_eq!(fault("close", json!({ "kode": 1 })).await.0, 400);

    fault("refuse-upgrades", json!({ "count": 1, "status": 503, "body": { "error": "x" } })).await;
    assert_eq!(Raw::open(&server, "key=pk_live_dev").await.err(), Some(503));
    fault("replace-welcome", json!({ "count": 1, "text": "{}" })).await;
    let mut odd = Raw::open(&server, "key=pk_live_dev").await.unwrap();
    assert_eq!(odd.next().await, json!({}));

    let mut carol = Raw::named(&server, "carol").await;
    fault("snapshot", json!({ "mode": "before-ack" })).await;
    let request = r#"{"type":"subscribe","channel":"c","requestId":"1"}"#;
    assert_eq!(carol.ask(request).await["type"], "presence");
    assert_eq!(carol.next().await["type"], "ack");
    fault("snapshot", json!({ "mode": "omit" })).await;
    assert_eq!(carol.ask(request).await["type"], "ack");
    assert!(carol.hears_nothing().await);
    fault("reset", json!({})).await;
    fault("ghost", json!({ "channel": "c", "peerId": "ghost", "ms": 100 })).await;
    assert_eq!(carol.next().await["joined"][0]["peerId"], "ghost");
    assert_eq!(carol.next().await["left"][0]["peerId"], "ghost");
    fault("lose-acks", json!({ "count": 1, "of": "publish" })).await;
    carol.write(r#"{"type":"publish","channel":"c","data":1,"requestId":"2"}"#).await;
    assert!(carol.hears_nothing().await);
    fault("fail-requests", json!({ "count": 1, "code": "backend_error" })).await;
    assert_eq!(carol.ask(request).await["code"], "backend_error");
    fault("quota", json!({ "exhausted": true })).await;
    let publish = r#"{"type":"publish","channel":"c","data":1,"requestId":"3"}"#;
    assert_eq!(carol.ask(publish).await["code"], "over_message_quota");
    fault("going-away", json!({ "retryAfterMs": 5, "closeAfterMs": 0 })).await;
    assert_eq!(carol.next().await, json!({ "type": "going_away", "retryAfterMs": 5 }));
    assert_eq!(carol.closed().await, Some(1001));
    let log = http(&server, "GET", "/_dev/log", None, "").await.1;
    assert!(log.as_str().unwrap().lines().count() > 10);
    server.shutdown().await;
}

/// In virtual time: what waits for nothing takes none.
#[tokio::test(start_paused = true)]
async fn a_ghost_ends_with_the_server() {
    let server = DevServer::builder().start().await.unwrap();
    server.ghost("room", "carol", Duration::from_secs(40));
    let began = tokio::time::Instant::now();
    server.shutdown().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[test]
fn a_ghost_may_be_asked_for_outside_a_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(DevServer::builder().start()).unwrap();
    server.ghost("room", "carol", Duration::from_secs(40));
    runtime.block_on(server.shutdown());
}

#[tokio::test]
async fn it_binds_elsewhere_only_with_tls_or_when_told_to() {
    let anywhere = |insecure_lan| metered_dev_server::Config {
        host: "0.0.0.0".parse().unwrap(),
        insecure_lan,
        ..metered_dev_server::Config::default()
    };
    let refused = DevServer::builder().config(anywhere(false)).start().await.unwrap_err();
    assert_eq!(refused.code(), "not_this_machine");
    let open = DevServer::builder().config(anywhere(true)).start().await.unwrap();
    assert!(open.banner().contains("REACHABLE FROM OTHER MACHINES"));
    open.shutdown().await;
}
