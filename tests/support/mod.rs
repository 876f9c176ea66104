//! A server, clients, and waiting for what they tell. Every wait is bounded.
#![allow(dead_code, unreachable_pub)] // each test file uses a part
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::time::Duration;

use metered_dev_server::{DEV_API_KEY, DevServer, DevServerHandle};
use metered_realtime::signalling::{
    Disconnected, Event, Events, ReconnectOptions, SignallingClient, SignallingOptions, State,
};

/// Longer than anything that should happen.
pub const LIMIT: Duration = Duration::from_secs(20);

pub async fn server() -> DevServerHandle {
    DevServer::builder().record().start().await.unwrap()
}

/// Options that come back quickly, so that tests do not wait.
pub fn quick(mut options: SignallingOptions, server: &DevServerHandle) -> SignallingOptions {
    options.url = server.url();
    options.reconnect = Some(ReconnectOptions {
        initial_delay: Duration::from_millis(20),
        max_delay: Duration::from_millis(200),
        ..ReconnectOptions::default()
    });
    options
}

pub fn by_key(server: &DevServerHandle) -> SignallingOptions {
    quick(SignallingOptions::with_api_key(DEV_API_KEY).unwrap(), server)
}

pub fn by_token(server: &DevServerHandle, peer_id: &str) -> SignallingOptions {
    let token = server.token(peer_id).unwrap();
    quick(SignallingOptions::with_token(token).unwrap(), server)
}

/// A client and its events.
pub struct Watched {
    pub client: SignallingClient,
    pub events: Events,
}

impl Watched {
    pub fn new(options: SignallingOptions) -> Self {
        let client = SignallingClient::new(options).unwrap();
        let events = client.events();
        Self { client, events }
    }

    pub async fn connected(options: SignallingOptions) -> Self {
        let mut watched = Self::new(options);
        watched.client.connect().await.unwrap();
        watched.until_state(State::Connected).await;
        watched
    }

    /// The first event that fits; others are passed over.
    pub async fn until<T>(&mut self, fits: impl Fn(&Event) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.next().await.expect("the client is there");
                if let Some(found) = fits(&event) {
                    return found;
                }
            }
        };
        within(found).await
    }

    pub async fn until_state(&mut self, wanted: State) {
        self.until(|event| match event {
            Event::StateChange { to, .. } if *to == wanted => Some(()),
            _ => None,
        })
        .await;
    }

    pub async fn lost(&mut self) -> std::sync::Arc<Disconnected> {
        self.until(|event| match event {
            Event::Disconnected(lost) => Some(lost.clone()),
            _ => None,
        })
        .await
    }

    /// The next message, broadcast or direct, as JSON text.
    pub async fn message(&mut self) -> String {
        self.until(|event| match event {
            Event::Message(message) => Some(message.data.as_str().to_owned()),
            Event::Direct(direct) => Some(direct.data.as_str().to_owned()),
            _ => None,
        })
        .await
    }

    /// The next presence of a channel: ids that joined, ids that left, whether it is the snapshot.
    pub async fn presence(&mut self, channel: &str) -> (Vec<String>, Vec<String>, bool) {
        self.until(|event| match event {
            Event::Presence { presence, snapshot } if presence.channel == channel => {
                let ids = |peers: &[metered_realtime::wire::PresencePeer]| {
                    peers.iter().map(|peer| peer.peer_id.clone()).collect::<Vec<_>>()
                };
                Some((ids(&presence.joined), ids(&presence.left), *snapshot))
            }
            _ => None,
        })
        .await
    }
}

/// Fails a test that waits for what does not come.
pub async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what).await.expect("it happens in time")
}
