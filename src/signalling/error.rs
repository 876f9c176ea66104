//! Why a connection, an attempt or a request failed. Text of the server never enters a message.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::credential::{PreflightError, TokenProviderError};
use crate::diagnosis::{Diagnosis, of_close_code, of_http_refusal, of_server_error};
use crate::wire::{BuildError, CloseCode, ErrorCode, JsonError};

use super::event::State;

/// The server's answer to the upgrade, when it is not a WebSocket.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Client { client, server }| {
/// use metered_realtime::signalling::{ConnectError, HttpRefusal};
/// use std::time::Duration;
/// server.refuse_upgrades(1, 429, None, Some(30));
/// let Err(ConnectError::Http(refusal)) = client.connect().await else { panic!() };
/// let HttpRefusal { status, retry_after, .. } = refusal;
/// assert_eq!((status, retry_after), (429, Some(Duration::from_secs(30))));
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRefusal {
    /// HTTP status.
    pub status: u16,
    /// `error` of a JSON body `{"error": "…"}`.
    pub code: Option<String>,
    /// The body as text, at most 16 KiB, with credentials masked. Text of the server: not for logs.
    pub body: Option<String>,
    /// `Retry-After`, if any.
    pub retry_after: Option<Duration>,
}

/// A failure on the way to the server: name, address, proxy, TLS, or a broken answer.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use metered_realtime::signalling::{ConnectError, NetworkFailure, SignallingClient, SignallingOptions};
/// // A port on which nobody listens any more.
/// let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
/// let mut options = SignallingOptions::with_api_key("pk_live_example")?;
/// options.url = format!("ws://{nobody}");
/// let client = SignallingClient::new(options)?;
/// let Err(ConnectError::Network(failure)) = client.connect().await else { panic!() };
/// let NetworkFailure { code, message, diagnosis } = failure;
/// assert_eq!(code, "connect_failed");
/// println!("{message}. {diagnosis}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFailure {
    /// Stable code, such as `dns_failed`, `connect_failed`, `tls_untrusted`.
    pub code: &'static str,
    /// One line for people.
    pub message: String,
    /// Cause and fix.
    pub diagnosis: Diagnosis,
}

/// Why there is no connection: the `SignallingConnectError` of the JavaScript SDK, told apart.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Client { client, server }| {
/// use metered_realtime::signalling::{ConnectError, SignallingClient, SignallingOptions};
/// use metered_realtime::wire::CloseCode;
/// server.refuse_upgrades(1, 403, Some(serde_json::json!({ "error": "origin_not_allowed" })), None);
/// let refused: ConnectError = client.connect().await.unwrap_err();
/// assert_eq!((refused.name(), &*refused.code()), ("SignallingConnectError", "origin_not_allowed"));
/// assert_eq!((refused.http_status(), refused.http_code()), (Some(403), Some("origin_not_allowed")));
/// assert_eq!((refused.close_code(), refused.close_reason()), (CloseCode::ABNORMAL, "http refusal"));
/// println!("{}", refused.diagnosis()); // cause and fix
///
/// // What cannot work is refused before anything is sent.
/// let client = SignallingClient::new(SignallingOptions::with_token("not.a.token")?)?;
/// assert_eq!(client.connect().await.unwrap_err().preflight(), Some("malformed"));
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server answered the upgrade with an HTTP status.
    #[error("the server refused the connection with HTTP status {}", .0.status)]
    Http(HttpRefusal),
    /// The way to the server failed.
    #[error("{}", .0.message)]
    Network(NetworkFailure),
    /// The server closed the connection.
    #[error("the connection was closed with code {code}")]
    Closed {
        /// Its close code; 1006 if the connection broke.
        code: CloseCode,
        /// The server's words.
        reason: String,
    },
    /// No welcome within ten seconds of the attempt's start.
    #[error("no welcome within {} s (while {phase})", super::WELCOME_TIMEOUT.as_secs())]
    WelcomeTimeout {
        /// What the attempt was doing when time ran out, such as `resolving` or `waiting for the welcome`.
        phase: &'static str,
    },
    /// Nothing was heard for too long on a connection that should answer.
    #[error("the connection went silent: {what}")]
    Silent {
        /// Which deadline passed.
        what: &'static str,
    },
    /// The server sent a frame above 1 MiB.
    #[error("the server sent a frame above {} bytes", crate::wire::MAX_INBOUND_FRAME_BYTES)]
    InboundTooBig,
    /// The connection is being replaced by one with the next token.
    #[error("the connection is being renewed with the next token")]
    Renewal,
    /// The token cannot work; nothing was sent.
    #[error(transparent)]
    Preflight(Arc<PreflightError>),
    /// The app's token provider failed.
    #[error(transparent)]
    TokenProvider(Arc<TokenProviderError>),
    /// The app closed the client.
    #[error("the client was closed by the app")]
    ClosedByApp {
        /// The code that the app gave.
        code: CloseCode,
        /// The reason that the app gave.
        reason: String,
    },
    /// `connect` was called while the client was neither idle nor closed.
    #[error("connect is not possible in state {state}")]
    InvalidState {
        /// The state.
        state: State,
    },
    /// A close code that no application may send, or a reason above 123 bytes.
    #[error("the close code or reason is not allowed: {what}")]
    InvalidClose {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A fault of the SDK itself.
    #[error("the SDK failed inside: {what}")]
    Internal {
        /// Where.
        what: &'static str,
    },
}

