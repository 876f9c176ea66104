//! A data channel's handle, and the task that reads it.
//!
//! The handle speaks to whatever channel of the engine carries it now: a durable channel gets a new one when
//! the connection is made anew. Its reader slows the remote down while a subscriber is slow, so that nothing
//! is lost; before the first subscriber it keeps the newest messages.
//!
//! Handles, reader and the remote's actor meet in [`Shared`] alone. The half of the handle that sends is in
//! [`sending`]; [`reset`] judges whether the remote's app closed a channel or the connection took it along.

mod event;
mod options;
mod reader;
mod ready_state;
mod reset;
mod sending;
mod shared;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

pub use crate::rtc::engine::ChannelMessage;
pub use event::{DataChannelEvent, DataChannelEvents};
pub use options::{DEFAULT_MAX_BUFFERED_AMOUNT, DEFAULT_MAX_QUEUED_SENDS, DataChannelOptions};
pub(crate) use reader::read;
pub use ready_state::ReadyState;
pub(crate) use reset::{Life, Reset, Verdict};
pub(crate) use shared::Shared;

/// Bytes of a message that every WebRTC implementation takes (RFC 8841 section 6.1).
pub(crate) const UNIVERSAL_MESSAGE_BYTES: usize = 65_536;

/// A data channel to one remote: text and bytes, reliable or not.
///
/// Handles are cheap clones of one channel. It is closed by [`close`](Self::close), by the remote, with the
/// connection (unless durable), and with the peer; dropping handles does not close it.
///
/// ```
/// use metered_realtime::peer::{ChannelMessage, DataChannelEvent, DataChannelOptions, RemoteEvent};
///
/// # metered_scenes::play(async |metered_scenes::Met { to_bob, to_alice, .. }| {
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
/// # Ok(())
/// # });
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

impl DataChannel {
    /// Tells this channel from others of the same peer, also over resets.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Met { to_bob, .. }| {
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
    /// # Ok(())
    /// # });
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
    /// # metered_scenes::play(async |metered_scenes::Chat { channel, .. }| {
    /// use metered_realtime::peer::ReadyState;
    /// let mut state = channel.watch_ready_state();
    /// state.wait_for(|state| *state == ReadyState::Open).await?;
    /// channel.close();
    /// state.wait_for(|state| *state == ReadyState::Closed).await?;
    /// assert_eq!(channel.ready_state(), ReadyState::Closed);
    /// # Ok(())
    /// # });
    /// ```
    pub fn watch_ready_state(&self) -> watch::Receiver<ReadyState> {
        self.shared.state.subscribe()
    }

    /// Events. The first subscription gets what came before it.
    pub fn events(&self) -> DataChannelEvents {
        self.shared.hub.subscribe()
    }

    /// Bytes of a message that the remote takes: 64 KiB unless its description says more.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Chat { channel, .. }| {
    /// channel.send_text("hello").await?; // known once it is open
    /// let file = vec![7_u8; 100_000];
    /// for piece in file.chunks(channel.max_message_size()) {
    ///     channel.send_bytes(piece.to_vec()).await?;
    /// }
    /// # Ok(())
    /// # });
    /// ```
    pub fn max_message_size(&self) -> usize {
        self.shared.remote_limit.load(Ordering::Relaxed)
    }

    /// Closes the channel on both sides. Messages that the transport has still arrive.
    pub fn close(&self) {
        self.shared.closing.send_replace(true);
    }
}
