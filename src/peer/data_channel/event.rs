//! What a subscriber to a channel hears.

use super::ChannelMessage;
use crate::events::{self, Event};

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
/// # metered_scenes::play(async |metered_scenes::Chat { channel, .. }| {
/// use metered_realtime::peer::{DataChannelEvent, DataChannelEvents};
/// let mut events: DataChannelEvents = channel.events();
/// while !matches!(events.next().await, Some(DataChannelEvent::Open)) {}
/// drop(events); // not read on: nobody is slowed down by it
/// # Ok(())
/// # });
/// ```
pub type DataChannelEvents = events::Events<DataChannelEvent>;
