//! The handle of a peer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::error::{PeerError, PeerOptionsError};
use super::event::{FatalError, PeerEvent, PeerEvents};
use super::options::{IceTransportPolicy, PeerOptions};
use super::remote::{Context, RemotePeer};
use super::room::{Command, RoomActor};
use super::state::{History, PeerState, StateChange};
use super::tracks::Tracks;
use crate::events::Hub;
use crate::rtc::crate_engine::CrateEngine;
use crate::signalling::{SignallingClient, SubscribeOptions};
use crate::wire::{IceServer, Json, validate_channel, validate_peer_id};

/// Options of a join.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Peer { peer, .. }| {
/// use metered_realtime::peer::JoinOptions;
/// // `Data::sender_metadata` is there with broadcasts too: a name beside each message.
/// peer.join_with("room", JoinOptions { include_sender_metadata: true }).await?;
/// peer.close().await;
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JoinOptions {
    /// Whether broadcasts shall carry their sender's `peerMetadata`.
    pub include_sender_metadata: bool,
}

/// What came and led to nothing.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Peer { peer, .. }| {
/// use metered_realtime::peer::PeerCounters;
/// peer.join("room").await?;
/// // Worth a line in a report if not: somebody floods this room, or it is too large for a mesh.
/// assert_eq!(peer.counters(), PeerCounters::default());
/// peer.close().await;
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerCounters {
    /// Peers beyond 256 in the room.
    pub peers_beyond_limit: u64,
    /// Data and signals of senders that the room never named.
    pub from_strangers: u64,
    /// Signals that a remote sent faster than they could be taken.
    pub signals_overflow: u64,
}

/// What handles and actor share.
pub(crate) struct Shared {
    pub(crate) client: SignallingClient,
    pub(crate) context: Context,
    pub(crate) ice_servers: Vec<IceServer>,
    pub(crate) ice_transport_policy: IceTransportPolicy,
    pub(crate) rtc: bool,
    pub(crate) tracks: watch::Sender<Tracks>,
    pub(crate) hub: Hub<PeerEvent>,
    pub(crate) state: watch::Sender<PeerState>,
    details: Mutex<Details>,
}

#[derive(Default)]
pub(crate) struct Details {
    pub(crate) channel: Option<String>,
    pub(crate) peer_id: Option<String>,
    pub(crate) remotes: BTreeMap<String, RemotePeer>,
    pub(crate) last_error: Option<Arc<FatalError>>,
    pub(crate) history: History<PeerState>,
    pub(crate) counters: PeerCounters,
}

impl Shared {
    pub(crate) fn details(&self) -> MutexGuard<'_, Details> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_state(&self, to: PeerState, reason: &'static str) {
        let from = self.state.send_replace(to);
        if from != to {
            self.details().history.note(from, to, reason);
            self.hub.publish(&PeerEvent::StateChange { from, to });
        }
    }

    pub(crate) fn fail(&self, error: FatalError) {
        let error = Arc::new(error);
        self.details().last_error = Some(Arc::clone(&error));
        self.hub.publish(&PeerEvent::Error(error));
    }
}

/// A peer in a room: it knows who is there, is connected to everyone, and stays so.
///
/// Handles are cheap clones of one peer. It joins one room in its life; after [`close`](Self::close) make a
/// new one. When the last handle is dropped it closes by itself. Its methods need a tokio runtime with time
/// and network enabled. States, events and their order are those of the JavaScript SDK 1.2.0.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Service { server }| {
/// # let url = server.url();
/// use metered_realtime::peer::{MeteredPeer, PeerEvent, PeerOptions};
///
/// let mut options = PeerOptions::with_api_key("pk_live_dev")?;
/// options.signalling.url = url; // a local server; leave it out for the service
/// let (first, second) = (MeteredPeer::new(options.clone())?, MeteredPeer::new(options)?);
/// let mut events = first.events();
/// first.join("room").await?;
/// second.join("room").await?;
/// while let Some(event) = events.next().await {
///     if let PeerEvent::PeerJoined(remote) = event {
///         let channel = remote.open_data_channel("chat", Default::default()).await?;
///         channel.send_text("hello").await?;
///         break;
///     }
/// }
/// first.close().await;
/// second.close().await;
/// # Ok(())
/// # });
/// ```
#[derive(Clone)]
pub struct MeteredPeer {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    /// The actor, until it is started; then its task, until it was awaited: in place, so that whoever gives up
    /// closing leaves it to the next.
    task: tokio::sync::Mutex<Task>,
}

