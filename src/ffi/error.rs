//! The one error of every call, flat: a variant per class of the JavaScript SDK, with its fields.
//!
//! `details` has what every error says of itself. It is a record of its own because Kotlin's and Python's
//! exceptions have a `message` and a `cause` already.

use std::fmt;

use crate::credential::{CredentialError, TokenProviderError};
use crate::diagnosis::{self, Diagnosis};
use crate::media::WriteError;
use crate::media::audio::AudioError;
use crate::peer::{DataChannelError, IceCandidateError, PeerError, PeerOptionsError};
use crate::signalling::{ConnectError, OptionsError, RequestError};
use crate::wire::{BuildError, JsonError};

/// What every error says of itself.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ErrorDetails {
    /// Stable code; the server's own where it answered.
    pub code: String,
    /// One line for people.
    pub message: String,
    /// What led to it; one or two sentences.
    pub cause: String,
    /// What to do; one or two sentences.
    pub fix: String,
}

impl ErrorDetails {
    pub(super) fn new(code: &str, message: impl fmt::Display, diagnosis: Diagnosis) -> Self {
        Self {
            code: code.to_owned(),
            message: message.to_string(),
            cause: diagnosis.cause.into_owned(),
            fix: diagnosis.fix.into_owned(),
        }
    }
}

impl fmt::Display for ErrorDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}). {} Fix: {}", self.message, self.code, self.cause, self.fix)
    }
}

/// Why a call was not done. Variants are named as the JavaScript SDK's classes; ours where it has none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum SdkError {
    /// There is no connection to the service.
    #[error("{details}")]
    SignallingConnectError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
        /// The close code that stands for it: 1006 where there was no close frame.
        close_code: u16,
        /// The server's or our reason; empty if there is none. Not for logs.
        close_reason: String,
        /// The HTTP status, if the server answered the upgrade with one.
        http_status: Option<u16>,
        /// The code in that answer's body.
        http_code: Option<String>,
        /// The preflight's code, if the token was refused before it was sent.
        preflight: Option<String>,
    },
    /// The app's token provider failed, or took too long.
    #[error("{details}")]
    TokenProviderError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
    },
    /// The object's state does not allow the call.
    #[error("{details}")]
    InvalidStateError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
        /// The state, if it has a name.
        current_state: Option<String>,
        /// The method, if it is known.
        method: Option<String>,
    },
    /// An argument or option that cannot be.
    #[error("{details}")]
    InvalidArgumentError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
    },
    /// A fault of the SDK itself; a panic is one.
    #[error("{details}")]
    InternalError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
    },
    /// There is no connection; nothing was sent.
    #[error("{details}")]
    NotConnectedError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
        /// The client's state.
        current_state: String,
    },
    /// The connection ended before the answer.
    #[error("{details}")]
    DisconnectedError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
        /// How the connection ended.
        close_code: u16,
        /// Whether the request had left: then its outcome is unknown.
        sent: bool,
    },
    /// The server did not answer in time. The outcome is unknown.
    #[error("{details}")]
    AckTimeoutError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
    },
    /// The server refused; `details.code` is its own.
    #[error("{details}")]
    ServerRequestError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
        /// The server's words. Not for logs.
        server_message: Option<String>,
    },
    /// More requests wait for their turn than the queue holds.
    #[error("{details}")]
    PacingOverflow {
        /// Code, message, cause and fix.
        details: ErrorDetails,
        /// Requests that wait.
        waiting: u64,
    },
    /// More bytes than may be sent at once.
    #[error("{details}")]
    OversizedPayloadError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
        /// Bytes of the payload.
        size: u64,
        /// Bytes that are allowed.
        cap: u64,
    },
    /// The token does not allow it; nothing was sent.
    #[error("{details}")]
    PreflightError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
        /// The preflight's code.
        preflight: String,
    },
    /// The peer's state, or the track's, does not allow the call.
    #[error("{details}")]
    MeteredPeerStateError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
        /// The peer's state, if that is what does not allow it.
        current_state: Option<String>,
        /// The method.
        method: String,
    },
    /// The peer cannot send this, or not to this target.
    #[error("{details}")]
    MeteredPeerSendError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
    },
    /// More bytes than the service takes at once.
    #[error("{details}")]
    MeteredPeerOversizedError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
        /// Bytes of the payload.
        size: u64,
        /// Bytes that are allowed.
        cap: u64,
    },
    /// A track was not replaced for every remote.
    #[error("{details}")]
    MeteredPeerReplaceTrackError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
        /// Remotes that get the new track, by their ids.
        succeeded: Vec<String>,
        /// Remotes that still get the old one.
        failed: Vec<String>,
    },
    /// The remote has left.
    #[error("{details}")]
    RemotePeerClosedError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
    },
    /// The WebRTC engine refused.
    #[error("{details}")]
    EngineError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
    },
    /// A STUN or TURN server does not serve.
    #[error("{details}")]
    IceCandidateError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
        /// The server's URL; never its credentials.
        url: String,
        /// STUN error code 300 to 699, or 701 if the server could not be reached.
        error_code: u16,
    },
    /// The app sends faster than the network carries.
    #[error("{details}")]
    DataChannelOverflowError {
        /// Code, message, cause and fix.
        details: ErrorDetails,
        /// Sends that wait, if the queue was full.
        queued: Option<u64>,
        /// Sends that may wait.
        cap: Option<u64>,
    },
}