impl ConnectError {
    /// The error's class, as the JavaScript SDK names it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TokenProvider(_) => "TokenProviderError",
            Self::InvalidState { .. } => "InvalidStateError",
            Self::InvalidClose { .. } => "InvalidArgumentError",
            Self::Internal { .. } => "InternalError",
            _ => "SignallingConnectError",
        }
    }

    /// Stable code.
    pub fn code(&self) -> Cow<'_, str> {
        match self {
            Self::Http(refusal) => match &refusal.code {
                Some(code) => Cow::Borrowed(code),
                None => Cow::Borrowed("http_refused"),
            },
            Self::Network(failure) => failure.code.into(),
            Self::Closed { code, .. } => close_code_name(*code).into(),
            Self::WelcomeTimeout { .. } => "welcome_timeout".into(),
            Self::Silent { .. } => "inactivity".into(),
            Self::InboundTooBig => "message_too_big".into(),
            Self::Renewal => "renewal".into(),
            Self::Preflight(error) => error.code().into(),
            Self::TokenProvider(error) => error.code().into(),
            Self::ClosedByApp { .. } => "closed_by_app".into(),
            Self::InvalidState { .. } => "invalid_state".into(),
            Self::InvalidClose { .. } => "invalid_close".into(),
            Self::Internal { .. } => "internal".into(),
        }
    }

    /// The close code that stands for it: 4000 for our own deadlines, 1006 where there was no close frame.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::Closed { code, .. } | Self::ClosedByApp { code, .. } => *code,
            Self::WelcomeTimeout { .. } | Self::Silent { .. } => CloseCode::CLIENT_INACTIVITY,
            Self::InboundTooBig => CloseCode::MESSAGE_TOO_BIG,
            Self::Renewal => CloseCode::NORMAL,
            _ => CloseCode::ABNORMAL,
        }
    }

    /// The server's or our reason in the close frame; empty if there is none.
    pub fn close_reason(&self) -> &str {
        match self {
            Self::Closed { reason, .. } | Self::ClosedByApp { reason, .. } => reason,
            Self::Http(_) => "http refusal",
            Self::Network(failure) => failure.code,
            Self::WelcomeTimeout { .. } => "welcome timeout",
            Self::Silent { what } => what,
            Self::InboundTooBig => "frame exceeded client cap",
            Self::Renewal => "token renewal",
            Self::Preflight(error) => error.code(),
            Self::TokenProvider(_) => "token provider failed",
            Self::InvalidState { .. } | Self::InvalidClose { .. } | Self::Internal { .. } => "",
        }
    }

    /// The HTTP status, if the server answered with one.
    pub const fn http_status(&self) -> Option<u16> {
        match self {
            Self::Http(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    /// The code in the HTTP answer's body, if any.
    pub fn http_code(&self) -> Option<&str> {
        match self {
            Self::Http(refusal) => refusal.code.as_deref(),
            _ => None,
        }
    }

    /// The preflight's code, if it was the preflight that refused.
    pub fn preflight(&self) -> Option<&'static str> {
        match self {
            Self::Preflight(error) => Some(error.code()),
            _ => None,
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Http(refusal) => of_http_refusal(refusal.status, refusal.code.as_deref()),
            Self::Network(failure) => failure.diagnosis.clone(),
            Self::Closed { code, .. } => of_close_code(code.get()),
            Self::WelcomeTimeout { phase } => Diagnosis::new(
                format!(
                    "The connection was not ready within ten seconds; time ran out while {phase}."
                ),
                "Check the network and what stands between app and service (captive portal, firewall, proxy). If the welcome alone is missing, look at the service's status page.",
            ),
            Self::Silent { .. } => of_close_code(CloseCode::CLIENT_INACTIVITY.get()),
            Self::InboundTooBig => of_close_code(CloseCode::MESSAGE_TOO_BIG.get()),
            Self::Renewal => Diagnosis::new(
                "The token was near its end, so the client asked for the next one and connects with it.",
                "Nothing: this is planned and follows at once.",
            ),
            Self::Preflight(error) => error.diagnosis(),
            Self::TokenProvider(error) => error.diagnosis(),
            Self::ClosedByApp { .. } => Diagnosis::new(
                "The app closed the client while this was under way.",
                "Nothing, if that was meant; else call connect again.",
            ),
            Self::InvalidState { state } => Diagnosis::new(
                format!("connect was called in state {state}; it is possible in idle and closed."),
                "Call it once, and again only after close or a final disconnected event. To hurry a reconnect, call reconnect_now.",
            ),
            Self::InvalidClose { .. } => Diagnosis::new(
                "A WebSocket close takes the code 1000 or 3000 to 4999 and a reason of at most 123 bytes.",
                "Close with 1000, or with a code of your own from 4000 on.",
            ),
            Self::Internal { .. } => Diagnosis::new(
                "The SDK met a fault of its own.",
                "Report it with a trace log; credentials are never in it.",
            ),
        }
    }
}

/// The stable code of a close code, as the JavaScript SDK's `error` event names it.
pub(crate) const fn close_code_name(code: CloseCode) -> &'static str {
    match code.get() {
        1000 => "closed",
        1001 => "going_away",
        1008 => "policy_violation",
        1009 => "message_too_big",
        4000 => "inactivity",
        4001 => "invalid_token",
        4002 => "token_expired",
        4003 => "channel_not_authorized",
        4010 => "over_concurrent_limit",
        4011 => "over_message_rate",
        4012 => "account_suspended",
        4020 => "admin_disconnect",
        _ => "connection_lost",
    }
}

