//! A whole session at trace level, with failures: no part of a key or token above six characters in any
//! log line, error, event or `Debug` output.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::io;
use std::sync::{Arc, Mutex};

use metered_dev_server::{DevServer, KeyConfig, Target};
use metered_realtime::credential::TokenProviderError;
use metered_realtime::signalling::{SignallingOptions, State};
use support::{Watched, quick};

/// Collects everything that is written.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A part of the secret, longer than six characters, that the text has.
fn leak<'a>(text: &str, secret: &'a str) -> Option<&'a str> {
    let parts = (0..secret.len().saturating_sub(6)).map(|at| &secret[at..at + 7]);
    // What everybody may know: the prefix of keys, and the header that all tokens share.
    let known = ["pk_live", "k_live_"];
    parts.filter(|part| !known.contains(part)).find(|part| text.contains(part))
}

#[tokio::test]
async fn neither_key_nor_token_is_ever_told() {
    let sink = Sink::default();
    let writer = sink.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let key = "pk_live_4f6b1c0e9d8a7352";
    let config = KeyConfig { id: key.into(), ..KeyConfig::default() };
    let wire = Sink::default();
    let server =
        DevServer::builder().keys(vec![config]).log_to(wire.clone()).start().await.unwrap();
    let token = server.token("alice").unwrap();
    let mut said = String::new();

    let by_key = quick(SignallingOptions::with_api_key(key).unwrap(), &server);
    said += &format!("{by_key:?}");
    let mut alice = Watched::connected(by_key.clone()).await;
    said += &format!("{:?}", alice.client);
    alice.client.subscribe("c").await.unwrap();
    alice.client.publish("c", "data").await.unwrap();
    server.drop_connections(Target::all());
    said += &format!("{:?}", alice.lost().await);
    alice.until_state(State::Connected).await;
    server.refuse_upgrades(1, 401, Some(format!("no such key={key} here, {key}").into()), None);
    server.drop_connections(Target::all());
    alice.lost().await;
    let refused = alice.lost().await;
    said += &format!("{refused:?} {} {}", refused.error, refused.error.diagnosis());
    alice.client.close().await;

    let repeated = token.clone();
    let provider = move || {
        let token = repeated.clone();
        async move { Err::<String, _>(TokenProviderError::new(format!("got {token} and failed"))) }
    };
    let failing = Watched::new(quick(SignallingOptions::with_token_provider(provider), &server));
    let error = failing.client.connect().await.unwrap_err();
    said += &format!("{error:?} {error}");

    let by_token = quick(SignallingOptions::with_token(token.clone()).unwrap(), &server);
    said += &format!("{by_token:?}");
    let bob = Watched::connected(by_token).await;
    bob.client.close().await;
    server.shutdown().await;

    said += &String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    // The faults are this test's own words.
    let wire = String::from_utf8(wire.0.lock().unwrap().clone()).unwrap();
    said.extend(wire.lines().filter(|line| !line.contains(r#""event":"fault""#)));
    assert!(said.len() > 2_000, "the session was told of");
    for secret in [key, token.as_str()] {
        assert_eq!(leak(&said, secret), None);
    }
}