impl SdkError {
    /// The error's class, as the JavaScript SDK names it.
    pub fn class(&self) -> String {
        let shown = format!("{self:?}");
        let end = shown.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(shown.len());
        shown[..end].to_owned()
    }

    pub(super) fn internal(message: impl fmt::Display) -> Self {
        let diagnosis = Diagnosis::new(
            "The SDK met a fault of its own, or was shut down during the call.",
            "If shutdown_all was not called, report it with a trace log; credentials are never in it.",
        );
        Self::InternalError { details: ErrorDetails::new("internal", message, diagnosis) }
    }

    pub(super) fn invalid_state(state: &str, method: &str) -> Self {
        let diagnosis = Diagnosis::new(
            format!("{method} was called while the object was {state}."),
            "Make a new object after shutdown; clear a listener before events are pulled.",
        );
        let message = format_args!("{method} is not possible in state {state}");
        Self::InvalidStateError {
            details: ErrorDetails::new("invalid_state", message, diagnosis),
            current_state: Some(state.to_owned()),
            method: Some(method.to_owned()),
        }
    }

    pub(super) fn invalid_argument(what: &'static str, fix: &'static str) -> Self {
        let details = ErrorDetails::new("invalid_argument", what, Diagnosis::new(what, fix));
        Self::InvalidArgumentError { details }
    }
}

impl From<ConnectError> for SdkError {
    fn from(error: ConnectError) -> Self {
        let details = ErrorDetails::new(&error.code(), &error, error.diagnosis());
        match &error {
            ConnectError::TokenProvider(_) => Self::TokenProviderError { details },
            ConnectError::InvalidState { state } => Self::InvalidStateError {
                details,
                current_state: Some(state.to_string()),
                method: Some("connect".to_owned()),
            },
            ConnectError::InvalidClose { .. } => Self::InvalidArgumentError { details },
            ConnectError::Internal { .. } => Self::InternalError { details },
            _ => Self::SignallingConnectError {
                details,
                close_code: error.close_code().get(),
                close_reason: error.close_reason().to_owned(),
                http_status: error.http_status(),
                http_code: error.http_code().map(str::to_owned),
                preflight: error.preflight().map(str::to_owned),
            },
        }
    }
}

impl From<RequestError> for SdkError {
    fn from(error: RequestError) -> Self {
        let details = ErrorDetails::new(error.code(), &error, error.diagnosis());
        match error {
            RequestError::NotConnected { state } => {
                Self::NotConnectedError { details, current_state: state.to_string() }
            }
            RequestError::Disconnected { sent, close_code } => {
                Self::DisconnectedError { details, close_code: close_code.get(), sent }
            }
            RequestError::AckTimeout => Self::AckTimeoutError { details },
            RequestError::Server { message, .. } => {
                Self::ServerRequestError { details, server_message: message }
            }
            RequestError::PacingOverflow { waiting } => {
                Self::PacingOverflow { details, waiting: waiting as u64 }
            }
            RequestError::Build(BuildError::Oversized { size, cap, .. }) => {
                Self::OversizedPayloadError { details, size: size as u64, cap: cap as u64 }
            }
            RequestError::Build(_) | RequestError::Json(_) => {
                Self::InvalidArgumentError { details }
            }
            RequestError::Preflight(error) => {
                Self::PreflightError { details, preflight: error.code().to_owned() }
            }
        }
    }
}

