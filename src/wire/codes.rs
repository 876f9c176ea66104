//! Close codes and error codes of the service, open to ones that we do not know yet.

use std::fmt;

/// A WebSocket close code, with the names that the service gives to its own.
///
/// ```
/// use metered_realtime::wire::CloseCode;
/// assert_eq!(CloseCode::TOKEN_EXPIRED.get(), 4002);
/// assert_eq!(CloseCode::TOKEN_EXPIRED.name(), Some("TokenExpired"));
/// assert_eq!(CloseCode(4999).name(), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The client asked for the end.
    pub const NORMAL: Self = Self(1000);
    /// The server restarts; it announced that with `going_away`.
    pub const GOING_AWAY: Self = Self(1001);
    /// No close frame came: the connection broke, or was never accepted.
    pub const ABNORMAL: Self = Self(1006);
    /// Generic refusal, rare.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// A frame was larger than the receiver accepts.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// Sent by clients only: nothing was heard for too long, or no welcome came.
    pub const CLIENT_INACTIVITY: Self = Self(4000);
    /// Bad signature, malformed token, unknown or revoked key.
    pub const INVALID_TOKEN: Self = Self(4001);
    /// The token's `exp` has come.
    pub const TOKEN_EXPIRED: Self = Self(4002);
    /// A channel lies outside the credential's patterns.
    pub const CHANNEL_NOT_AUTHORIZED: Self = Self(4003);
    /// The plan's connections are used up.
    pub const OVER_CONCURRENT_LIMIT: Self = Self(4010);
    /// The connection sent faster than its token bucket allows.
    pub const OVER_MESSAGE_RATE: Self = Self(4011);
    /// Billing or terms of service.
    pub const ACCOUNT_SUSPENDED: Self = Self(4012);
    /// The app's backend closed this peer's connections.
    pub const ADMIN_DISCONNECT: Self = Self(4020);

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The service's name for it, if it has one.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1001 => "GoingAway",
            1008 => "PolicyViolation",
            1009 => "MessageTooBig",
            4000 => "ClientInactivity",
            4001 => "InvalidToken",
            4002 => "TokenExpired",
            4003 => "ChannelNotAuthorized",
            4010 => "OverConcurrentLimit",
            4011 => "OverMessageRate",
            4012 => "AccountSuspended",
            4020 => "AdminDisconnect",
            _ => return None,
        })
    }

    /// Whether an application may send it: 1000, or 3000 to 4999 (RFC 6455 section 7.4, WebSocket API).
    ///
    /// ```
    /// use metered_realtime::wire::CloseCode;
    /// assert!(CloseCode::NORMAL.may_be_sent_by_an_application());
    /// assert!(!CloseCode::GOING_AWAY.may_be_sent_by_an_application()); // a server's word
    /// ```
    pub const fn may_be_sent_by_an_application(self) -> bool {
        self.0 == 1000 || (self.0 >= 3000 && self.0 <= 4999)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The `code` of an error frame. A code that this version does not know is kept as it came.
        ///
        /// ```
        /// use metered_realtime::wire::ErrorCode;
        /// assert_eq!(ErrorCode::from("peer_not_found"), ErrorCode::PeerNotFound);
        /// assert_eq!(ErrorCode::from("brand_new").as_str(), "brand_new");
        /// ```
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
            /// A code of a newer server.
            Other(Box<str>),
        }

        impl ErrorCode {
            /// Every code that this version knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant,)*];

            /// The code on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(code) => code,
                }
            }
        }

        impl From<&str> for ErrorCode {
            fn from(code: &str) -> Self {
                match code {
                    $($text => Self::$variant,)*
                    other => Self::Other(other.into()),
                }
            }
        }
    };
}

error_codes! {
    /// Not JSON, or no `type`.
    MalformedMessage = "malformed_message",
    /// The frame's type is not known to the server.
    UnknownType = "unknown_type",
    /// Empty, too long or unprintable channel name.
    InvalidChannel = "invalid_channel",
    /// Bad `to`.
    InvalidPeerId = "invalid_peer_id",
    /// The channel lies outside the credential's patterns.
    ChannelNotAuthorized = "channel_not_authorized",
    /// The channel's prefix is reserved for the service.
    ChannelReserved = "channel_reserved",
    /// The connection holds its 100 subscriptions.
    ChannelLimitExceeded = "channel_limit_exceeded",
    /// The addressee is not online.
    PeerNotFound = "peer_not_found",
    /// `publish` or `send` without `data`.
    MissingData = "missing_data",
    /// The credential lacks the action.
    ActionNotPermitted = "action_not_permitted",
    /// The plan's messages are used up; receiving goes on.
    OverMessageQuota = "over_message_quota",
    /// A passing fault behind the server.
    BackendError = "backend_error",
    /// Anything else that went wrong at the server.
    InternalError = "internal_error",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
