//! One remote of a room: its handle, and the actor that owns its connection.
//!
//! ```text
//!   RemotePeer (handles) ──commands──▶ RemoteActor ◀──signals, network── RoomActor
//!          ▲                           │   │   ▲
//!          └── events, state ──────────┘   │   └── Negotiation, IceRestart (pure)
//!                                          └── engine::Connection, its events, data channels
//! ```
//!
//! The room starts the actor when the remote joins and awaits its end when it leaves. The actor awaits
//! everything of its own before it ends: the connection, the readers of channels, signals on their way.

mod actor;
mod channels;
mod event;
mod link;
mod senders;
mod signals;
mod streams;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use super::data_channel::{DataChannel, DataChannelOptions};
use super::error::{IceCandidateError, NegotiationError, PeerError};
use super::negotiation::Dropped;
use super::state::{History, RemoteState, StateChange};
use crate::events::{EVENT_QUEUE_BYTES, Hub};
use crate::rtc::stats::ConnectionStats;
use crate::signalling::SignallingClient;
use crate::wire::Json;

pub(crate) use actor::{Context, Input, RemoteActor, Verdict};
pub use event::{RemoteEvent, RemoteEvents, RemoteMedia, RemoteTrack};

/// What the handle asks of the actor.
pub(crate) enum Command {
    OpenChannel {
        label: String,
        options: DataChannelOptions,
        reply: oneshot::Sender<Result<DataChannel, PeerError>>,
    },
    Stats(oneshot::Sender<ConnectionStats>),
}

/// What handles and actor share.
pub(crate) struct Shared {
    id: String,
    metadata: Option<Json>,
    state: watch::Sender<RemoteState>,
    hub: Hub<RemoteEvent>,
    details: Mutex<Details>,
    commands: mpsc::UnboundedSender<Command>,
    client: SignallingClient,
    rtc: bool,
    /// Whether there is a connection that keys were agreed on for, whatever its path does.
    linked: AtomicBool,
}

struct Details {
    polite: bool,
    last_error: Option<Arc<NegotiationError>>,
    ice_errors: VecDeque<Arc<IceCandidateError>>,
    counters: RemoteCounters,
    history: History<RemoteState>,
}

/// Failures of ICE servers and candidates that are remembered.
const MAX_ICE_ERRORS: usize = 32;

/// What came from a remote and led to nothing.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Met { to_bob, .. }| {
/// use metered_realtime::peer::RemoteCounters;
/// let RemoteCounters { signals_overflow, candidates, .. } = to_bob.counters();
/// assert_eq!((signals_overflow, candidates), (0, 0)); // worth a line in a report if not
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoteCounters {
    /// Answers to offers that were taken back or replaced.
    pub stale_answers: u64,
    /// Candidates of another generation, with hidden addresses, too long, or beyond 200.
    pub candidates: u64,
    /// Offers that lost a collision; the remote takes ours instead.
    pub ignored_offers: u64,
    /// Signals beyond what may wait, too large to be any, or overtaken by an offer for the next connection.
    pub signals_overflow: u64,
}

impl Shared {
    pub(crate) fn new(
        id: String,
        metadata: Option<Json>,
        polite: bool,
        rtc: bool,
        client: SignallingClient,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Command>) {
        let (commands, receiver) = mpsc::unbounded_channel();
        let details = Details {
            polite,
            last_error: None,
            ice_errors: VecDeque::new(),
            counters: RemoteCounters::default(),
            history: History::default(),
        };
        let shared = Arc::new(Self {
            id,
            metadata,
            state: watch::Sender::new(RemoteState::Idle),
            hub: Hub::with_backlog(EVENT_QUEUE_BYTES),
            details: Mutex::new(details),
            commands,
            client,
            rtc,
            linked: AtomicBool::new(false),
        });
        (shared, receiver)
    }

    pub(crate) fn handle(self: &Arc<Self>) -> RemotePeer {
        RemotePeer { shared: Arc::clone(self) }
    }

    pub(crate) fn state(&self) -> RemoteState {
        *self.state.borrow()
    }

