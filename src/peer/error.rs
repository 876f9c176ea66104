//! Why something of a peer failed: cause and fix, as everywhere.

use std::borrow::Cow;

use crate::diagnosis::{Diagnosis, of_ice_server_error, of_negotiation_error};
use crate::peer::state::PeerState;
use crate::rtc::engine::IceServerError;
use crate::signalling::{ConnectError, OptionsError, RequestError};

/// Why a call of [`MeteredPeer`](super::MeteredPeer) or [`RemotePeer`](super::RemotePeer) was not done.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Peer { peer, .. }| {
/// use metered_realtime::peer::{PeerError, PeerState};
/// let early = peer.send(&"hello").await.unwrap_err();
/// assert!(matches!(early, PeerError::State { method: "send", current_state: PeerState::Idle }));
/// assert_eq!((early.name(), &*early.code()), ("MeteredPeerStateError", "not_joined"));
/// println!("{}", early.diagnosis()); // cause and fix
///
/// peer.join("room").await?;
/// assert_eq!(peer.send_to("alice", &"to myself").await.unwrap_err().code(), "self_send");
/// peer.close().await;
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The peer's state does not allow it.
    #[error("{method} is not possible in state {current_state}")]
    State {
        /// The method.
        method: &'static str,
        /// The state.
        current_state: PeerState,
    },
    /// An argument that cannot be.
    #[error("{what}")]
    InvalidArgument {
        /// What is wrong.
        what: &'static str,
    },
    /// Data to ourselves.
    #[error("a peer cannot send to itself")]
    SelfSend,
    /// No connection to the service.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The service refused a request, or did not answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The remote has left.
    #[error("the remote has left")]
    RemoteGone,
    /// The track is in another stream, or in none, already.
    #[error("the track is attached with another stream already")]
    TrackAlreadyAttached {
        /// The method.
        method: &'static str,
    },
    /// The metadata of a track has more bytes than a message may have.
    #[error("the metadata makes a message of {size} bytes, and {cap} are allowed")]
    MetadataTooLarge {
        /// Bytes of the message's data.
        size: usize,
        /// Bytes that it may have.
        cap: usize,
    },
    /// A track was not replaced for every remote.
    #[error("the track was not replaced for {} of {} peers", failed.len(), failed.len() + succeeded.len())]
    ReplaceTrack {
        /// Remotes that get the new track.
        succeeded: Vec<String>,
        /// Remotes that still get the old one.
        failed: Vec<String>,
    },
    /// The data channel cannot be as asked.
    #[error(transparent)]
    DataChannel(#[from] DataChannelError),
    /// The WebRTC engine refused.
    #[error("{message}")]
    Engine {
        /// Stable code.
        code: &'static str,
        /// What was asked and its reason.
        message: String,
    },
}

impl PeerError {
    /// The error's class, as the JavaScript SDK names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::State { .. } => "MeteredPeerStateError",
            Self::InvalidArgument { .. } | Self::SelfSend => "MeteredPeerSendError",
            Self::Connect(error) => error.name(),
            Self::Request(error) if error.name() == "OversizedPayloadError" => {
                "MeteredPeerOversizedError"
            }
            Self::Request(error) => error.name(),
            Self::DataChannel(error) => error.name(),
            Self::RemoteGone => "RemotePeerClosedError",
            Self::TrackAlreadyAttached { .. } => "MeteredPeerStateError",
            Self::MetadataTooLarge { .. } => "MeteredPeerOversizedError",
            Self::ReplaceTrack { .. } => "MeteredPeerReplaceTrackError",
            Self::Engine { .. } => "EngineError",
        }
    }

    /// Stable code.
    pub fn code(&self) -> Cow<'_, str> {
        match self {
            Self::State { method: "send" | "send_to", .. } => "not_joined".into(),
            Self::State { .. } => "invalid_state".into(),
            Self::InvalidArgument { .. } => "invalid_args".into(),
            Self::SelfSend => "self_send".into(),
            Self::Connect(error) => error.code(),
            Self::Request(error) => error.code().to_owned().into(),
            Self::RemoteGone => "remote_gone".into(),
            Self::TrackAlreadyAttached { .. } => "track_already_attached".into(),
            Self::MetadataTooLarge { .. } => "oversized_payload".into(),
            Self::ReplaceTrack { .. } => "replace_track_failed".into(),
            Self::DataChannel(error) => error.code().into(),
            Self::Engine { code, .. } => (*code).into(),
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::State { method, current_state } => Diagnosis::new(
                format!("{method} was called in state {current_state}."),
                "Await join first. While reconnecting, wait for the state joined. After close, make a new peer.",
            ),
            Self::InvalidArgument { what } => {
                Diagnosis::new(*what, "Correct the argument; nothing was sent.")
            }
            Self::SelfSend => Diagnosis::new(
                "The target is our own id.",
                "Send to one of remote_peers; what this peer sends it knows already.",
            ),
            Self::Connect(error) => error.diagnosis(),
            Self::Request(error) => error.diagnosis(),
            Self::RemoteGone => Diagnosis::new(
                "The remote has left the room, so its connection is closed.",
                "Wait for peer-joined: a peer that returns comes with a new handle.",
            ),
            Self::DataChannel(error) => error.diagnosis(),
            Self::TrackAlreadyAttached { .. } => Diagnosis::new(
                "A track belongs to one stream at most, and this one was added with another, or with none.",
                "Remove it first, or make a track for each stream; both may take the same access units.",
            ),
            Self::MetadataTooLarge { size, cap } => Diagnosis::new(
                format!(
                    "The metadata travels in one message of {size} bytes; the service takes {cap}."
                ),
                "Send a short reference in the metadata, and the rest over a data channel.",
            ),
            Self::ReplaceTrack { .. } => Diagnosis::new(
                "The new track has another kind or codec than the old one, and the remotes agreed on that.",
                "Remove the old track and add the new one: that agrees on the codec anew.",
            ),
            Self::Engine { code, .. } => of_negotiation_error(code),
        }
    }
}

