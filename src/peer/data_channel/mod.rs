//! A data channel's handle, and the task that reads it.
//!
//! The handle speaks to whatever channel of the engine carries it now: a durable channel gets a new one when
//! the connection is made anew. Its reader slows the remote down while a subscriber is slow, so that nothing
//! is lost; before the first subscriber it keeps the newest messages.

mod options;
mod reader;
mod reset;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Notify, watch};

use super::error::DataChannelError;
use crate::events::{self, Event, Hub};
use crate::rtc::engine::{Channel, ChannelInit};

pub use crate::rtc::engine::ChannelMessage;
pub use options::{DEFAULT_MAX_BUFFERED_AMOUNT, DEFAULT_MAX_QUEUED_SENDS, DataChannelOptions};
pub(crate) use reader::read;
pub(crate) use reset::{Life, Reset, Verdict};

/// Bytes of a message that every WebRTC implementation takes (RFC 8841 section 6.1).
pub(crate) const UNIVERSAL_MESSAGE_BYTES: usize = 65_536;
/// Bytes of messages from before the first subscription that are kept, the newest: with 256 channels a
/// remote can make us keep 128 MiB at most.
const BACKLOG_BYTES: usize = 512 * 1024;
/// The event of the transport is the rule; a look now and then is the exception's.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Where a channel stands (W3C `RTCDataChannelState`).
///
/// ```
/// use metered_realtime::peer::ReadyState;
/// /// Whether the field for messages can be used.
/// fn is_enabled(state: ReadyState) -> bool {
///     matches!(state, ReadyState::Connecting | ReadyState::Open) // `send` waits for the opening
/// }
/// assert!(!is_enabled(ReadyState::Closing));
/// assert_eq!(ReadyState::Closing.as_str(), "closing"); // for logs
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadyState {
    /// Not open yet; a durable channel is here again after a reset.
    Connecting,
    /// Messages pass.
    Open,
    /// Being closed.
    Closing,
    /// Closed for good.
    Closed,
}

impl ReadyState {
    /// The W3C's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Closed => "closed",
        }
    }
}

/// Something that happened on a channel.
///
/// ```
/// use metered_realtime::peer::{ChannelMessage, DataChannelEvent};
/// /// A line of a chat.
/// fn line(event: &DataChannelEvent) -> Option<String> {
///     Some(match event {
///         DataChannelEvent::Message(ChannelMessage::Text(text)) => text.clone(),
///         DataChannelEvent::Message(ChannelMessage::Binary(bytes)) => format!("{} bytes", bytes.len()),
///         DataChannelEvent::Lagged { missed } => format!("{missed} messages were missed"),
///         DataChannelEvent::Close => "the other side left the chat".into(),
///         _ => return None,
///     })
/// }
/// let event = DataChannelEvent::Message(ChannelMessage::Text("hello".into()));
/// assert_eq!(line(&event).as_deref(), Some("hello"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DataChannelEvent {
    /// Messages pass from now on. A durable channel opens again after each reset.
    Open,
    /// A message came.
    Message(ChannelMessage),
    /// So little waits in the transport that more can be given.
    BufferedAmountLow,
    /// The transport reported a fault; `Close` follows if it is final.
    Error,
    /// Closed for good. The last event.
    Close,
    /// So many messages from before the first subscription were dropped: more than the queue holds.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl Event for DataChannelEvent {
    fn lagged(missed: u64) -> Self {
        Self::Lagged { missed }
    }

    fn size(&self) -> usize {
        match self {
            Self::Message(message) => message.len(),
            _ => 0,
        }
    }
}

