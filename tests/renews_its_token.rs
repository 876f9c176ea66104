//! The provider is asked ahead of the token's end, and 4002 is retried while it has something new.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use metered_dev_server::{DevServerHandle, Target, TokenClaims};
use metered_realtime::credential::TokenProviderError;
use metered_realtime::signalling::{Event, SignallingOptions, State};
use support::{Watched, quick, server};

/// A provider that mints anew, each token with this life, and counts.
fn minting(server: &DevServerHandle, life: Duration) -> (SignallingOptions, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let asked = Arc::clone(&count);
    let provider = move || {
        let n = asked.fetch_add(1, Ordering::Relaxed);
        let mut claims = TokenClaims::new("alice").lasting(life);
        claims.metadata = Some(serde_json::json!({ "n": n }));
        let token = claims.mint("sk_id_dev", "sk_secret_dev");
        async move { token.map_err(TokenProviderError::new) }
    };
    (quick(SignallingOptions::with_token_provider(provider), server), count)
}

#[tokio::test]
async fn no_message_is_lost_over_a_renewal() {
    let server = server().await;
    let (options, asked) = minting(&server, Duration::from_secs(3));
    let mut alice = Watched::connected(options).await;
    let mut bob = Watched::connected(support::by_token(&server, "bob")).await;
    bob.client.subscribe("c").await.unwrap();
    let sender = alice.client.clone();
    let publishing = tokio::spawn(async move {
        for n in 0..60_u32 {
            sender.publish("c", &n).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    for n in 0..60_u32 {
        assert_eq!(bob.message().await, n.to_string());
    }
    publishing.await.unwrap();
    let lost = alice.lost().await;
    assert_eq!((lost.error.code().as_ref(), lost.will_reconnect), ("renewal", true));
    assert!(asked.load(Ordering::Relaxed) >= 2);
    alice.client.close().await;
    bob.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn expired_by_the_server_means_a_new_token_and_a_new_connection() {
    let server = server().await;
    let (options, asked) = minting(&server, Duration::from_secs(600));
    let mut alice = Watched::connected(options).await;
    server.expire_tokens(Target::all());
    assert_eq!(alice.lost().await.code.get(), 4002);
    alice.until_state(State::Connected).await;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    alice.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn the_same_token_again_is_the_end() {
    let server = server().await;
    let token = server.token("alice").unwrap();
    let provider = move || {
        let token = token.clone();
        async move { Ok(token) }
    };
    let mut alice =
        Watched::connected(quick(SignallingOptions::with_token_provider(provider), &server)).await;
    server.expire_tokens(Target::all());
    assert!(alice.lost().await.will_reconnect);
    let last = alice.lost().await;
    assert_eq!((last.code.get(), last.will_reconnect), (4002, false));
    alice.until_state(State::Closed).await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_provider_that_fails_panics_or_hangs_is_told_from_the_third_time_on() {
    let server = server().await;
    let token = server.token("alice").unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let provider = move || {
        let (n, token) = (calls.fetch_add(1, Ordering::Relaxed), token.clone());
        async move {
            match n {
                0 => Ok(token),
                1 => Err(TokenProviderError::new("backend down")),
                2 => panic!("on purpose"),
                3 => std::future::pending().await,
                _ => Ok(token),
            }
        }
    };
    let mut options = quick(SignallingOptions::with_token_provider(provider), &server);
    options.token_provider_timeout = Duration::from_millis(100);
    let mut alice = Watched::connected(options).await;
    server.drop_connections(Target::all());
    let (failures, code) = alice
        .until(|event| match event {
            Event::TokenProviderError { consecutive_failures, error } => {
                Some((*consecutive_failures, error.code()))
            }
            _ => None,
        })
        .await;
    assert_eq!((failures, code), (3, "token_provider_timeout"));
    alice.until_state(State::Connected).await;
    alice.client.close().await;
    server.shutdown().await;
}
