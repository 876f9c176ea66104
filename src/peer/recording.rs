//! Records what a remote sends, as it arrives: `tests/traces` says how.

use std::time::Duration;

use super::{MeteredPeer, PeerOptions};
use crate::platform::tls::TlsOptions;

/// Joins a room, and leaves it after some seconds. `media::traces` writes what comes meanwhile.
#[tokio::test]
#[ignore = "needs a remote that sends: tests/traces/record.mjs"]
async fn record() {
    let given = |name: &str| std::env::var(format!("METERED_TRACE_{name}")).unwrap();
    let mut options = PeerOptions::with_token(given("TOKEN")).unwrap();
    options.signalling.url = given("URL");
    if let Ok(file) = std::env::var("METERED_TRACE_ROOTS") {
        let extra_roots_pem = vec![std::fs::read_to_string(file).unwrap()];
        options.signalling.tls = TlsOptions { extra_roots_pem, ..TlsOptions::default() };
    }
    let peer = MeteredPeer::new(options).unwrap();
    peer.join(&given("ROOM")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(given("SECONDS").parse().unwrap())).await;
    peer.close().await;
}