/// A subscription to a channel's events. While it is not read the remote is slowed down: drop it when it is
/// not needed.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let server = metered_dev_server::DevServer::builder().start().await?;
/// # let peer = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
/// #     let mut options = metered_realtime::peer::PeerOptions::with_token(server.token(id)?)?;
/// #     options.signalling.url = server.url();
/// #     Ok(metered_realtime::peer::MeteredPeer::new(options)?)
/// # };
/// # let (alice, bob) = (peer("alice")?, peer("bob")?);
/// # let mut arrivals = alice.events();
/// # alice.join("lobby").await?;
/// # bob.join("lobby").await?;
/// # let to_bob = loop {
/// #     let event = arrivals.next().await.ok_or("gone")?;
/// #     if let metered_realtime::peer::PeerEvent::PeerJoined(remote) = event { break remote }
/// # };
/// # let channel = to_bob.open_data_channel("chat", Default::default()).await?;
/// use metered_realtime::peer::{DataChannelEvent, DataChannelEvents};
/// let mut events: DataChannelEvents = channel.events();
/// while !matches!(events.next().await, Some(DataChannelEvent::Open)) {}
/// drop(events); // not read on: nobody is slowed down by it
/// # alice.close().await;
/// # bob.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub type DataChannelEvents = events::Events<DataChannelEvent>;

/// A channel of the engine that carries one of ours.
#[derive(Clone, Debug)]
struct Carrier {
    channel: Arc<dyn Channel>,
    /// Tells it from those before and after it.
    number: u64,
}

/// What handles, reader and the remote's actor share.
pub(crate) struct Shared {
    id: String,
    init: ChannelInit,
    options: DataChannelOptions,
    /// Whether we opened it.
    ours: bool,
    state: watch::Sender<ReadyState>,
    /// Whether it was ever open: one that was not has nothing to lose.
    opened: AtomicBool,
    /// What carries it now.
    link: watch::Sender<Option<Carrier>>,
    /// How many carried it so far.
    carriers: AtomicU64,
    /// The last of them that ended from outside.
    reset: AtomicU64,
    /// Wakes the remote's actor after that.
    resets: Arc<Notify>,
    /// The app closed it, or its remote is gone.
    closing: watch::Sender<bool>,
    hub: Hub<DataChannelEvent>,
    /// Held by the send whose turn it is; fair, so that sends leave in order.
    turn: tokio::sync::Mutex<()>,
    queued: AtomicUsize,
    low: Notify,
    /// Bytes of a message that the remote takes.
    remote_limit: Arc<AtomicUsize>,
}

/// A data channel to one remote: text and bytes, reliable or not.
///
/// Handles are cheap clones of one channel. It is closed by [`close`](Self::close), by the remote, with the
/// connection (unless durable), and with the peer; dropping handles does not close it.
///
/// ```
/// use metered_realtime::peer::{ChannelMessage, DataChannelEvent, DataChannelOptions, RemoteEvent};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # use metered_realtime::peer::{MeteredPeer, PeerEvent, PeerOptions};
/// # let server = metered_dev_server::DevServer::builder().start().await?;
/// # let peer = |id: &str| -> Result<MeteredPeer, Box<dyn std::error::Error>> {
/// #     let mut options = PeerOptions::with_token(server.token(id)?)?;
/// #     options.signalling.url = server.url();
/// #     Ok(MeteredPeer::new(options)?)
/// # };
/// # let (alice, bob) = (peer("alice")?, peer("bob")?);
/// # let mut events = alice.events();
/// # alice.join("lobby").await?;
/// # bob.join("lobby").await?;
/// # let to_bob = loop {
/// #     if let PeerEvent::PeerJoined(remote) = events.next().await.ok_or("gone")? { break remote }
/// # };
/// # let to_alice = bob.remote_peer("alice").ok_or("alice was there before bob")?;
/// // One side opens it, and may send at once: that waits until it is open.
/// let ours = to_bob.open_data_channel("chat", DataChannelOptions::default()).await?;
/// ours.send_text("hello").await?;
///
/// // The other side is told of it by the remote that opened it.
/// let mut remote_events = to_alice.events();
/// let theirs = loop {
///     if let RemoteEvent::DataChannel(channel) = remote_events.next().await.ok_or("alice left")? {
///         break channel;
///     }
/// };
/// let mut messages = theirs.events();
/// let text = loop {
///     if let DataChannelEvent::Message(ChannelMessage::Text(text)) = messages.next().await.ok_or("closed")? {
///         break text;
///     }
/// };
/// assert_eq!((theirs.label(), text.as_str()), ("chat", "hello"));
/// # alice.close().await;
/// # bob.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct DataChannel {
    shared: Arc<Shared>,
}