/// Why a request was not done.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
/// use metered_realtime::signalling::RequestError;
/// /// Whether the same request may be made again without being done twice.
/// fn was_not_done(error: &RequestError) -> bool {
///     !matches!(error, RequestError::AckTimeout | RequestError::Disconnected { sent: true, .. })
/// }
/// let early = client.publish("room", "hello").await.unwrap_err();
/// assert_eq!((early.name(), early.code()), ("NotConnectedError", "not_connected"));
/// assert!(was_not_done(&early));
/// client.connect().await?;
/// let reserved = client.publish("_system/room", "hello").await.unwrap_err();
/// assert_eq!(reserved.code(), "channel_reserved");
/// println!("{}", reserved.diagnosis());
/// client.close().await;
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no connection; nothing was sent.
    #[error("not connected (state {state})")]
    NotConnected {
        /// The state.
        state: State,
    },
    /// The connection ended before the answer.
    #[error("the connection ended before the answer (close code {close_code})")]
    Disconnected {
        /// Whether the request had left. If so its outcome is unknown; if not, it was not done.
        sent: bool,
        /// How the connection ended.
        close_code: CloseCode,
    },
    /// The server did not answer within 15 s of the request's departure. Its outcome is unknown.
    #[error("no answer within {} s", super::ACK_TIMEOUT.as_secs())]
    AckTimeout,
    /// The server refused.
    #[error("the server refused with {code}")]
    Server {
        /// Its code.
        code: ErrorCode,
        /// Its words. Not for logs.
        message: Option<String>,
    },
    /// More requests wait for their turn than the queue holds.
    #[error("{waiting} requests are waiting already")]
    PacingOverflow {
        /// Requests that wait.
        waiting: usize,
    },
    /// A name or size that the service refuses; nothing was sent.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The data is not JSON.
    #[error("the data cannot be written as JSON")]
    Json(#[source] Arc<JsonError>),
    /// The token does not allow it; nothing was sent.
    #[error(transparent)]
    Preflight(Arc<PreflightError>),
}