/// Options of a peer that cannot be.
///
/// ```
/// use metered_realtime::peer::{MeteredPeer, PeerOptions, PeerOptionsError};
/// let mut options = PeerOptions::with_api_key("pk_live_example")?;
/// options.signalling.auto_resubscribe = false;
/// let error = MeteredPeer::new(options).err().unwrap();
/// assert!(matches!(error, PeerOptionsError::AutoResubscribe));
/// assert_eq!(error.code(), "auto_resubscribe_required");
/// println!("{}", error.diagnosis());
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerOptionsError {
    /// Those of its signalling client.
    #[error(transparent)]
    Signalling(#[from] OptionsError),
    /// A peer cannot keep its room without resubscribing.
    #[error("auto_resubscribe must be on for a peer")]
    AutoResubscribe,
    /// TLS options for TURN servers.
    #[error(transparent)]
    Tls(#[from] crate::platform::tls::TlsConfigError),
}

impl PeerOptionsError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Signalling(error) => error.code(),
            Self::AutoResubscribe => "auto_resubscribe_required",
            Self::Tls(error) => error.code(),
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Signalling(error) => error.diagnosis(),
            Self::AutoResubscribe => Diagnosis::new(
                "Without its subscription a peer would not know who is in the room after a reconnect.",
                "Leave auto_resubscribe on, or use SignallingClient.",
            ),
            Self::Tls(error) => error.diagnosis(),
        }
    }
}

/// Why something of a data channel failed.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Chat { channel, .. }| {
/// use metered_realtime::peer::DataChannelError;
/// let picture = vec![0; 10_000_000];
/// let error = channel.send_bytes(picture).await.unwrap_err();
/// let DataChannelError::TooLarge { size, cap } = error else { panic!() };
/// assert!(size > cap); // cut it into pieces of `cap`
/// assert_eq!((error.name(), error.code()), ("OversizedPayloadError", "oversized_payload"));
/// println!("{}", error.diagnosis());
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataChannelError {
    /// The channel is closed.
    #[error("the data channel is closed")]
    Closed,
    /// The channel is not open yet; only `try_send` says so.
    #[error("the data channel is not open yet")]
    NotOpen,
    /// The transport has no room now; only `try_send` says so.
    #[error("the transport has no room now")]
    Full,
    /// The message has more bytes than the remote takes, or than may ever wait.
    #[error("the message has {size} bytes, and {cap} are allowed")]
    TooLarge {
        /// Bytes of the message.
        size: usize,
        /// Bytes that a message may have.
        cap: usize,
    },
    /// Too many sends wait already.
    #[error("{queued} sends wait already, and {cap} may")]
    Overflow {
        /// Sends that wait.
        queued: usize,
        /// Sends that may wait.
        cap: usize,
    },
    /// An option outside its range.
    #[error("the option {option} cannot be so")]
    InvalidOption {
        /// Which.
        option: &'static str,
    },
}