impl fmt::Debug for DataChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataChannel")
            .field("id", &self.shared.id)
            .field("state", &self.ready_state())
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        id: String,
        init: ChannelInit,
        options: DataChannelOptions,
        ours: bool,
        remote_limit: Arc<AtomicUsize>,
        resets: Arc<Notify>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            init,
            options,
            ours,
            state: watch::Sender::new(ReadyState::Connecting),
            opened: AtomicBool::new(false),
            link: watch::Sender::new(None),
            carriers: AtomicU64::new(0),
            reset: AtomicU64::new(0),
            resets,
            closing: watch::Sender::new(false),
            hub: Hub::with_backlog(BACKLOG_BYTES),
            turn: tokio::sync::Mutex::new(()),
            queued: AtomicUsize::new(0),
            low: Notify::new(),
            remote_limit,
        })
    }

    pub(crate) fn handle(self: &Arc<Self>) -> DataChannel {
        DataChannel { shared: Arc::clone(self) }
    }

    pub(crate) fn init(&self) -> &ChannelInit {
        &self.init
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.state.borrow() == ReadyState::Closed
    }

    /// Whether it shall be opened again on the next connection.
    pub(crate) fn survives(&self) -> bool {
        let worth_it = self.options.durable || !self.opened.load(Ordering::Relaxed);
        self.ours && worth_it && !*self.closing.borrow() && !self.is_closed()
    }

    /// The engine's channel that carries it from now on.
    pub(crate) async fn attach(&self, channel: Arc<dyn Channel>) {
        let threshold = u32::try_from(self.options.low_threshold()).unwrap_or(u32::MAX);
        if let Err(error) = channel.set_low_threshold(threshold).await {
            tracing::debug!(%error, "a channel was gone before it was attached");
        }
        let number = self.carriers.fetch_add(1, Ordering::Relaxed) + 1;
        self.link.send_replace(Some(Carrier { channel, number }));
    }

    /// What carries it, or carried it last, ended, and not because we closed it.
    fn was_reset(&self, carrier: &Carrier) {
        self.reset.store(carrier.number, Ordering::Relaxed);
        self.resets.notify_one();
    }

    /// Whether what carries it has ended, and it would survive that.
    pub(crate) fn is_reset(&self) -> bool {
        let ended = self.reset.load(Ordering::Relaxed);
        self.link.borrow().as_ref().is_some_and(|carrier| carrier.number == ended)
            && self.survives()
    }

    /// The remote's app has closed it.
    pub(crate) fn closed_by_remote(&self) {
        self.closing.send_replace(true);
    }

    /// Nothing carries it any more. Closed, unless it survives that.
    pub(crate) fn detach(&self) {
        self.link.send_replace(None);
        if !self.survives() {
            self.closing.send_replace(true);
        }
    }
}

/// Counts a send that waits, until it is dropped.
struct Queued<'a>(&'a AtomicUsize);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl DataChannel {
    /// Tells this channel from others of the same peer, also over resets.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let peer = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
    /// #     let mut options = metered_realtime::peer::PeerOptions::with_token(server.token(id)?)?;
    /// #     options.signalling.url = server.url();
    /// #     Ok(metered_realtime::peer::MeteredPeer::new(options)?)
    /// # };
    /// # let (alice, bob) = (peer("alice")?, peer("bob")?);
    /// # let mut arrivals = alice.events();
    /// # alice.join("lobby").await?;
    /// # bob.join("lobby").await?;
    /// # let to_bob = loop {
    /// #     let event = arrivals.next().await.ok_or("gone")?;
    /// #     if let metered_realtime::peer::PeerEvent::PeerJoined(remote) = event { break remote }
    /// # };
    /// use metered_realtime::peer::{DataChannelOptions, ReadyState};
    /// let options = DataChannelOptions {
    ///     ordered: false,
    ///     max_retransmits: Some(0),
    ///     protocol: "positions-1".into(),
    ///     durable: true,
    ///     ..DataChannelOptions::default()
    /// };
    /// let channel = to_bob.open_data_channel("game", options).await?;
    /// assert_eq!((channel.label(), channel.protocol()), ("game", "positions-1"));
    /// assert!(!channel.ordered() && channel.durable());
    /// assert_eq!(channel.max_retransmits(), Some(0));
    /// let another = to_bob.open_data_channel("game", DataChannelOptions::default()).await?;
    /// assert_ne!(channel.id(), another.id()); // of the same label
    /// # alice.close().await;
    /// # bob.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// The label.
    pub fn label(&self) -> &str {
        &self.shared.init.label
    }