enum Task {
    Waiting(mpsc::UnboundedReceiver<Command>),
    Running(JoinHandle<()>),
    Ended,
}

impl fmt::Debug for MeteredPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeteredPeer").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl MeteredPeer {
    /// A peer at rest. Checks every option.
    ///
    /// # Errors
    /// [`PeerOptionsError`] names the option that cannot be.
    pub fn new(options: PeerOptions) -> Result<Self, PeerOptionsError> {
        if !options.signalling.auto_resubscribe {
            return Err(PeerOptionsError::AutoResubscribe);
        }
        let network = options.network()?;
        let client = SignallingClient::new(options.signalling)?;
        let engine = Arc::new(CrateEngine::new(Arc::new(network)));
        let (commands, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            context: Context { engine, client: client.clone() },
            client,
            ice_servers: options.ice_servers,
            ice_transport_policy: options.ice_transport_policy,
            rtc: options.rtc,
            tracks: watch::Sender::new(Tracks::default()),
            hub: Hub::default(),
            state: watch::Sender::new(PeerState::Idle),
            details: Mutex::default(),
        });
        let task = tokio::sync::Mutex::new(Task::Waiting(receiver));
        Ok(Self { inner: Arc::new(Inner { shared, commands, task }) })
    }

    /// Joins a room; done when the service has acknowledged it. Who is there comes as
    /// [`PeerEvent::PeerJoined`].
    ///
    /// After a failure the peer is idle again and may try once more. Dropping the future does not end the
    /// join; `close` does.
    ///
    /// # Errors
    /// [`PeerError::Connect`] and [`PeerError::Request`]: the connection or the room's channel was refused;
    /// [`PeerError::State`] if it joined or was closed before.
    pub async fn join(&self, channel: &str) -> Result<(), PeerError> {
        self.join_with(channel, JoinOptions::default()).await
    }

    /// [`join`](Self::join) with options.
    ///
    /// # Errors
    /// As `join`.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Peer { peer, .. }| {
    /// use metered_realtime::peer::JoinOptions;
    /// peer.join_with("room", JoinOptions { include_sender_metadata: true }).await?;
    /// assert_eq!(peer.channel().as_deref(), Some("room"));
    /// peer.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub async fn join_with(&self, channel: &str, options: JoinOptions) -> Result<(), PeerError> {
        validate_channel(channel)
            .map_err(crate::wire::BuildError::from)
            .map_err(|error| PeerError::Request(crate::signalling::RequestError::Build(error)))?;
        {
            let mut task = self.inner.task.lock().await;
            if let Task::Waiting(_) = &*task
                && let Task::Waiting(commands) = std::mem::replace(&mut *task, Task::Ended)
            {
                let actor = RoomActor::new(Arc::clone(&self.inner.shared), commands);
                *task = Task::Running(tokio::spawn(actor.run().boxed()));
            }
        }
        let subscribe =
            SubscribeOptions { include_sender_metadata: options.include_sender_metadata };
        let (reply, result) = oneshot::channel();
        let command = Command::Join { channel: channel.to_owned(), subscribe, reply };
        self.inner.commands.send(command).map_err(|_| self.wrong_state("join"))?;
        result.await.unwrap_or_else(|_| Err(self.wrong_state("join")))
    }

    pub(super) fn wrong_state(&self, method: &'static str) -> PeerError {
        PeerError::State { method, current_state: self.state() }
    }

    /// Sends data to everyone in the room by way of the service; done at its acknowledgement.
    ///
    /// # Errors
    /// [`PeerError::State`] outside a room and while reconnecting, [`PeerError::Request`].
    pub async fn send<T: Serialize + ?Sized>(&self, data: &T) -> Result<(), PeerError> {
        let channel = self.inner.shared.details().channel.clone();
        match channel.filter(|_| self.state() == PeerState::Joined) {
            Some(channel) => Ok(self.inner.shared.client.publish(&channel, data).await?),
            None => Err(self.wrong_state("send")),
        }
    }

    /// Sends data to one peer by way of the service; done at its acknowledgement.
    ///
    /// # Errors
    /// [`PeerError::State`] outside a room and while reconnecting, [`PeerError::SelfSend`],
    /// [`PeerError::InvalidArgument`] for an id that none can be, [`PeerError::Request`], with code
    /// `peer_not_found` if nobody is connected under that id.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Met { alice, bob, .. }| {
    /// let mut events = bob.events();
    /// alice.send_to("bob", &serde_json::json!({ "turn": 1 })).await?;
    /// # use metered_realtime::peer::PeerEvent;
    /// let data = loop {
    ///     if let Some(PeerEvent::Data(data)) = events.next().await {
    ///         break data;
    ///     }
    /// };
    /// assert_eq!(data.data.as_str(), r#"{"turn":1}"#);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn send_to<T: Serialize + ?Sized>(
        &self,
        peer_id: &str,
        data: &T,
    ) -> Result<(), PeerError> {
        if validate_peer_id(peer_id).is_err() {
            let what = "a peer's id has 1 to 128 printable ASCII characters";
            return Err(PeerError::InvalidArgument { what });
        }
        if self.state() != PeerState::Joined {
            return Err(self.wrong_state("send_to"));
        }
        if self.peer_id().as_deref() == Some(peer_id) {
            return Err(PeerError::SelfSend);
        }
        if looks_internal(data) {
            tracing::warn!(
                "the data looks like a signal of the SDK; the other side may take it for one"
            );
        }
        Ok(self.inner.shared.client.send(peer_id, data).await?)
    }

    /// Leaves the room and ends every connection and task of this peer; returns when nothing is left.
    ///
    /// Dropping the future does not stop the close: the next one waits for its end.
    pub async fn close(&self) {
        self.close_with("client requested close").await;
    }

    /// [`close`](Self::close) with a reason for the `Left` event, and for the service if it has up to 123
    /// bytes.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Peer { peer, .. }| {
    /// use metered_realtime::peer::PeerEvent;
    /// let mut events = peer.events();
    /// peer.join("room").await?;
    /// peer.close_with("the game is over").await;
    /// let why = loop {
    ///     if let Some(PeerEvent::Left { reason }) = events.next().await {
    ///         break reason;
    ///     }
    /// };
    /// assert_eq!(why, "the game is over");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn close_with(&self, reason: &str) {
        let mut task = self.inner.task.lock().await;
        match &mut *task {
            Task::Running(running) => {
                let (reply, done) = oneshot::channel();
                let reason = reason.to_owned();
                if self.inner.commands.send(Command::Close { reason, reply }).is_ok() {
                    // An actor that has ended answers with its end.
                    drop(done.await);
                }
                drop(running.await);
                *task = Task::Ended;
            }
            Task::Waiting(_) | Task::Ended => {
                // Nobody joins from here on.
                *task = Task::Ended;
                self.inner.shared.client.close().await;
                self.inner.shared.set_state(PeerState::Closed, "closed by the app");
            }
        }
    }

    /// Where the peer stands.
    pub fn state(&self) -> PeerState {
        *self.inner.shared.state.borrow()
    }

    /// The state, now and at each change.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Peer { peer, .. }| {
    /// use metered_realtime::peer::PeerState;
    /// let mut state = peer.watch_state();
    /// peer.join("room").await?;
    /// assert_eq!(*state.wait_for(|state| *state == PeerState::Joined).await?, PeerState::Joined);
    /// // How it came to this, for a report.
    /// for change in peer.state_history() {
    ///     println!("{:?}: {} to {}, {}", change.at, change.from, change.to, change.reason);
    /// }
    /// # assert!(peer.state_history().len() >= 2);
    /// peer.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn watch_state(&self) -> watch::Receiver<PeerState> {
        self.inner.shared.state.subscribe()
    }

    /// The latest changes of the state with their times and reasons, the oldest first; at most 64.
    pub fn state_history(&self) -> Vec<StateChange<PeerState>> {
        self.inner.shared.details().history.all()
    }

    /// Our id, once connected. With a publishable key it changes with each connection to the service.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Peer { peer, .. }| {
    /// assert_eq!(peer.peer_id(), None);
    /// peer.join("room").await?;
    /// assert_eq!(peer.peer_id().as_deref(), Some("alice")); // the token's `sub`
    /// peer.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn peer_id(&self) -> Option<String> {
        self.inner.shared.details().peer_id.clone()
    }

    /// The room, once joined.
    pub fn channel(&self) -> Option<String> {
        self.inner.shared.details().channel.clone()
    }

    /// Who else is in the room, by their ids.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Met { alice, .. }| {
    /// let ids: Vec<_> = alice.remote_peers().iter().map(|remote| remote.id().to_owned()).collect();
    /// assert_eq!(ids, ["bob"]);
    /// # Ok(())
    /// # });
    /// ```
    pub fn remote_peers(&self) -> Vec<RemotePeer> {
        self.inner.shared.details().remotes.values().cloned().collect()
    }

    /// One of them.
    pub fn remote_peer(&self, id: &str) -> Option<RemotePeer> {
        self.inner.shared.details().remotes.get(id).cloned()
    }

    /// The last failure that was told as [`PeerEvent::Error`].
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Peer { peer, .. }| {
    /// peer.join("room").await?;
    /// assert_eq!(peer.last_error(), None);
    /// peer.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn last_error(&self) -> Option<Arc<FatalError>> {
        self.inner.shared.details().last_error.clone()
    }

    /// What came and led to nothing.
    pub fn counters(&self) -> PeerCounters {
        self.inner.shared.details().counters
    }

    /// Events from now on.
    pub fn events(&self) -> PeerEvents {
        self.inner.shared.hub.subscribe()
    }

    /// The signalling client below, for its events and figures. Its connection belongs to this peer.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Peer { peer, .. }| {
    /// peer.join("room").await?;
    /// let signalling = peer.signalling();
    /// signalling.publish("statistics", &serde_json::json!({ "joined": true })).await?; // another channel
    /// assert_eq!(signalling.counters().malformed_frames, 0);
    /// peer.close().await;
    /// # Ok(())
    /// # });
    /// ```
    pub fn signalling(&self) -> &SignallingClient {
        &self.inner.shared.client
    }

    /// The platform reports another network: the socket is probed, and every connection looks for a new path
    /// at once.
    ///
    /// ```
    /// use metered_realtime::peer::MeteredPeer;
    /// /// What a platform's callbacks hand on. None of these blocks, and none hurts too often or too early.
    /// enum Platform {
    ///     OtherNetwork,
    ///     Background,
    ///     Foreground,
    ///     ButtonReconnect,
    /// }
    /// fn hand_on(peer: &MeteredPeer, what: Platform) {
    ///     match what {
    ///         Platform::OtherNetwork => peer.network_changed(),
    ///         Platform::Background => peer.entered_background(),
    ///         Platform::Foreground => peer.entered_foreground(),
    ///         Platform::ButtonReconnect => peer.reconnect_now(),
    ///     }
    /// }
    /// # let options = metered_realtime::peer::PeerOptions::with_api_key("pk_live_example").unwrap();
    /// # let peer = MeteredPeer::new(options).unwrap();
    /// # hand_on(&peer, Platform::OtherNetwork);
    /// # hand_on(&peer, Platform::Background);
    /// # hand_on(&peer, Platform::Foreground);
    /// # hand_on(&peer, Platform::ButtonReconnect);
    /// ```
    pub fn network_changed(&self) {
        self.inner.shared.context.engine.network_changed();
        self.hint(Command::NetworkChanged);
    }

    /// The app went to the background.
    pub fn entered_background(&self) {
        self.inner.shared.client.entered_background();
    }

    /// The app came to the foreground: the socket is probed, and lost connections are looked after at once.
    pub fn entered_foreground(&self) {
        self.hint(Command::Foreground);
    }

    /// The user asks: like [`network_changed`](Self::network_changed), and waits that the service asked for
    /// are ended.
    pub fn reconnect_now(&self) {
        self.inner.shared.client.reconnect_now();
        self.hint(Command::NetworkChanged);
    }

    fn hint(&self, command: Command) {
        // Without an actor there is nothing to hurry.
        drop(self.inner.commands.send(command));
    }
}

/// Whether data would be taken for a message of the SDK.
fn looks_internal<T: Serialize + ?Sized>(data: &T) -> bool {
    let Ok(json) = Json::from_serialize(data) else { return false };
    let text = json.as_str();
    text.starts_with('{')
        && (text.contains("\"__meteredTrackMeta\"")
            || crate::wire::PeerPayload::decode(&json) != crate::wire::PeerPayload::App)
}