impl From<PeerError> for SdkError {
    fn from(error: PeerError) -> Self {
        let details = ErrorDetails::new(&error.code(), &error, error.diagnosis());
        match error {
            PeerError::Connect(error) => error.into(),
            PeerError::DataChannel(error) => error.into(),
            PeerError::Request(RequestError::Build(BuildError::Oversized {
                size, cap, ..
            })) => Self::MeteredPeerOversizedError { details, size: size as u64, cap: cap as u64 },
            PeerError::Request(error) => error.into(),
            PeerError::State { method, current_state } => Self::MeteredPeerStateError {
                details,
                current_state: Some(current_state.to_string()),
                method: method.to_owned(),
            },
            PeerError::InvalidArgument { .. } | PeerError::SelfSend => {
                Self::MeteredPeerSendError { details }
            }
            PeerError::RemoteGone => Self::RemotePeerClosedError { details },
            PeerError::MetadataTooLarge { size, cap } => {
                Self::MeteredPeerOversizedError { details, size: size as u64, cap: cap as u64 }
            }
            PeerError::TrackAlreadyAttached { method } => Self::MeteredPeerStateError {
                details,
                current_state: None,
                method: method.to_owned(),
            },
            PeerError::ReplaceTrack { succeeded, failed } => {
                Self::MeteredPeerReplaceTrackError { details, succeeded, failed }
            }
            PeerError::Engine { .. } => Self::EngineError { details },
        }
    }
}

impl From<DataChannelError> for SdkError {
    fn from(error: DataChannelError) -> Self {
        let details = ErrorDetails::new(error.code(), error, error.diagnosis());
        let state = |state: &str| Some(state.to_owned());
        match error {
            DataChannelError::Overflow { queued, cap } => Self::DataChannelOverflowError {
                details,
                queued: Some(queued as u64),
                cap: Some(cap as u64),
            },
            DataChannelError::Full => {
                Self::DataChannelOverflowError { details, queued: None, cap: None }
            }
            DataChannelError::TooLarge { size, cap } => {
                Self::OversizedPayloadError { details, size: size as u64, cap: cap as u64 }
            }
            DataChannelError::InvalidOption { .. } => Self::InvalidArgumentError { details },
            DataChannelError::Closed => {
                Self::InvalidStateError { details, current_state: state("closed"), method: None }
            }
            DataChannelError::NotOpen => Self::InvalidStateError {
                details,
                current_state: state("connecting"),
                method: None,
            },
        }
    }
}

impl From<IceCandidateError> for SdkError {
    fn from(error: IceCandidateError) -> Self {
        let IceCandidateError { url, code, error_code, reason, diagnosis } = error;
        let details = ErrorDetails::new(code, reason, diagnosis);
        Self::IceCandidateError { details, url, error_code }
    }
}

impl From<WriteError> for SdkError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Audio(error) => error.into(),
            _ => Self::InvalidArgumentError {
                details: ErrorDetails::new(error.code(), error, error.diagnosis()),
            },
        }
    }
}

impl From<AudioError> for SdkError {
    fn from(error: AudioError) -> Self {
        let details = ErrorDetails::new(error.code(), error, error.diagnosis());
        match error {
            AudioError::Codec { .. } => Self::InternalError { details },
            AudioError::NotBuilt => {
                Self::InvalidStateError { details, current_state: None, method: None }
            }
            _ => Self::InvalidArgumentError { details },
        }
    }
}

impl From<PeerOptionsError> for SdkError {
    fn from(error: PeerOptionsError) -> Self {
        let details = ErrorDetails::new(error.code(), &error, error.diagnosis());
        Self::InvalidArgumentError { details }
    }
}

impl From<OptionsError> for SdkError {
    fn from(error: OptionsError) -> Self {
        let details = ErrorDetails::new(error.code(), &error, error.diagnosis());
        Self::InvalidArgumentError { details }
    }
}

impl From<CredentialError> for SdkError {
    fn from(error: CredentialError) -> Self {
        let details = ErrorDetails::new(error.code(), error, error.diagnosis());
        Self::InvalidArgumentError { details }
    }
}

impl From<&TokenProviderError> for SdkError {
    fn from(error: &TokenProviderError) -> Self {
        let details = ErrorDetails::new(error.code(), error, error.diagnosis());
        Self::TokenProviderError { details }
    }
}

impl From<JsonError> for SdkError {
    fn from(error: JsonError) -> Self {
        let diagnosis = Diagnosis::new(
            "The payload is not one JSON value.",
            "Encode it with the language's JSON library; a plain text needs its quotes.",
        );
        Self::InvalidArgumentError { details: ErrorDetails::new(error.code(), error, diagnosis) }
    }
}

/// Cause and fix of a close code, for apps that show them.
#[uniffi::export]
pub fn diagnose_close_code(close_code: u16) -> Result<ErrorDetails, SdkError> {
    let message = format_args!("the connection was closed with code {close_code}");
    let diagnosis = diagnosis::of_close_code(close_code);
    Ok(ErrorDetails::new(&close_code.to_string(), message, diagnosis))
}

