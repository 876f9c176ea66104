//! Two connections and what passes between them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::CrateEngine;
use crate::rtc::engine::*;
use crate::rtc::runtime::{AddressSource, NetworkContext};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn loopback() -> NetworkContext {
    let addresses = AddressSource::Given(Arc::new(|| vec![[127, 0, 0, 1].into()]));
    NetworkContext { addresses, ..NetworkContext::default() }
}

pub(super) struct Side {
    pub(super) engine: CrateEngine,
    pub(super) connection: Arc<dyn Connection>,
    events: mpsc::UnboundedReceiver<ConnectionEvent>,
    channels: Vec<Arc<dyn Channel>>,
    tracks: Vec<ConnectionEvent>,
}

impl Side {
    pub(super) async fn new() -> Self {
        Self::with(loopback(), ConnectionConfig::default()).await
    }

    pub(super) async fn with(network: NetworkContext, config: ConnectionConfig) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let engine = CrateEngine::new(Arc::new(network));
        let connection = engine.connect(&config, sender).await.unwrap();
        Self { engine, connection, events, channels: Vec::new(), tracks: Vec::new() }
    }

    pub(super) async fn until(&mut self, wanted: impl Fn(&ConnectionEvent) -> bool) {
        self.take(wanted).await;
    }

    /// [`until`](Self::until), and tracks that come meanwhile are seen first.
    pub(super) async fn take(&mut self, mut wanted: impl FnMut(&ConnectionEvent) -> bool) {
        if let Some(at) = self.tracks.iter().position(&mut wanted) {
            self.tracks.remove(at);
            return;
        }
        let search = async {
            while let Some(event) = self.events.recv().await {
                let found = wanted(&event);
                match event {
                    ConnectionEvent::Channel(channel) => self.channels.push(channel),
                    ConnectionEvent::Track(_) if !found => self.tracks.push(event),
                    _ => {}
                }
                if found {
                    return;
                }
            }
            panic!("the events ended");
        };
        tokio::time::timeout(PATIENCE, search).await.expect("the event did not come");
    }

    /// Whether such an event waits already; what waits is taken.
    pub(super) fn saw(&mut self, wanted: impl Fn(&ConnectionEvent) -> bool) -> bool {
        std::iter::from_fn(|| self.events.try_recv().ok()).any(|event| wanted(&event))
    }

    pub(super) async fn gathered(&mut self) {
        self.until(|event| matches!(event, ConnectionEvent::GatheringComplete)).await;
    }

    pub(super) async fn channel(&mut self) -> Arc<dyn Channel> {
        while self.channels.is_empty() {
            self.until(|event| matches!(event, ConnectionEvent::Channel(_))).await;
        }
        self.channels.remove(0)
    }
}

pub(super) fn reliable(label: &str) -> ChannelInit {
    ChannelInit::reliable(label)
}

/// Offer and answer with all candidates inside.
pub(super) async fn negotiate(one: &mut Side, two: &mut Side, restart: bool) {
    one.connection.offer(restart).await.unwrap();
    one.gathered().await;
    two.connection.apply_remote(one.connection.local_description().await.unwrap()).await.unwrap();
    two.connection.answer().await.unwrap();
    two.gathered().await;
    one.connection.apply_remote(two.connection.local_description().await.unwrap()).await.unwrap();
}

/// Hands over what each has gathered by now, for descriptions that left without: at least one.
pub(super) async fn exchange_candidates(one: &mut Side, two: &mut Side) {
    for (from, to) in [(&*one, &*two), (&*two, &*one)] {
        let search = async {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let description = from.connection.local_description().await.unwrap();
                if description.sdp.contains("a=candidate:") {
                    return description;
                }
            }
        };
        let description = tokio::time::timeout(PATIENCE, search).await.expect("no candidate");
        for line in description.sdp.lines().filter_map(|line| line.strip_prefix("a=")) {
            if line.starts_with("candidate:") {
                let candidate = crate::wire::IceCandidate {
                    candidate: line.trim_end().into(),
                    ..Default::default()
                };
                to.connection.add_candidate(candidate).await.unwrap();
            }
        }
    }
}

pub(super) async fn opened(channel: &dyn Channel) {
    let search = async { while !matches!(channel.next().await, Some(ChannelEvent::Open)) {} };
    tokio::time::timeout(PATIENCE, search).await.expect("the channel did not open");
}

pub(super) async fn message(channel: &dyn Channel) -> ChannelMessage {
    let search = async {
        loop {
            if let ChannelEvent::Message(message) = channel.next().await.expect("it ended") {
                return message;
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("no message came")
}