impl DataChannelError {
    /// The error's class, as the JavaScript SDK names it where it has it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Overflow { .. } | Self::Full => "DataChannelOverflowError",
            Self::TooLarge { .. } => "OversizedPayloadError",
            Self::InvalidOption { .. } => "InvalidArgumentError",
            Self::Closed | Self::NotOpen => "InvalidStateError",
        }
    }

    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Closed => "data_channel_closed",
            Self::NotOpen => "data_channel_not_open",
            Self::Full => "data_channel_full",
            Self::TooLarge { .. } => "oversized_payload",
            Self::Overflow { .. } => "data_channel_overflow",
            Self::InvalidOption { .. } => "option_out_of_range",
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        let (cause, fix) = match self {
            Self::Closed => (
                "The channel was closed by either side, or with its connection.",
                "Open a new one; after connection-reset do so for each channel, or open them durable.",
            ),
            Self::NotOpen => (
                "The channel is still being opened.",
                "Wait for its open event, or use send, which waits.",
            ),
            Self::Full => (
                "max_buffered_amount bytes wait in the transport.",
                "Wait for buffered-amount-low, or use send, which waits.",
            ),
            Self::TooLarge { .. } => (
                "The message is larger than the remote takes (64 KiB unless its description says more) or than max_buffered_amount.",
                "Split it: 16 KiB pieces suit every network.",
            ),
            Self::Overflow { .. } => (
                "The app sends faster than the network carries, and does not await its sends.",
                "Await each send, or watch buffered_amount.",
            ),
            Self::InvalidOption { .. } => (
                "A data channel cannot be made with this option.",
                "max_retransmits and max_packet_life_time exclude each other; sizes and counts are above 0; the low threshold is at most max_buffered_amount; a label has up to 65,535 bytes.",
            ),
        };
        Diagnosis::new(cause, fix)
    }
}

/// A step of the negotiation with a remote failed. The SDK goes on by itself, but for the one named
/// `IceRestartExhaustedError`.
///
/// ```
/// use metered_realtime::peer::NegotiationError;
/// /// Whether the user should be told: everything else is mended without them.
/// fn is_final(error: &NegotiationError) -> bool {
///     error.name == "IceRestartExhaustedError" // the next `network_changed` tries again
/// }
/// # use metered_realtime::diagnosis::Diagnosis;
/// let error = NegotiationError {
///     name: "NegotiationError",
///     code: "offer_failed".into(),
///     message: "an offer could not be made".into(),
///     diagnosis: Diagnosis::new("…", "…"),
/// };
/// assert!(!is_final(&error));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiationError {
    /// `NegotiationError` or `IceRestartExhaustedError`, as the JavaScript SDK names them.
    pub name: &'static str,
    /// Stable code.
    pub code: String,
    /// One line for people.
    pub message: String,
    /// Cause and fix.
    pub diagnosis: Diagnosis,
}

impl NegotiationError {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        let name = match code {
            "ice_restart_exhausted" => "IceRestartExhaustedError",
            _ => "NegotiationError",
        };
        let diagnosis = of_negotiation_error(code);
        Self { name, code: code.to_owned(), message: message.into(), diagnosis }
    }

    /// The service did not hand a signal over.
    pub(crate) fn refused(error: &RequestError) -> Self {
        Self {
            name: "NegotiationError",
            code: error.code().to_owned(),
            message: format!("a signal could not be sent: {error}"),
            diagnosis: error.diagnosis(),
        }
    }
}

/// A STUN or TURN server does not serve (W3C `RTCPeerConnectionIceErrorEvent`).
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Met { to_bob, .. }| {
/// use metered_realtime::peer::IceCandidateError;
/// // In a report, when a call does not come about: which relay is wrong, and what mends it.
/// for error in to_bob.ice_errors() {
///     let IceCandidateError { url, code, error_code, reason, diagnosis } = &*error;
///     println!("{url}: {code} ({error_code}), {reason}. {diagnosis}");
/// }
/// # assert!(to_bob.ice_errors().is_empty());
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceCandidateError {
    /// The server's URL; never its credentials. Empty if a candidate of the remote was at fault.
    pub url: String,
    /// Stable code, such as `turn_unauthorized`, `turn_unreachable`, `turn_tls`, `ice_server_timeout`.
    pub code: &'static str,
    /// STUN error code 300 to 699, or 701 if the server could not be reached.
    pub error_code: u16,
    /// One line for people.
    pub reason: String,
    /// Cause and fix.
    pub diagnosis: Diagnosis,
}

impl From<IceServerError> for IceCandidateError {
    fn from(error: IceServerError) -> Self {
        let diagnosis = of_ice_server_error(error.code, error.error_code);
        let IceServerError { url, code, error_code, reason } = error;
        Self { url, code, error_code, reason, diagnosis }
    }
}
