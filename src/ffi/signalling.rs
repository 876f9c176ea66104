//! The signalling client.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::attempt::{self, Attempt};
use super::error::SdkError;
use super::event::{SignallingEvent, Welcome};
use super::inbox::Inbox;
use super::listener::SignallingListener;
use super::options::{Credential, SignallingOptions};
use super::runtime::{self, Closing};
use super::token_provider::{Asked, ProviderSlot, TokenProvider};
use crate::credential;
use crate::events::Events;
use crate::signalling::{
    Counters as SignallingCounters, Event, SendPriority, SignallingClient as Core,
    State as SignallingState, SubscribeOptions,
};
use crate::wire::Json;

/// What waits and what is under way.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PacingFigures {
    /// Requests of call set-up that wait for their turn.
    pub waiting_signalling: u64,
    /// Requests of the app that wait for their turn.
    pub waiting_app: u64,
    /// Requests that left, or are leaving, and are not answered yet.
    pub unanswered: u64,
}

/// A client of the service: pub/sub with presence, and data from peer to peer, over one connection that is
/// kept alive.
#[derive(uniffi::Object)]
pub struct SignallingClient {
    core: Core,
    inbox: Inbox<Events<Event>>,
    provider: Arc<ProviderSlot>,
    /// The connection belongs to a peer, which ends it.
    borrowed: bool,
    /// From the start of `shutdown` on: the state says closed before the last event was handed out.
    shut_down: AtomicBool,
}

impl SignallingClient {
    fn create(
        credential: credential::Credential,
        options: SignallingOptions,
        provider: Arc<ProviderSlot>,
    ) -> Result<Arc<Self>, SdkError> {
        let core = Core::new(options.into_core(credential))?;
        let inbox = Inbox::new(Some(core.events()));
        let client = Arc::new(Self::around(core, inbox, provider, false));
        let weak: Weak<Self> = Arc::downgrade(&client);
        runtime::register(weak);
        Ok(client)
    }

    fn around(
        core: Core,
        inbox: Inbox<Events<Event>>,
        provider: Arc<ProviderSlot>,
        borrowed: bool,
    ) -> Self {
        Self { core, inbox, provider, borrowed, shut_down: AtomicBool::new(false) }
    }

    /// A peer's client.
    pub(super) fn of_peer(core: Core, provider: Arc<ProviderSlot>) -> Arc<Self> {
        let inbox = Inbox::new(Some(core.events()));
        Arc::new(Self::around(core, inbox, provider, true))
    }
}

impl Closing for SignallingClient {
    fn end(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.shut_down.store(true, Ordering::Relaxed);
        Box::pin(async move {
            if !self.borrowed {
                self.core.close().await;
                self.provider.free();
            }
            self.inbox.end().await;
        })
    }
}

#[uniffi::export]
impl SignallingClient {
    /// A client at rest. Checks every option.
    #[uniffi::constructor]
    pub fn new(credential: Credential, options: SignallingOptions) -> Result<Arc<Self>, SdkError> {
        Self::create(credential.try_into()?, options, Arc::default())
    }

    /// A client that asks for a token before each connection.
    #[uniffi::constructor]
    pub fn with_token_provider(
        provider: Arc<dyn TokenProvider>,
        options: SignallingOptions,
    ) -> Result<Arc<Self>, SdkError> {
        let slot = ProviderSlot::new(provider);
        let credential = credential::Credential::Provider(Arc::new(Asked(Arc::clone(&slot))));
        Self::create(credential, options, slot)
    }

    /// Connects; done at the server's welcome. The first attempt is not repeated, every later drop is
    /// mended. Giving the call up does not end the attempt: `disconnect` does.
    pub async fn connect(&self) -> Result<(), SdkError> {
        if self.shut_down.load(Ordering::Relaxed) {
            return Err(SdkError::invalid_state("closed", "connect"));
        }
        let core = self.core.clone();
        runtime::run(async move { core.connect().await }).await
    }

    /// Ends the connection with a close code, 1000 or 3000 to 4999, and a reason of up to 123 bytes. The
    /// client can connect again.
    pub async fn disconnect(&self, close_code: u16, reason: String) -> Result<(), SdkError> {
        let core = self.core.clone();
        runtime::run(async move { core.close_with(close_code, &reason).await }).await
    }

    /// Ends the connection, and frees listener, token provider and tasks. The client is of no further use;
    /// events from before can still be pulled. A second call does nothing.
    pub async fn shutdown(self: Arc<Self>) -> Result<(), SdkError> {
        runtime::finish(self.end()).await
    }

