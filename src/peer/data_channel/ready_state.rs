//! Where a channel stands, in the W3C's words.

use serde::Serialize;

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
