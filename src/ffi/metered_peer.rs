//! The peer of a room.

use std::pin::Pin;
use std::sync::{Arc, Weak};

use super::SignallingClient;
use super::error::SdkError;
use super::event::{PeerEvent, PeerFailure};
use super::inbox::Inbox;
use super::listener::PeerListener;
use super::options::{Credential, PeerOptions};
use super::remote_peer::{RemotePeer, unix_ms};
use super::runtime::{self, Closing};
use super::token_provider::{Asked, ProviderSlot, TokenProvider};
use crate::credential;
use crate::peer::{
    JoinOptions, MeteredPeer as Core, PeerCounters, PeerEvent as Event, PeerState, StateChange,
};
use crate::wire::Json;

/// One change of a peer's state.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PeerStateChange {
    /// When, by the device's clock, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The state before.
    pub from: PeerState,
    /// The state after.
    pub to: PeerState,
    /// Why, in a few words.
    pub reason: String,
}

impl From<StateChange<PeerState>> for PeerStateChange {
    fn from(change: StateChange<PeerState>) -> Self {
        let StateChange { at, from, to, reason } = change;
        Self { at_unix_ms: unix_ms(at), from, to, reason: reason.to_owned() }
    }
}

/// A peer in a room: it knows who is there, is connected to everyone, and stays so. It joins one room in
/// its life.
#[derive(uniffi::Object)]
pub struct MeteredPeer {
    core: Core,
    inbox: Inbox<Event>,
    provider: Arc<ProviderSlot>,
}

impl MeteredPeer {
    fn create(
        credential: credential::Credential,
        options: PeerOptions,
        provider: Arc<ProviderSlot>,
    ) -> Result<Arc<Self>, SdkError> {
        let core = Core::new(options.into_core(credential)?)?;
        let inbox = Inbox::new(Some(core.events()));
        let peer = Arc::new(Self { core, inbox, provider });
        let weak: Weak<Self> = Arc::downgrade(&peer);
        runtime::register(weak);
        Ok(peer)
    }
}

impl Closing for MeteredPeer {
    fn end(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            self.core.close().await;
            self.provider.free();
            self.inbox.end().await;
        })
    }
}

#[uniffi::export]
impl MeteredPeer {
    /// A peer at rest. Checks every option.
    #[uniffi::constructor]
    pub fn new(credential: Credential, options: PeerOptions) -> Result<Arc<Self>, SdkError> {
        Self::create(credential.try_into()?, options, Arc::default())
    }

    /// A peer that asks for a token before each connection.
    #[uniffi::constructor]
    pub fn with_token_provider(
        provider: Arc<dyn TokenProvider>,
        options: PeerOptions,
    ) -> Result<Arc<Self>, SdkError> {
        let slot = ProviderSlot::new(provider);
        let credential = credential::Credential::Provider(Arc::new(Asked(Arc::clone(&slot))));
        Self::create(credential, options, slot)
    }

    /// Joins a room; done when the service has acknowledged it. Giving the call up does not end the join:
    /// `leave` does.
    #[uniffi::method(default(include_sender_metadata = false))]
    pub async fn join(
        &self,
        channel: String,
        include_sender_metadata: bool,
    ) -> Result<(), SdkError> {
        let core = self.core.clone();
        let options = JoinOptions { include_sender_metadata };
        runtime::run(async move { core.join_with(&channel, options).await }).await
    }

    /// Leaves the room for good and ends every connection; the reason is for the `Left` event, and for the
    /// service if it has up to 123 bytes.
    pub async fn leave(&self, reason: String) -> Result<(), SdkError> {
        let core = self.core.clone();
        runtime::finish(async move { core.close_with(&reason).await }).await
    }

    /// Leaves the room if that was not done, and frees listener, token provider and tasks. Events from
    /// before can still be pulled. A second call does nothing.
    pub async fn shutdown(self: Arc<Self>) -> Result<(), SdkError> {
        runtime::finish(self.end()).await
    }

