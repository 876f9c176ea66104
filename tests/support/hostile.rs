//! A room of ours with a well-behaved peer and an attacker.
#![allow(dead_code, unreachable_pub)] // each test file uses a part

use std::time::Duration;

use futures_util::StreamExt;
use metered_dev_server::{DevServer, DevServerHandle, Limits};
use metered_realtime::peer::*;
use metered_realtime::signalling::{Event, SendPriority, SignallingClient, SignallingOptions};
use serde_json::{Value, json};

use super::footprint::resident_kib;
use super::room::Pair;
use super::support::{Watched, by_token, within};

/// Sends under way at once: more than the server hands to a socket at once, fewer than it keeps for a slow reader.
/// They count as growth too: attacker, server and victim share a process.
const AT_ONCE: usize = 64;
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub struct Scene {
    pub server: DevServerHandle,
    /// Alice is ours, Bob is well-behaved.
    pub pair: Pair,
    /// The attacker, as Alice sees it.
    pub mallory: RemotePeer,
    attacker: Watched,
    resident_kib: u64,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

pub fn unpaced(server: &DevServerHandle, id: &str) -> SignallingOptions {
    let mut options = by_token(server, id);
    options.pacing = None;
    options
}

pub async fn throw_at_alice(client: &SignallingClient, said: impl IntoIterator<Item = Value>) {
    let sends = said.into_iter().map(|data| async move {
        client.send_with("alice", &data, SendPriority::Signalling).await.unwrap();
    });
    within(futures_util::stream::iter(sends).buffered(AT_ONCE).collect::<()>()).await;
}

impl Scene {
    pub async fn begin(attacker: &str) -> Self {
        let turn = TURN.lock().await;
        let limits =
            Limits { messages_per_second: 0.0, max_message_size: 1024 * 1024, ..Limits::default() };
        let server = DevServer::builder().limits(limits).start().await.unwrap();
        let mut pair = Pair::connected(&server, DataChannelOptions::default()).await;
        let watched = Watched::connected(unpaced(&server, attacker)).await;
        watched.client.subscribe("room").await.unwrap();
        let mallory = pair.a.other().await;
        assert_eq!(mallory.id(), attacker);
        let resident_kib = resident_kib();
        Self { server, pair, mallory, attacker: watched, resident_kib, _turn: turn }
    }

    /// The attacker sends; done when all of it has reached Alice's room.
    pub async fn throw(&mut self, said: impl IntoIterator<Item = Value>) {
        throw_at_alice(&self.attacker.client, said).await;
        throw_at_alice(&self.attacker.client, [json!("thrown")]).await;
        let thrown = |event: &PeerEvent| match event {
            PeerEvent::Data(data) if data.data.as_str() == "\"thrown\"" => Some(()),
            _ => None,
        };
        self.pair.a.until(thrown).await;
    }

    /// Whatever of the attacker's led to nothing, once it does not change any more.
    pub async fn dropped(&self) -> u64 {
        let now = || {
            let remote = self.mallory.counters();
            let peer = self.pair.a.peer.counters();
            remote.stale_answers
                + remote.candidates
                + remote.ignored_offers
                + remote.signals_overflow
                + peer.signals_overflow
        };
        let mut before = now();
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            // The actor has taken what was before this.
            within(self.mallory.stats()).await.unwrap();
            let after = now();
            if std::mem::replace(&mut before, after) == after {
                return after;
            }
        }
    }

    /// For what the attacker began to come to an end.
    pub async fn pause(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// Signals that the attacker got, by what they contain.
    pub fn received(&mut self, what: &str) -> usize {
        let mut count = 0;
        while let Some(event) = self.attacker.events.try_next() {
            count += usize::from(
                matches!(event, Event::Direct(direct) if direct.data.as_str().contains(what)),
            );
        }
        count
    }

    /// Until the attacker got a signal that contains this.
    pub async fn until_received(&mut self, what: &str) {
        let fits = |event: &Event| match event {
            Event::Direct(direct) if direct.data.as_str().contains(what) => Some(()),
            _ => None,
        };
        self.attacker.until(fits).await;
    }

    /// The others talk on, nothing grew beyond the bound, and `close` returns.
    pub async fn end(mut self, most_kib: u64) {
        self.pair.talk("still here").await;
        let grown = resident_kib().saturating_sub(self.resident_kib);
        assert!(grown < most_kib, "{grown} KiB");
        within(self.pair.close()).await;
        self.attacker.client.close().await;
        self.server.shutdown().await;
    }
}

/// Waits for something that is only seen by looking.
pub async fn until(fits: impl Fn() -> bool) {
    let found = async {
        while !fits() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(found).await;
}

pub fn description(kind: &str, sdp: &str) -> Value {
    json!({"type": "rtc-description", "description": {"type": kind, "sdp": sdp}})
}

/// A valid offer of a data channel, with a key and a generation of its own.
pub fn offer(n: usize) -> String {
    let key: Vec<String> =
        (0..32).map(|byte| format!("{:02X}", (n >> (byte % 4 * 8)) & 255)).collect();
    format!(
        "v=0\r\no=- {n} 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         a=fingerprint:sha-256 {}\r\na=setup:actpass\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n\
         a=sendrecv\r\na=sctp-port:5000\r\na=max-message-size:262144\r\na=ice-ufrag:frag{n}\r\n\
         a=ice-pwd:0123456789abcdef01234567\r\n",
        key.join(":")
    )
}