    fn details(&self) -> MutexGuard<'_, Details> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.linked.load(Ordering::Relaxed)
    }

    fn set_linked(&self, linked: bool) {
        self.linked.store(linked, Ordering::Relaxed);
    }

    pub(crate) fn set_state(&self, to: RemoteState, reason: &'static str) {
        let mut from = to;
        self.state.send_if_modified(|state| {
            // Closed is final, whatever the actor still sees.
            let changes = *state != to && *state != RemoteState::Closed;
            if changes {
                from = std::mem::replace(state, to);
            }
            changes
        });
        if from != to {
            self.details().history.note(from, to, reason);
            self.hub.publish(&RemoteEvent::StateChange { from, to });
        }
    }

    /// A STUN or TURN server, or a candidate, is of no use.
    fn ice_failed(&self, error: IceCandidateError) {
        let error = Arc::new(error);
        {
            let known = &mut self.details().ice_errors;
            if known.len() >= MAX_ICE_ERRORS {
                known.pop_front();
            }
            known.push_back(Arc::clone(&error));
        }
        self.hub.publish(&RemoteEvent::IceCandidateError(error));
    }

    fn note_dropped(&self, dropped: Dropped) {
        self.details().counters = RemoteCounters {
            stale_answers: dropped.stale_answers,
            candidates: dropped.candidates,
            ignored_offers: dropped.ignored_offers,
            signals_overflow: dropped.overflow,
        };
    }

    fn fail(&self, error: NegotiationError) {
        let error = self.note_error(error);
        self.hub.publish(&RemoteEvent::NegotiationError(error));
    }

    /// Keeps a failure; the app is not told.
    fn note_error(&self, error: NegotiationError) -> Arc<NegotiationError> {
        let error = Arc::new(error);
        self.details().last_error = Some(Arc::clone(&error));
        error
    }
}

/// Another peer in the room. Handles are cheap clones; they always speak to the present connection.
///
/// ```
/// use metered_realtime::peer::{PeerEvent, RemotePeer, RemoteState};
///
/// # metered_scenes::play(async |service: &metered_scenes::Service| {
/// # let (alice, bob) = (service.peer("alice")?, service.peer("bob")?);
/// # let mut events = alice.events();
/// # alice.join("lobby").await?;
/// # bob.join("lobby").await?;
/// let to_bob: RemotePeer = loop {
///     if let PeerEvent::PeerJoined(remote) = events.next().await.ok_or("gone")? {
///         break remote;
///     }
/// };
/// // Nothing is negotiated until there is a reason: data by way of the service needs no connection.
/// assert_eq!((to_bob.id(), to_bob.state()), ("bob", RemoteState::Idle));
/// to_bob.send(&serde_json::json!({ "wave": true })).await?;
///
/// let channel = to_bob.open_data_channel("files", Default::default()).await?;
/// channel.send_bytes(vec![0; 1_000]).await?;
/// let stats = to_bob.stats().await?;
/// assert!(stats.bytes_sent > 0);
/// # alice.close().await;
/// # bob.close().await;
/// # Ok(())
/// # });
/// ```
#[derive(Clone)]
pub struct RemotePeer {
    shared: Arc<Shared>,
}

impl fmt::Debug for RemotePeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemotePeer")
            .field("id", &self.shared.id)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Serialize for RemotePeer {
    /// As the JavaScript SDK's `toJSON`: id, metadata, state.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a> {
            id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            metadata: Option<&'a Json>,
            state: RemoteState,
        }
        Shape { id: self.id(), metadata: self.metadata(), state: self.state() }
            .serialize(serializer)
    }
}

impl RemotePeer {
    /// Its id in the room.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// Its token's `peerMetadata`, if there is any. Always an object.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Met { to_bob, .. }| {
    /// // A name that the backend put into the token's `peerMetadata`; none in this one.
    /// #[derive(serde::Deserialize)]
    /// struct Profile {
    ///     name: String,
    /// }
    /// let profile = to_bob.metadata().and_then(|metadata| metadata.to::<Profile>().ok());
    /// let name = profile.map_or_else(|| to_bob.id().to_owned(), |profile| profile.name);
    /// assert_eq!(name, "bob");
    /// # Ok(())
    /// # });
    /// ```
    pub fn metadata(&self) -> Option<&Json> {
        self.shared.metadata.as_ref()
    }

    /// Where the connection stands.
    pub fn state(&self) -> RemoteState {
        self.shared.state()
    }

