//! Another peer of the room.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::data_channel::DataChannel;
use super::error::SdkError;
use super::event::{IceFailure, NegotiationFailure, RemoteEvent};
use super::inbox::Inbox;
use super::listener::RemoteListener;
use super::options::DataChannelOptions;
use super::runtime;
use crate::events::Events;
use crate::peer::{
    ConnectionStats, RemoteCounters, RemoteEvent as Event, RemotePeer as Core, RemoteState,
    StateChange,
};
use crate::wire::Json;

/// One change of a remote's state.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RemoteStateChange {
    /// When, by the device's clock, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The state before.
    pub from: RemoteState,
    /// The state after.
    pub to: RemoteState,
    /// Why, in a few words.
    pub reason: String,
}

pub(super) fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl From<StateChange<RemoteState>> for RemoteStateChange {
    fn from(change: StateChange<RemoteState>) -> Self {
        let StateChange { at, from, to, reason } = change;
        Self { at_unix_ms: unix_ms(at), from, to, reason: reason.to_owned() }
    }
}

/// Another peer in the room; it always speaks to the present connection.
///
/// Each object has a queue of its own, from its first pull or listener on. The first one of all objects for
/// the same remote also gets what came before, such as a channel that the remote opened.
#[derive(uniffi::Object)]
pub struct RemotePeer {
    core: Core,
    inbox: Inbox<Events<Event>>,
}

impl RemotePeer {
    pub(super) fn new(core: Core) -> Arc<Self> {
        Arc::new(Self { core, inbox: Inbox::new(None) })
    }
}

impl fmt::Debug for RemotePeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

#[uniffi::export]
impl RemotePeer {
    /// Its id in the room.
    pub fn id(&self) -> Result<String, SdkError> {
        Ok(self.core.id().to_owned())
    }

    /// Its token's `peerMetadata` as JSON, if there is any. An object.
    pub fn metadata_json(&self) -> Result<Option<String>, SdkError> {
        Ok(self.core.metadata().map(|json| json.as_str().to_owned()))
    }

    /// Where the connection stands.
    pub fn state(&self) -> Result<RemoteState, SdkError> {
        Ok(self.core.state())
    }

    /// Waits until the state is another one than `known`, and gives it. After `shutdown` it gives the state
    /// at once.
    pub async fn state_after(&self, known: RemoteState) -> Result<RemoteState, SdkError> {
        Ok(self.inbox.changed(self.core.watch_state(), known).await)
    }

    /// The latest changes of the state, the oldest first; at most 64.
    pub fn state_history(&self) -> Result<Vec<RemoteStateChange>, SdkError> {
        Ok(self.core.state_history().into_iter().map(Into::into).collect())
    }

    /// Whether we give way when both sides offer at once.
    pub fn polite(&self) -> Result<bool, SdkError> {
        Ok(self.core.polite())
    }

    /// The last failure of a negotiation.
    pub fn last_failure(&self) -> Result<Option<NegotiationFailure>, SdkError> {
        Ok(self.core.last_error().map(|error| (&*error).into()))
    }

    /// The latest failures of STUN and TURN servers and of candidates, the oldest first; at most 32.
    pub fn ice_failures(&self) -> Result<Vec<IceFailure>, SdkError> {
        Ok(self.core.ice_errors().iter().map(|error| (&**error).into()).collect())
    }

    /// What came from it and led to nothing.
    pub fn counters(&self) -> Result<RemoteCounters, SdkError> {
        Ok(self.core.counters())
    }

    /// Sends JSON to this peer by way of the service; done at its ack.
    pub async fn send(&self, data_json: String) -> Result<(), SdkError> {
        let (core, data) = (self.core.clone(), Json::parse(&data_json)?);
        runtime::run(async move { core.send(&data).await }).await
    }

    /// Opens a data channel; the connection is made for it if there is none. Done when the channel exists:
    /// its `Opened` event says when messages pass, and a send waits for that.
    pub async fn open_data_channel(
        &self,
        label: String,
        options: DataChannelOptions,
    ) -> Result<Arc<DataChannel>, SdkError> {
        let core = self.core.clone();
        let options = options.into();
        runtime::run(
            async move { core.open_data_channel(&label, options).await.map(DataChannel::new) },
        )
        .await
    }

    /// Figures of the connection; zeros without one.
    pub async fn stats(&self) -> Result<ConnectionStats, SdkError> {
        let core = self.core.clone();
        runtime::run(async move { core.stats().await }).await
    }

    /// Up to `max` events (1,024 at most), at least one; none after `shutdown`.
    pub async fn next_events(&self, max: u32) -> Result<Vec<RemoteEvent>, SdkError> {
        self.inbox.pull(max, || self.core.events()).await
    }

    /// Hands all events to a listener, instead of one that was set before and of `next_events`.
    pub fn set_listener(&self, listener: Arc<dyn RemoteListener>) -> Result<(), SdkError> {
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

    /// Frees this object's listener and ends its pulls; the connection stays, as it is the peer's. A second
    /// call does nothing.
    pub async fn shutdown(self: Arc<Self>) -> Result<(), SdkError> {
        runtime::finish(async move { self.inbox.end().await }).await
    }
}