    /// Receives a channel's messages and presence from now on, over reconnects too.
    #[uniffi::method(default(include_sender_metadata = false))]
    pub async fn subscribe(
        &self,
        channel: String,
        include_sender_metadata: bool,
    ) -> Result<(), SdkError> {
        let core = self.core.clone();
        let options = SubscribeOptions { include_sender_metadata };
        runtime::run(async move { core.subscribe_with(&channel, options).await }).await
    }

    /// Stops receiving a channel.
    pub async fn unsubscribe(&self, channel: String) -> Result<(), SdkError> {
        let core = self.core.clone();
        runtime::run(async move { core.unsubscribe(&channel).await }).await
    }

    /// Broadcasts JSON to a channel's subscribers but ourselves; done at the server's ack.
    pub async fn publish(&self, channel: String, data_json: String) -> Result<(), SdkError> {
        let (core, data) = (self.core.clone(), Json::parse(&data_json)?);
        runtime::run(async move { core.publish(&channel, &data).await }).await
    }

    /// Hands JSON to one peer; done at the server's ack.
    pub async fn send(
        &self,
        peer_id: String,
        data_json: String,
        priority: SendPriority,
    ) -> Result<(), SdkError> {
        let (core, data) = (self.core.clone(), Json::parse(&data_json)?);
        runtime::run(async move { core.send_with(&peer_id, &data, priority).await }).await
    }

    /// Where the client stands now.
    pub fn state(&self) -> Result<SignallingState, SdkError> {
        Ok(self.core.state())
    }

    /// Waits until the state is another one than `known`, and gives it. After `shutdown` it gives the state
    /// at once.
    pub async fn state_after(&self, known: SignallingState) -> Result<SignallingState, SdkError> {
        Ok(self.inbox.changed(self.core.watch_state(), known).await)
    }

    /// The present connection's welcome, if there is one.
    pub fn welcome(&self) -> Result<Option<Welcome>, SdkError> {
        Ok(self.core.connected().map(|said| (&*said).into()))
    }

    /// What waits for its turn, and what for its answer.
    pub fn pacing(&self) -> Result<PacingFigures, SdkError> {
        let pacing = self.core.pacing();
        Ok(PacingFigures {
            waiting_signalling: pacing.waiting_signalling as u64,
            waiting_app: pacing.waiting_app as u64,
            unanswered: pacing.unanswered as u64,
        })
    }

    /// What came and led to nothing, since `connect`.
    pub fn counters(&self) -> Result<SignallingCounters, SdkError> {
        Ok(self.core.counters())
    }

    /// The last attempt to connect, step by step: how long each took, and at which it failed. None before the
    /// first.
    pub fn last_attempt(&self) -> Result<Option<Attempt>, SdkError> {
        Ok(self.core.last_attempt().map(Into::into))
    }

    /// Asks the service for a sign of life and tells how long the answer took, in milliseconds. None without a
    /// connection, or if no answer came in time: then the connection is being replaced.
    pub async fn round_trip_ms(&self) -> Result<Option<f64>, SdkError> {
        let core = self.core.clone();
        runtime::finish(async move { core.round_trip().await.map(attempt::ms) }).await
    }

    /// The platform reports another network.
    pub fn network_changed(&self) -> Result<(), SdkError> {
        self.core.network_changed();
        Ok(())
    }

    /// The app went to the background.
    pub fn entered_background(&self) -> Result<(), SdkError> {
        self.core.entered_background();
        Ok(())
    }

    /// The app came to the foreground.
    pub fn entered_foreground(&self) -> Result<(), SdkError> {
        self.core.entered_foreground();
        Ok(())
    }

    /// The user asks for a connection now.
    pub fn reconnect_now(&self) -> Result<(), SdkError> {
        self.core.reconnect_now();
        Ok(())
    }

    /// Up to `max` events (1,024 at most), at least one; none after `shutdown`. Events since the client was
    /// made; up to 1,024 wait, beyond that the oldest are dropped and `Lagged` says how many.
    pub async fn next_events(&self, max: u32) -> Result<Vec<SignallingEvent>, SdkError> {
        self.inbox.pull(max, || self.core.events()).await
    }

    /// Hands all events to a listener, instead of one that was set before and of `next_events`.
    pub fn set_listener(&self, listener: Arc<dyn SignallingListener>) -> Result<(), SdkError> {
        self.inbox.listen(
            || self.core.events(),
            listener,
            |listener, events| async move { listener.on_events(events).await },
        )
    }

    /// Frees the listener.
    pub fn clear_listener(&self) -> Result<(), SdkError> {
        self.inbox.clear_listener();
        Ok(())
    }
}