/// What code of the app answers when it fails. Whatever it throws becomes one of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum CallbackError {
    /// It failed, in its own words.
    #[error("{reason}")]
    Failed {
        /// Its words. What looks like a credential is masked before they reach an error or a log.
        reason: String,
    },
    /// It threw something else.
    #[error("{reason}")]
    Unexpected {
        /// What is known of it.
        reason: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for CallbackError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Unexpected { reason: error.reason }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::peer::PeerState;
    use crate::signalling::State;
    use crate::wire::{CloseCode, ErrorCode};

    #[test]
    fn connect_errors_keep_their_class_and_code() {
        let provider = Arc::new(TokenProviderError::new("no"));
        for error in [
            ConnectError::Closed { code: CloseCode(4001), reason: String::new() },
            ConnectError::WelcomeTimeout { phase: "resolving" },
            ConnectError::TokenProvider(provider),
            ConnectError::InvalidState { state: State::Connected },
            ConnectError::InvalidClose { what: "code" },
            ConnectError::Internal { what: "here" },
        ] {
            let (class, code) = (error.name(), error.code().into_owned());
            let made = SdkError::from(error);
            assert_eq!(made.class(), class);
            assert!(made.to_string().contains(&format!("({code})")), "{made}");
        }
    }

    #[test]
    fn request_errors_keep_their_class() {
        let oversized = || BuildError::Oversized { size: 9, frame: 20, cap: 10 };
        for error in [
            RequestError::NotConnected { state: State::Idle },
            RequestError::Disconnected { sent: true, close_code: CloseCode::NORMAL },
            RequestError::AckTimeout,
            RequestError::Server { code: ErrorCode::PeerNotFound, message: None },
            RequestError::PacingOverflow { waiting: 7 },
            RequestError::Build(oversized()),
        ] {
            let class = error.name();
            assert_eq!(SdkError::from(error.clone()).class(), class);
            let error = PeerError::Request(error);
            let class = error.name();
            assert_eq!(SdkError::from(error).class(), class);
        }
    }

    #[test]
    fn errors_of_peers_and_channels_keep_their_class() {
        let state = PeerError::State { method: "send", current_state: PeerState::Idle };
        let engine = PeerError::Engine { code: "closed", message: String::new() };
        let attached = PeerError::TrackAlreadyAttached { method: "add_track" };
        let replace = PeerError::ReplaceTrack { succeeded: vec![], failed: vec!["bob".into()] };
        let large = PeerError::MetadataTooLarge { size: 2, cap: 1 };
        let others = [PeerError::SelfSend, PeerError::RemoteGone, attached, replace, large];
        for error in [state, engine].into_iter().chain(others) {
            let class = error.name();
            assert_eq!(SdkError::from(error).class(), class);
        }
        for error in [
            DataChannelError::Closed,
            DataChannelError::NotOpen,
            DataChannelError::Full,
            DataChannelError::TooLarge { size: 2, cap: 1 },
            DataChannelError::Overflow { queued: 2, cap: 1 },
            DataChannelError::InvalidOption { option: "label" },
        ] {
            assert_eq!(SdkError::from(error).class(), error.name());
            assert_eq!(SdkError::from(PeerError::DataChannel(error)).class(), error.name());
        }
    }

    #[test]
    fn an_ice_server_that_does_not_serve_keeps_its_url_and_codes() {
        let made = SdkError::from(IceCandidateError {
            url: "turn:192.0.2.1".into(),
            code: "turn_unreachable",
            error_code: 701,
            reason: "refused".into(),
            diagnosis: Diagnosis::new("Nobody listens.", "Start it."),
        });
        assert_eq!(made.class(), "IceCandidateError");
        assert_eq!(made.to_string(), "refused (turn_unreachable). Nobody listens. Fix: Start it.");
        let SdkError::IceCandidateError { url, error_code, .. } = made else { panic!() };
        assert_eq!((url.as_str(), error_code), ("turn:192.0.2.1", 701));
    }

    #[test]
    fn errors_of_writes_are_arguments_but_for_the_codecs() {
        let (expected, found) = ("video/VP8", "video/H264");
        let codec = AudioError::Codec { what: "here" };
        for (error, class) in [
            (WriteError::OtherCodec { expected, found }, "InvalidArgumentError"),
            (WriteError::NotOpus, "InvalidArgumentError"),
            (WriteError::Audio(AudioError::Bitrate { bps: 1 }), "InvalidArgumentError"),
            (WriteError::Audio(codec), "InternalError"),
            (WriteError::Audio(AudioError::NotBuilt), "InvalidStateError"),
        ] {
            let made = SdkError::from(error);
            assert_eq!(made.class(), class);
            assert!(made.to_string().contains(&format!("({})", error.code())), "{made}");
        }
    }
}
