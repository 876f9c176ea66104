//! A client and what it saw, for the steps to wait on.

use std::time::Instant;

use metered_dev_server::DevServerHandle;
use metered_realtime::signalling::{Event, Events, SignallingClient, SignallingOptions, State};

pub(super) struct Watched {
    pub(super) client: SignallingClient,
    events: Events,
    pub(super) name: &'static str,
}

impl Watched {
    pub(super) fn new(
        server: &DevServerHandle,
        name: &'static str,
        mut options: SignallingOptions,
    ) -> Result<Self, String> {
        options.url = server.url();
        let client = SignallingClient::new(options).map_err(|error| error.to_string())?;
        let events = client.events();
        Ok(Self { client, events, name })
    }

    pub(super) async fn connect(&self) -> Result<(), String> {
        self.client.connect().await.map_err(|error| format!("{}: {error}", self.name))
    }

    pub(super) async fn subscribe(&self, channel: &str) -> Result<(), String> {
        let subscribed = self.client.subscribe(channel).await;
        subscribed.map_err(|error| format!("{}: {error}", self.name))
    }

    /// Waits for an event, passing over others.
    pub(super) async fn until<T>(
        &mut self,
        wanted: impl Fn(&Event) -> Option<T>,
    ) -> Result<T, String> {
        while let Some(event) = self.events.next().await {
            if let Some(found) = wanted(&event) {
                return Ok(found);
            }
        }
        Err(format!("{}: the client is gone", self.name))
    }

    /// Waits for a message with this text; answers who sent it.
    pub(super) async fn hears(&mut self, text: &str) -> Result<String, String> {
        self.until(|event| match event {
            Event::Message(message) if message.data.to::<String>().ok()? == text => {
                Some(message.from.clone())
            }
            Event::Direct(direct) if direct.data.to::<String>().ok()? == text => {
                Some(direct.from.clone())
            }
            _ => None,
        })
        .await
    }

    pub(super) async fn until_state(&mut self, wanted: State) -> Result<Instant, String> {
        self.until(|event| match event {
            Event::StateChange { to, .. } if *to == wanted => Some(Instant::now()),
            _ => None,
        })
        .await
    }
}
