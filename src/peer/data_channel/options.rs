//! Properties of a data channel to open.

use std::time::Duration;

use crate::peer::error::DataChannelError;
use crate::rtc::engine::ChannelInit;

/// Bytes that may wait in the transport (JavaScript SDK 1.2.0).
///
/// ```
/// use metered_realtime::peer::{DEFAULT_MAX_BUFFERED_AMOUNT, DataChannelOptions};
/// // Positions in a game: what waits is old, so little may.
/// let game = DataChannelOptions {
///     max_buffered_amount: DEFAULT_MAX_BUFFERED_AMOUNT / 64,
///     ..DataChannelOptions::default()
/// };
/// assert_eq!(game.max_buffered_amount, 16_384);
/// ```
pub const DEFAULT_MAX_BUFFERED_AMOUNT: usize = 1_048_576;

/// Sends that may wait for the transport (JavaScript SDK 1.2.0).
///
/// ```
/// use metered_realtime::peer::{DEFAULT_MAX_QUEUED_SENDS, DataChannelOptions};
/// // One task sends, and waits for each: more at once would be a mistake of the app.
/// let file = DataChannelOptions { max_queued_sends: 1, ..DataChannelOptions::default() };
/// assert!(file.max_queued_sends < DEFAULT_MAX_QUEUED_SENDS);
/// ```
pub const DEFAULT_MAX_QUEUED_SENDS: usize = 256;

/// Bytes of a label and of a subprotocol's name (RFC 8832 section 5.1).
const MAX_NAME_BYTES: usize = 65_535;
/// Streams of an association that a browser can use (RFC 8831 section 6.2).
const MAX_STREAM_ID: u16 = 65_534;

/// How a data channel shall be. The defaults are reliable and ordered.
///
/// ```
/// use metered_realtime::peer::DataChannelOptions;
/// let game = DataChannelOptions { ordered: false, max_retransmits: Some(0), ..Default::default() };
/// assert!(!game.ordered);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataChannelOptions {
    /// Whether messages arrive in the order of their sending.
    pub ordered: bool,
    /// How often a lost message is sent again; `None` until it arrives. Not with `max_packet_life_time`.
    pub max_retransmits: Option<u16>,
    /// How long a lost message is sent again, in whole milliseconds up to 65,535; `None` until it arrives.
    pub max_packet_life_time: Option<Duration>,
    /// The subprotocol's name, for the app on the other side.
    pub protocol: String,
    /// The stream, if both sides open the channel with the same one by agreement: 0 to 65,534.
    pub negotiated_id: Option<u16>,
    /// Whether the channel outlives the connection: after a reset it is opened again under the same handle,
    /// and sends that were not handed to the transport yet go out then. What the transport had taken may be
    /// lost. The remote sees a new channel.
    pub durable: bool,
    /// Bytes that may wait in the transport before `send` waits; more than 0.
    pub max_buffered_amount: usize,
    /// `BufferedAmountLow` comes at so many bytes; `None` for half of `max_buffered_amount`.
    pub buffered_amount_low_threshold: Option<usize>,
    /// Calls of `send` that may wait; 1 or more.
    pub max_queued_sends: usize,
}

impl Default for DataChannelOptions {
    fn default() -> Self {
        Self {
            ordered: true,
            max_retransmits: None,
            max_packet_life_time: None,
            protocol: String::new(),
            negotiated_id: None,
            durable: false,
            max_buffered_amount: DEFAULT_MAX_BUFFERED_AMOUNT,
            buffered_amount_low_threshold: None,
            max_queued_sends: DEFAULT_MAX_QUEUED_SENDS,
        }
    }
}

impl DataChannelOptions {
    pub(crate) fn low_threshold(&self) -> usize {
        self.buffered_amount_low_threshold.unwrap_or(self.max_buffered_amount / 2)
    }

    pub(crate) fn init(&self, label: &str) -> Result<ChannelInit, DataChannelError> {
        let invalid = |option| Err(DataChannelError::InvalidOption { option });
        if label.len() > MAX_NAME_BYTES {
            return invalid("label");
        }
        if self.protocol.len() > MAX_NAME_BYTES {
            return invalid("protocol");
        }
        if self.max_retransmits.is_some() && self.max_packet_life_time.is_some() {
            return invalid("max_retransmits with max_packet_life_time");
        }
        if self.negotiated_id.is_some_and(|id| id > MAX_STREAM_ID) {
            return invalid("negotiated_id");
        }
        if self.max_buffered_amount == 0 {
            return invalid("max_buffered_amount");
        }
        if self.low_threshold() > self.max_buffered_amount {
            return invalid("buffered_amount_low_threshold");
        }
        if self.max_queued_sends == 0 {
            return invalid("max_queued_sends");
        }
        let max_packet_life_time_ms = match self.max_packet_life_time {
            None => None,
            Some(time) => match u16::try_from(time.as_millis()) {
                Ok(milliseconds) => Some(milliseconds),
                Err(_) => return invalid("max_packet_life_time"),
            },
        };
        Ok(ChannelInit {
            label: label.to_owned(),
            ordered: self.ordered,
            max_retransmits: self.max_retransmits,
            max_packet_life_time_ms,
            protocol: self.protocol.clone(),
            negotiated_id: self.negotiated_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_has_its_range() {
        let wrong = |change: &dyn Fn(&mut DataChannelOptions)| {
            let mut options = DataChannelOptions::default();
            change(&mut options);
            options.init("label").is_err()
        };
        assert!(!wrong(&|_| ()));
        assert!(wrong(&|options| options.max_buffered_amount = 0));
        assert!(wrong(&|options| options.max_queued_sends = 0));
        assert!(wrong(&|options| options.negotiated_id = Some(u16::MAX)));
        assert!(wrong(&|options| options.buffered_amount_low_threshold = Some(usize::MAX)));
        assert!(wrong(&|options| options.max_packet_life_time = Some(Duration::from_secs(66))));
        assert!(wrong(&|options| {
            options.max_retransmits = Some(1);
            options.max_packet_life_time = Some(Duration::from_secs(1));
        }));
        assert!(DataChannelOptions::default().init(&"x".repeat(70_000)).is_err());
    }
}