    /// The state, now and at each change.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Chat { to_bob, .. }| {
    /// use metered_realtime::peer::RemoteState;
    /// let mut state = to_bob.watch_state();
    /// state.wait_for(|state| *state == RemoteState::Connected).await?;
    /// let reached: Vec<_> = to_bob.state_history().iter().map(|change| change.to).collect();
    /// assert!(reached.contains(&RemoteState::Connecting));
    /// assert_eq!(to_bob.last_error(), None);
    /// # Ok(())
    /// # });
    /// ```
    pub fn watch_state(&self) -> watch::Receiver<RemoteState> {
        self.shared.state.subscribe()
    }

    /// The latest changes of the state with their times and reasons, the oldest first; at most 64.
    pub fn state_history(&self) -> Vec<StateChange<RemoteState>> {
        self.shared.details().history.all()
    }

    /// Whether we give way when both sides offer at once: our id is the lower one, by its bytes.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Met { alice, .. }| {
    /// assert!(alice.remote_peer("bob").ok_or("gone")?.polite()); // "alice" is before "bob"
    /// # Ok(())
    /// # });
    /// ```
    pub fn polite(&self) -> bool {
        self.shared.details().polite
    }

    /// The last failure of a negotiation.
    pub fn last_error(&self) -> Option<Arc<NegotiationError>> {
        self.shared.details().last_error.clone()
    }

    /// The latest failures of STUN and TURN servers and of candidates, the oldest first; at most 32.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Met { to_bob, .. }| {
    /// for error in to_bob.ice_errors() {
    ///     println!("{}: {}", error.url, error.diagnosis);
    /// }
    /// # Ok(())
    /// # });
    /// ```
    pub fn ice_errors(&self) -> Vec<Arc<IceCandidateError>> {
        self.shared.details().ice_errors.iter().cloned().collect()
    }

    /// What came from it and led to nothing.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Met { to_bob, .. }| {
    /// println!("{:?}", to_bob.counters()); // a line of a report
    /// # Ok(())
    /// # });
    /// ```
    pub fn counters(&self) -> RemoteCounters {
        self.shared.details().counters
    }

    /// Events. The first subscription gets what came before it, such as a channel that the remote opened.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Chat { to_bob, .. }| {
    /// use metered_realtime::peer::{RemoteEvent, RemoteState};
    /// let mut events = to_bob.events();
    /// loop {
    ///     let event = events.next().await.ok_or("bob left")?;
    ///     if let RemoteEvent::StateChange { to: RemoteState::Connected, .. } = event {
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # });
    /// ```
    pub fn events(&self) -> RemoteEvents {
        self.shared.hub.subscribe()
    }

    /// Sends data to this peer by way of the service. See [`MeteredPeer::send_to`](super::MeteredPeer).
    ///
    /// # Errors
    /// [`PeerError::RemoteGone`], [`PeerError::Request`].
    pub async fn send<T: Serialize + ?Sized>(&self, data: &T) -> Result<(), PeerError> {
        if self.state() == RemoteState::Closed {
            return Err(PeerError::RemoteGone);
        }
        Ok(self.shared.client.send(&self.shared.id, data).await?)
    }

    /// Opens a data channel; the connection is made for it if there is none. Done when the channel exists:
    /// its `Open` event says when messages pass, and `send` waits for that.
    ///
    /// # Errors
    /// [`PeerError::RemoteGone`], [`PeerError::DataChannel`] for an option outside its range,
    /// [`PeerError::InvalidArgument`] if connections are switched off, [`PeerError::Engine`].
    pub async fn open_data_channel(
        &self,
        label: &str,
        options: DataChannelOptions,
    ) -> Result<DataChannel, PeerError> {
        if !self.shared.rtc {
            let what = "connections are switched off for this peer";
            return Err(PeerError::InvalidArgument { what });
        }
        let label = label.to_owned();
        self.ask(|reply| Command::OpenChannel { label, options, reply }).await?
    }

    /// Figures of the connection; zeros without one.
    ///
    /// # Errors
    /// [`PeerError::RemoteGone`].
    pub async fn stats(&self) -> Result<ConnectionStats, PeerError> {
        self.ask(Command::Stats).await
    }

    /// Asks the remote's actor, which may be there for a moment after the remote left.
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, PeerError> {
        if self.state() == RemoteState::Closed {
            return Err(PeerError::RemoteGone);
        }
        let (reply, result) = oneshot::channel();
        self.shared.commands.send(command(reply)).map_err(|_| PeerError::RemoteGone)?;
        result.await.map_err(|_| PeerError::RemoteGone)
    }
}
