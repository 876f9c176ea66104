//! The peer of a room.

use std::pin::Pin;
use std::sync::{Arc, Weak};

use super::SignallingClient;
use super::error::SdkError;
use super::event::{PeerEvent, PeerFailure};
use super::inbox::Inbox;
use super::listener::PeerListener;
use super::local_track::{LocalTrack, MediaStream};
use super::options::{Credential, PeerOptions};
use super::remote_peer::{RemotePeer, unix_ms};
use super::runtime::{self, Closing};
use super::socket_binder::{BinderSlot, SocketBinder};
use super::token_provider::{Asked, ProviderSlot, TokenProvider};
use crate::credential;
use crate::events::Events;
use crate::media;
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
    inbox: Inbox<Events<Event>>,
    provider: Arc<ProviderSlot>,
    binder: Arc<BinderSlot>,
}

fn parsed(json: Option<String>) -> Result<Option<Json>, SdkError> {
    Ok(json.as_deref().map(Json::parse).transpose()?)
}

impl MeteredPeer {
    fn create(
        credential: credential::Credential,
        options: PeerOptions,
        provider: Arc<ProviderSlot>,
    ) -> Result<Arc<Self>, SdkError> {
        let mut options = options.into_core(credential)?;
        let binder = Arc::new(BinderSlot::default());
        options.socket_binder = Some(Arc::clone(&binder) as _);
        let core = Core::new(options)?;
        let inbox = Inbox::new(Some(core.events()));
        let peer = Arc::new(Self { core, inbox, provider, binder });
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
            self.binder.set(None);
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

    /// Sends a track to everyone in the room, and to everyone who comes; before the join as well.
    ///
    /// With a stream's id the remotes get it as part of that stream. The metadata, a JSON object, reaches
    /// them before the track does. Adding a track again with the same stream changes nothing.
    #[uniffi::method(default(stream_id = None, metadata_json = None))]
    pub fn add_track(
        &self,
        track: LocalTrack,
        stream_id: Option<String>,
        metadata_json: Option<String>,
    ) -> Result<(), SdkError> {
        let stream = stream_id.map(media::MediaStream::with_id);
        let metadata = parsed(metadata_json)?;
        let track = media::LocalTrack::from(track);
        Ok(self.core.add_track(track, stream.as_ref(), metadata.as_ref())?)
    }

    /// Stops sending a track. One that was never added is none, and that is no error.
    pub fn remove_track(&self, track_id: String) -> Result<(), SdkError> {
        Ok(self.core.remove_track(&track_id)?)
    }

    /// Puts another track of the same codec in a track's place, without a negotiation: the remotes see the
    /// same track go on. None silences it for those who have it, and forgets it.
    pub fn replace_track(&self, track_id: String, by: Option<LocalTrack>) -> Result<(), SdkError> {
        let by = by.map(media::LocalTrack::from);
        Ok(self.core.replace_track(&track_id, by.as_ref())?)
    }

    /// Adds every track of a stream; the metadata, a JSON object, is said of each.
    #[uniffi::method(default(metadata_json = None))]
    pub fn add_stream(
        &self,
        stream: MediaStream,
        metadata_json: Option<String>,
    ) -> Result<(), SdkError> {
        let metadata = parsed(metadata_json)?;
        Ok(self.core.add_stream(&stream.into(), metadata.as_ref())?)
    }

    /// Removes every track of a stream.
    pub fn remove_stream(&self, stream: MediaStream) -> Result<(), SdkError> {
        Ok(self.core.remove_stream(&stream.into())?)
    }

    /// What was said of a track when it was added, as JSON.
    pub fn track_metadata_json(&self, track_id: String) -> Result<Option<String>, SdkError> {
        Ok(self.core.track_metadata(&track_id).map(|json| json.as_str().to_owned()))
    }

    /// What was said of a stream's first track that is published, as JSON.
    pub fn stream_metadata_json(&self, stream: MediaStream) -> Result<Option<String>, SdkError> {
        Ok(self.core.stream_metadata(&stream.into()).map(|json| json.as_str().to_owned()))
    }

    /// Has each new socket of the connections to remotes bound by the app, instead of by one that was set
    /// before. Set it before the join. `shutdown` frees it.
    pub fn set_socket_binder(&self, binder: Arc<dyn SocketBinder>) -> Result<(), SdkError> {
        self.binder.set(Some(binder));
        Ok(())
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