impl RequestError {
    /// The error's class, as the JavaScript SDK names it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotConnected { .. } => "NotConnectedError",
            Self::Disconnected { .. } => "DisconnectedError",
            Self::AckTimeout => "AckTimeoutError",
            Self::Server { .. } => "ServerRequestError",
            Self::PacingOverflow { .. } => "PacingOverflow",
            Self::Build(BuildError::Oversized { .. }) => "OversizedPayloadError",
            Self::Build(_) | Self::Json(_) => "InvalidArgumentError",
            Self::Preflight(_) => "PreflightError",
        }
    }

    /// Stable code; the server's own where it answered.
    pub fn code(&self) -> &str {
        match self {
            Self::NotConnected { .. } => "not_connected",
            Self::Disconnected { .. } => "disconnected",
            Self::AckTimeout => "ack_timeout",
            Self::Server { code, .. } => code.as_str(),
            Self::PacingOverflow { .. } => "pacing_overflow",
            Self::Build(error) => error.code(),
            Self::Json(error) => error.code(),
            Self::Preflight(error) => error.code(),
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NotConnected { state } => Diagnosis::new(
                format!("The client is {state}; nothing was sent."),
                "Await connect first. While reconnecting, wait for the connected event and call again.",
            ),
            Self::Disconnected { sent: true, .. } => Diagnosis::new(
                "The connection ended after the request left and before its answer came: it may have been done or not.",
                "Call again after the connected event if doing it twice does no harm. Subscriptions are replayed by themselves.",
            ),
            Self::Disconnected { sent: false, .. } => Diagnosis::new(
                "The connection ended while the request waited for its turn; it was not sent.",
                "Call again after the connected event.",
            ),
            Self::AckTimeout => Diagnosis::new(
                "The request left and the server did not answer within 15 s.",
                "It may have been done. The client checks the connection by itself; call again if doing it twice does no harm.",
            ),
            Self::Server { code, .. } => of_server_error(code.as_str()),
            Self::PacingOverflow { .. } => Diagnosis::new(
                "The app makes requests faster than they may leave (100 a second), and the queue is full.",
                "Await each publish or send, merge updates into fewer messages, or raise the pacing option if the plan allows more.",
            ),
            Self::Build(BuildError::Oversized { cap, .. }) => Diagnosis::new(
                format!(
                    "The frame would be larger than the server's {cap} bytes, and the server would close the connection."
                ),
                "Send less at once: split the data, or send a link to it. Files belong on a data channel.",
            ),
            Self::Build(error) => of_server_error(error.code()),
            Self::Json(_) => Diagnosis::new(
                "The data cannot be written as JSON, for example a map with keys that are no strings.",
                "Give data that serde can write as JSON.",
            ),
            Self::Preflight(error) => error.diagnosis(),
        }
    }
}