    /// Sends JSON to everyone in the room by way of the service; done at its ack.
    pub async fn send(&self, data_json: String) -> Result<(), SdkError> {
        let (core, data) = (self.core.clone(), Json::parse(&data_json)?);
        runtime::run(async move { core.send(&data).await }).await
    }

    /// Sends JSON to one peer by way of the service; done at its ack.
    pub async fn send_to(&self, peer_id: String, data_json: String) -> Result<(), SdkError> {
        let (core, data) = (self.core.clone(), Json::parse(&data_json)?);
        runtime::run(async move { core.send_to(&peer_id, &data).await }).await
    }

    /// Where the peer stands.
    pub fn state(&self) -> Result<PeerState, SdkError> {
        Ok(self.core.state())
    }

    /// Waits until the state is another one than `known`, and gives it. After `shutdown` it gives the state
    /// at once.
    pub async fn state_after(&self, known: PeerState) -> Result<PeerState, SdkError> {
        Ok(self.inbox.changed(self.core.watch_state(), known).await)
    }

    /// The latest changes of the state, the oldest first; at most 64.
    pub fn state_history(&self) -> Result<Vec<PeerStateChange>, SdkError> {
        Ok(self.core.state_history().into_iter().map(Into::into).collect())
    }

    /// Our id, once connected.
    pub fn peer_id(&self) -> Result<Option<String>, SdkError> {
        Ok(self.core.peer_id())
    }

    /// The room, once joined.
    pub fn channel(&self) -> Result<Option<String>, SdkError> {
        Ok(self.core.channel())
    }

    /// Who else is in the room, by their ids.
    pub fn remote_peers(&self) -> Result<Vec<Arc<RemotePeer>>, SdkError> {
        Ok(self.core.remote_peers().into_iter().map(RemotePeer::new).collect())
    }

    /// One of them.
    pub fn remote_peer(&self, peer_id: String) -> Result<Option<Arc<RemotePeer>>, SdkError> {
        Ok(self.core.remote_peer(&peer_id).map(RemotePeer::new))
    }

    /// The last failure that was told as an event.
    pub fn last_failure(&self) -> Result<Option<PeerFailure>, SdkError> {
        Ok(self.core.last_error().map(|error| (&*error).into()))
    }

    /// What came and led to nothing.
    pub fn counters(&self) -> Result<PeerCounters, SdkError> {
        Ok(self.core.counters())
    }

    /// The signalling client below, for its events and figures. Its connection belongs to this peer.
    pub fn signalling(&self) -> Result<Arc<SignallingClient>, SdkError> {
        let core = self.core.signalling().clone();
        Ok(SignallingClient::of_peer(core, Arc::clone(&self.provider)))
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

    /// The user asks for connections now.
    pub fn reconnect_now(&self) -> Result<(), SdkError> {
        self.core.reconnect_now();
        Ok(())
    }

    /// Up to `max` events (1,024 at most), at least one; none after `shutdown`. Events since the peer was
    /// made; up to 1,024 wait, beyond that the oldest are dropped and `Lagged` says how many.
    pub async fn next_events(&self, max: u32) -> Result<Vec<PeerEvent>, SdkError> {
        self.inbox.pull(max, || self.core.events()).await
    }

    /// Hands all events to a listener, instead of one that was set before and of `next_events`.
    pub fn set_listener(&self, listener: Arc<dyn PeerListener>) -> Result<(), SdkError> {
        self.inbox.listen(
            || self.core.events(),
            move |events| {
                let listener = Arc::clone(&listener);
                async move { listener.on_events(events.into_iter().map(Into::into).collect()).await }
            },
        )
    }

    /// Frees the listener.
    pub fn clear_listener(&self) -> Result<(), SdkError> {
        self.inbox.clear_listener();
        Ok(())
    }
}
