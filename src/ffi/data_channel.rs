//! A data channel.

use std::fmt;
use std::sync::Arc;

use super::error::SdkError;
use super::event::DataChannelEvent;
use super::inbox::Inbox;
use super::listener::DataChannelListener;
use super::raw_bytes::RawBytes;
use super::runtime;
use crate::events::Events;
use crate::peer::{ChannelMessage, DataChannel as Core, DataChannelEvent as Event, ReadyState};

/// A data channel to one remote: text and bytes, reliable or not.
///
/// Each object has a queue of its own, from its first pull or listener on; the first one of all also gets
/// what came before. From then on the remote is slowed down while the events are not taken, so that nothing
/// is lost.
#[derive(uniffi::Object)]
pub struct DataChannel {
    core: Core,
    inbox: Inbox<Events<Event>>,
}

impl DataChannel {
    pub(super) fn new(core: Core) -> Arc<Self> {
        Arc::new(Self { core, inbox: Inbox::new(None) })
    }

    async fn send(&self, message: ChannelMessage) -> Result<(), SdkError> {
        let core = self.core.clone();
        runtime::run(async move { core.send(message).await }).await
    }

    async fn try_send(&self, message: ChannelMessage) -> Result<(), SdkError> {
        let core = self.core.clone();
        runtime::run(async move { core.try_send(message).await }).await
    }
}

impl fmt::Debug for DataChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

#[uniffi::export]
impl DataChannel {
    /// Tells this channel from others of the same peer, also over resets.
    pub fn id(&self) -> Result<String, SdkError> {
        Ok(self.core.id().to_owned())
    }

    /// The label.
    pub fn label(&self) -> Result<String, SdkError> {
        Ok(self.core.label().to_owned())
    }

    /// The subprotocol's name; empty if there is none.
    pub fn protocol(&self) -> Result<String, SdkError> {
        Ok(self.core.protocol().to_owned())
    }

    /// Whether messages arrive in order.
    pub fn ordered(&self) -> Result<bool, SdkError> {
        Ok(self.core.ordered())
    }

    /// How often a lost message is sent again; none: until it arrives.
    pub fn max_retransmits(&self) -> Result<Option<u16>, SdkError> {
        Ok(self.core.max_retransmits())
    }

    /// Whether it outlives its connection.
    pub fn durable(&self) -> Result<bool, SdkError> {
        Ok(self.core.durable())
    }

    /// Where it stands.
    pub fn ready_state(&self) -> Result<ReadyState, SdkError> {
        Ok(self.core.ready_state())
    }

    /// Waits until the state is another one than `known`, and gives it. After `shutdown` it gives the state
    /// at once.
    pub async fn ready_state_after(&self, known: ReadyState) -> Result<ReadyState, SdkError> {
        Ok(self.inbox.changed(self.core.watch_ready_state(), known).await)
    }

    /// Bytes handed to the transport that the remote has not acknowledged.
    pub async fn buffered_amount(&self) -> Result<u64, SdkError> {
        let core = self.core.clone();
        runtime::finish(async move { core.buffered_amount().await as u64 }).await
    }

    /// Bytes of a message that the remote takes.
    pub fn max_message_size(&self) -> Result<u64, SdkError> {
        Ok(self.core.max_message_size() as u64)
    }

    /// Sends text; done when it is handed to the transport. Waits until the channel is open and the
    /// transport has room; sends leave in the order of their calls. Given up, the message is taken back if
    /// it has not left.
    pub async fn send_text(&self, text: String) -> Result<(), SdkError> {
        self.send(ChannelMessage::Text(text)).await
    }

    /// Sends bytes, as `send_text` does text.
    pub async fn send_bytes(&self, data: RawBytes) -> Result<(), SdkError> {
        self.send(ChannelMessage::Binary(data.0)).await
    }

    /// Sends text now, or says why not.
    pub async fn try_send_text(&self, text: String) -> Result<(), SdkError> {
        self.try_send(ChannelMessage::Text(text)).await
    }

    /// Sends bytes now, or says why not.
    pub async fn try_send_bytes(&self, data: RawBytes) -> Result<(), SdkError> {
        self.try_send(ChannelMessage::Binary(data.0)).await
    }

    /// Up to `max` events (1,024 at most), at least one; none after the channel's end.
    pub async fn next_events(&self, max: u32) -> Result<Vec<DataChannelEvent>, SdkError> {
        self.inbox.pull(max, || self.core.events()).await
    }

    /// Hands all events to a listener, instead of one that was set before and of `next_events`.
    pub fn set_listener(&self, listener: Arc<dyn DataChannelListener>) -> Result<(), SdkError> {
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

    /// Closes the channel on both sides, and frees the listener. Messages that the transport has still
    /// arrive. A second call does nothing.
    pub async fn shutdown(self: Arc<Self>) -> Result<(), SdkError> {
        runtime::finish(async move {
            self.core.close();
            self.inbox.end().await;
        })
        .await
    }
}