    /// The subprotocol's name; empty if there is none.
    pub fn protocol(&self) -> &str {
        &self.shared.init.protocol
    }

    /// Whether messages arrive in order.
    pub fn ordered(&self) -> bool {
        self.shared.init.ordered
    }

    /// How often a lost message is sent again; `None` until it arrives, and for a channel that the remote
    /// opened: the engine goes by it and does not tell.
    pub fn max_retransmits(&self) -> Option<u16> {
        self.shared.init.max_retransmits
    }

    /// Whether it outlives its connection.
    pub fn durable(&self) -> bool {
        self.shared.options.durable
    }

    /// Where it stands.
    pub fn ready_state(&self) -> ReadyState {
        *self.shared.state.borrow()
    }

    /// Its state, now and at each change.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let peer = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
    /// #     let mut options = metered_realtime::peer::PeerOptions::with_token(server.token(id)?)?;
    /// #     options.signalling.url = server.url();
    /// #     Ok(metered_realtime::peer::MeteredPeer::new(options)?)
    /// # };
    /// # let (alice, bob) = (peer("alice")?, peer("bob")?);
    /// # let mut arrivals = alice.events();
    /// # alice.join("lobby").await?;
    /// # bob.join("lobby").await?;
    /// # let to_bob = loop {
    /// #     let event = arrivals.next().await.ok_or("gone")?;
    /// #     if let metered_realtime::peer::PeerEvent::PeerJoined(remote) = event { break remote }
    /// # };
    /// # let channel = to_bob.open_data_channel("chat", Default::default()).await?;
    /// use metered_realtime::peer::ReadyState;
    /// let mut state = channel.watch_ready_state();
    /// state.wait_for(|state| *state == ReadyState::Open).await?;
    /// channel.close();
    /// state.wait_for(|state| *state == ReadyState::Closed).await?;
    /// assert_eq!(channel.ready_state(), ReadyState::Closed);
    /// # alice.close().await;
    /// # bob.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn watch_ready_state(&self) -> watch::Receiver<ReadyState> {
        self.shared.state.subscribe()
    }

    /// Events. The first subscription gets what came before it.
    pub fn events(&self) -> DataChannelEvents {
        self.shared.hub.subscribe()
    }

    /// Bytes handed to the transport that the remote has not acknowledged.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let peer = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
    /// #     let mut options = metered_realtime::peer::PeerOptions::with_token(server.token(id)?)?;
    /// #     options.signalling.url = server.url();
    /// #     Ok(metered_realtime::peer::MeteredPeer::new(options)?)
    /// # };
    /// # let (alice, bob) = (peer("alice")?, peer("bob")?);
    /// # let mut arrivals = alice.events();
    /// # alice.join("lobby").await?;
    /// # bob.join("lobby").await?;
    /// # let to_bob = loop {
    /// #     let event = arrivals.next().await.ok_or("gone")?;
    /// #     if let metered_realtime::peer::PeerEvent::PeerJoined(remote) = event { break remote }
    /// # };
    /// # let channel = to_bob.open_data_channel("chat", Default::default()).await?;
    /// channel.send_bytes(vec![0; 1_000]).await?;
    /// // For the bar of a transfer: what was sent less what may still be on the way.
    /// let arrived = 1_000 - channel.buffered_amount().await.min(1_000);
    /// assert!(arrived <= 1_000);
    /// # alice.close().await;
    /// # bob.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn buffered_amount(&self) -> usize {
        let link = self.shared.link.borrow().clone();
        match link {
            Some(Carrier { channel, .. }) => channel.buffered_amount().await.unwrap_or(0),
            None => 0,
        }
    }

    /// Bytes of a message that the remote takes: 64 KiB unless its description says more.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let peer = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
    /// #     let mut options = metered_realtime::peer::PeerOptions::with_token(server.token(id)?)?;
    /// #     options.signalling.url = server.url();
    /// #     Ok(metered_realtime::peer::MeteredPeer::new(options)?)
    /// # };
    /// # let (alice, bob) = (peer("alice")?, peer("bob")?);
    /// # let mut arrivals = alice.events();
    /// # alice.join("lobby").await?;
    /// # bob.join("lobby").await?;
    /// # let to_bob = loop {
    /// #     let event = arrivals.next().await.ok_or("gone")?;
    /// #     if let metered_realtime::peer::PeerEvent::PeerJoined(remote) = event { break remote }
    /// # };
    /// # let channel = to_bob.open_data_channel("chat", Default::default()).await?;
    /// channel.send_text("hello").await?; // known once it is open
    /// let file = vec![7_u8; 100_000];
    /// for piece in file.chunks(channel.max_message_size()) {
    ///     channel.send_bytes(piece.to_vec()).await?;
    /// }
    /// # alice.close().await;
    /// # bob.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn max_message_size(&self) -> usize {
        self.shared.remote_limit.load(Ordering::Relaxed)
    }

    /// Sends text. See [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_text(&self, text: impl Into<String>) -> Result<(), DataChannelError> {
        self.send(ChannelMessage::Text(text.into())).await
    }

    /// Sends bytes. See [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_bytes(&self, bytes: impl Into<Bytes>) -> Result<(), DataChannelError> {
        self.send(ChannelMessage::Binary(bytes.into())).await
    }

    /// Sends a message; done when it is handed to the transport.
    ///
    /// Waits until the channel is open, while the remote cannot be reached (a path that is lost is looked for
    /// anew), and while `max_buffered_amount` bytes wait in the transport. Sends
    /// leave in the order of their calls. Dropping the future takes the message back if it has not left.
    ///
    /// # Errors
    /// [`DataChannelError::TooLarge`] and [`Overflow`](DataChannelError::Overflow) at once,
    /// [`Closed`](DataChannelError::Closed) at once or while it waits.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let peer = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
    /// #     let mut options = metered_realtime::peer::PeerOptions::with_token(server.token(id)?)?;
    /// #     options.signalling.url = server.url();
    /// #     Ok(metered_realtime::peer::MeteredPeer::new(options)?)
    /// # };
    /// # let (alice, bob) = (peer("alice")?, peer("bob")?);
    /// # let mut arrivals = alice.events();
    /// # alice.join("lobby").await?;
    /// # bob.join("lobby").await?;
    /// # let to_bob = loop {
    /// #     let event = arrivals.next().await.ok_or("gone")?;
    /// #     if let metered_realtime::peer::PeerEvent::PeerJoined(remote) = event { break remote }
    /// # };
    /// # let channel = to_bob.open_data_channel("chat", Default::default()).await?;
    /// use metered_realtime::peer::ChannelMessage;
    /// channel.send(ChannelMessage::Text("hello".into())).await?; // at once: it waits for the opening
    /// channel.close();
    /// let late = channel.send(ChannelMessage::Text("again".into())).await.unwrap_err();
    /// assert_eq!(late.code(), "data_channel_closed");
    /// # alice.close().await;
    /// # bob.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn send(&self, message: ChannelMessage) -> Result<(), DataChannelError> {
        let shared = &self.shared;
        self.check(&message)?;
        let cap = shared.options.max_queued_sends;
        let queued = shared.queued.fetch_add(1, Ordering::Relaxed);
        let _queued = Queued(&shared.queued);
        if queued >= cap {
            return Err(DataChannelError::Overflow { queued, cap });
        }
        let _turn = shared.turn.lock().await;
        let (mut link, mut state) = (shared.link.subscribe(), shared.state.subscribe());
        let mut closing = shared.closing.subscribe();
        loop {
            if *closing.borrow_and_update() || shared.is_closed() {
                return Err(DataChannelError::Closed);
            }
            let carrier = link.borrow_and_update().clone();
            let open = *state.borrow_and_update() == ReadyState::Open;
            if let Some(Carrier { channel, .. }) = carrier.filter(|_| open) {
                tokio::select! {
                    biased;
                    () = channel.path(message.len()) => {}
                    _ = link.changed() => continue,
                    _ = state.changed() => continue,
                    _ = closing.changed() => continue,
                }
                let low = shared.low.notified();
                if self.has_room(&*channel, message.len()).await {
                    // It was not open when it was checked; the remote's limit is known now.
                    self.check(&message)?;
                    match channel.send(&message).await {
                        Ok(()) => return Ok(()),
                        // The channel went away under us: a durable one comes back.
                        Err(_) if shared.survives() => {}
                        Err(_) => return Err(DataChannelError::Closed),
                    }
                } else {
                    tokio::select! {
                        () = low => {}
                        () = tokio::time::sleep(LOOK_AGAIN) => {}
                        _ = closing.changed() => {}
                    }
                    continue;
                }
            }
            // The senders live as long as `shared`.
            tokio::select! {
                _ = link.changed() => {}
                _ = state.changed() => {}
                _ = closing.changed() => {}
            }
        }
    }

    /// Sends now, or says why not: it is not open, or the transport has no room.
    ///
    /// # Errors
    /// [`DataChannelError::NotOpen`], [`Full`](DataChannelError::Full), [`TooLarge`](DataChannelError::TooLarge),
    /// [`Closed`](DataChannelError::Closed).
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let peer = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
    /// #     let mut options = metered_realtime::peer::PeerOptions::with_token(server.token(id)?)?;
    /// #     options.signalling.url = server.url();
    /// #     Ok(metered_realtime::peer::MeteredPeer::new(options)?)
    /// # };
    /// # let (alice, bob) = (peer("alice")?, peer("bob")?);
    /// # let mut arrivals = alice.events();
    /// # alice.join("lobby").await?;
    /// # bob.join("lobby").await?;
    /// # let to_bob = loop {
    /// #     let event = arrivals.next().await.ok_or("gone")?;
    /// #     if let metered_realtime::peer::PeerEvent::PeerJoined(remote) = event { break remote }
    /// # };
    /// # let channel = to_bob.open_data_channel("chat", Default::default()).await?;
    /// use metered_realtime::peer::{ChannelMessage, DataChannelError};
    /// // A position is of use now or not at all.
    /// match channel.try_send(ChannelMessage::Text("x=3".into())).await {
    ///     Ok(()) | Err(DataChannelError::Full | DataChannelError::NotOpen) => {}
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # alice.close().await;
    /// # bob.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn try_send(&self, message: ChannelMessage) -> Result<(), DataChannelError> {
        self.check(&message)?;
        match self.ready_state() {
            ReadyState::Open => {}
            ReadyState::Connecting => return Err(DataChannelError::NotOpen),
            _ => return Err(DataChannelError::Closed),
        }
        let full = DataChannelError::Full;
        // Sends that wait come first.
        let Ok(_turn) = self.shared.turn.try_lock() else { return Err(full) };
        let link = self.shared.link.borrow().clone();
        let Some(Carrier { channel, .. }) = link else { return Err(DataChannelError::NotOpen) };
        if !self.has_room(&*channel, message.len()).await {
            return Err(full);
        }
        channel.send(&message).await.map_err(|_| DataChannelError::Closed)
    }

    async fn has_room(&self, channel: &dyn Channel, len: usize) -> bool {
        // A channel that is gone has room: its send says what happened.
        let buffered = channel.buffered_amount().await.unwrap_or(0);
        buffered == 0 || buffered + len <= self.shared.options.max_buffered_amount
    }

    fn check(&self, message: &ChannelMessage) -> Result<(), DataChannelError> {
        let size = message.len();
        let cap = self.max_message_size().min(self.shared.options.max_buffered_amount);
        if size > cap { Err(DataChannelError::TooLarge { size, cap }) } else { Ok(()) }
    }

    /// Closes the channel on both sides. Messages that the transport has still arrive.
    pub fn close(&self) {
        self.shared.closing.send_replace(true);
    }
}
