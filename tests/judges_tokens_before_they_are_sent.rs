//! A token that cannot work never reaches the server; what it does not allow is not asked for.

mod support;

use metered_dev_server::{DEV_SECRET, TokenClaims};
use metered_realtime::signalling::{RequestError, SignallingOptions};
use serde_json::json;
use support::{Watched, quick, server};

#[tokio::test]
async fn preflight_refuses_and_can_be_turned_off() {
    let server = server().await;
    let mut claims = TokenClaims::new("alice");
    claims.sub = Some(json!(7));
    let token = server.mint(&claims).unwrap();
    let mut options = quick(SignallingOptions::with_token(token).unwrap(), &server);
    let error = Watched::new(options.clone()).client.connect().await.unwrap_err();
    assert_eq!((error.preflight(), error.http_status()), (Some("sub_not_string"), None));
    assert!(server.log().is_empty(), "nothing was sent");
    options.preflight = false;
    let error = Watched::new(options).client.connect().await.unwrap_err();
    assert_eq!((error.preflight(), error.http_status()), (None, Some(401)));
    server.shutdown().await;
}

#[tokio::test]
async fn channels_and_actions_of_the_claims_are_known_before_a_request() {
    let server = server().await;
    let mut claims = TokenClaims::new("alice");
    claims.channels = Some(vec!["rooms/*".into()]);
    claims.permissions = Some(vec!["subscribe".into(), "publish".into()]);
    let token = server.mint(&claims).unwrap();
    let options = quick(SignallingOptions::with_token(token).unwrap(), &server);
    let watched = Watched::connected(options).await;
    let code = |result: Result<(), RequestError>| result.unwrap_err().code().to_owned();
    assert_eq!(code(watched.client.subscribe("hall").await), "channel_not_in_claim");
    assert_eq!(code(watched.client.publish("hall", &1).await), "channel_not_in_claim");
    assert_eq!(code(watched.client.send("bob", &1).await), "send_not_permitted");
    watched.client.subscribe("rooms/1").await.unwrap();
    let sent = server.log().iter().filter(|entry| entry.event == "in").count();
    assert_eq!(sent, 1, "only what is allowed left");
    watched.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_token_signed_by_another_key_is_the_servers_to_refuse() {
    let server = server().await;
    let token = TokenClaims::new("alice").mint("sk_id_other", DEV_SECRET).unwrap();
    let options = quick(SignallingOptions::with_token(token).unwrap(), &server);
    let error = Watched::new(options).client.connect().await.unwrap_err();
    assert_eq!(error.code(), "invalid_token");
    server.shutdown().await;
}
