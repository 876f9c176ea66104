//! What `peer` asks of a WebRTC implementation, and what it is told: object-safe, without a type of the
//! implementation.
//!
//! A [`Connection`] does what it is told and decides nothing: `peer::negotiation` decides.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::RtcError;
use super::stats::ConnectionStats;
use crate::wire::{IceCandidate, IceServer, SessionDescription};

/// Which candidates may be used (W3C WebRTC section 4.2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IceTransportPolicy {
    /// All.
    #[default]
    All,
    /// Relayed ones alone: the remote never learns our address. Needs a TURN server.
    Relay,
}

/// Makes connections.
#[async_trait]
pub(crate) trait Engine: Send + Sync + fmt::Debug + 'static {
    /// A connection at rest. Everything it has to tell goes into `events`, in order; that queue is the
    /// connection's for its life.
    async fn connect(
        &self,
        config: &ConnectionConfig,
        events: mpsc::UnboundedSender<ConnectionEvent>,
    ) -> Result<Arc<dyn Connection>, RtcError>;
    /// The device is on another network: no connection counts as having a path until it has found one anew.
    fn network_changed(&self);
}

/// What a connection is made with.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionConfig {
    pub(crate) ice_servers: Vec<IceServer>,
    pub(crate) ice_transport_policy: IceTransportPolicy,
    /// Whether we open the DTLS handshake if the remote offers and leaves it to us: a round trip less. Only
    /// if the first offer has data channels, see the engine.
    pub(crate) answers_actively: bool,
}

/// A connection to one remote. Every method fails with `closed` after [`close`](Self::close).
#[async_trait]
pub(crate) trait Connection: Send + Sync + fmt::Debug + 'static {
    /// Makes an offer and applies it locally; candidates are gathered from then on. With `ice_restart` the
    /// sockets are bound anew and the old ones' candidates forgotten.
    async fn offer(&self, ice_restart: bool) -> Result<SessionDescription, RtcError>;
    /// Answers the applied offer and applies the answer locally.
    async fn answer(&self) -> Result<SessionDescription, RtcError>;
    /// Takes a local offer back that got no answer (JSEP section 4.1.10.2).
    async fn roll_back(&self) -> Result<(), RtcError>;
    /// Applies the remote's offer or answer. The signalling state must allow it: nothing is rolled back.
    async fn apply_remote(&self, description: SessionDescription) -> Result<(), RtcError>;
    /// Adds a remote candidate; a remote description must be there.
    async fn add_candidate(&self, candidate: IceCandidate) -> Result<(), RtcError>;
    /// The last local description with the candidates gathered so far.
    async fn local_description(&self) -> Option<SessionDescription>;
    /// Servers for the next gathering.
    async fn set_ice_servers(&self, servers: &[IceServer]) -> Result<(), RtcError>;
    /// A new data channel. The first one of a connection makes a negotiation necessary.
    async fn open_channel(&self, init: &ChannelInit) -> Result<Arc<dyn Channel>, RtcError>;
    /// Something is about to happen on the connection: its timers run briskly for a while.
    fn hurry(&self);
    /// Nothing is about to happen: its timers run economically.
    fn relax(&self);
    /// There is a path, perhaps another one: what the path before may have lost is sent again over it.
    async fn path_found(&self);
    /// Datagrams that came so far: whether the remote is still there.
    fn received(&self) -> u64;
    /// Figures of now.
    async fn stats(&self) -> ConnectionStats;
    /// Ends everything that belongs to the connection: tasks, sockets, relays. With `goodbye` the remote is told
    /// that we leave for good; without, another connection may follow.
    async fn close(&self, goodbye: bool);
}

/// What a connection tells.
#[derive(Debug)]
pub(crate) enum ConnectionEvent {
    /// Something was added that the remote must be told of in a new offer.
    NegotiationNeeded,
    /// A local candidate was found.
    Candidate(IceCandidate),
    /// All local candidates were found.
    GatheringComplete,
    /// The path's state.
    Ice(IceState),
    /// The transport is up: path found, keys agreed.
    Connected,
    /// The transport ended for good: the remote closed it, or its handshake failed.
    TransportClosed,
    /// The remote opened a data channel.
    Channel(Arc<dyn Channel>),
    /// The remote sends a track.
    Track(RemoteTrackInfo),
    /// A STUN or TURN server does not serve.
    IceServerError(IceServerError),
}

/// The path's state (W3C `RTCIceConnectionState`, as far as it matters).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IceState {
    Checking,
    Connected,
    /// Nothing was heard for a while.
    Disconnected,
    /// Given up; only a restart helps.
    Failed,
}

/// A STUN or TURN server that does not serve (W3C `RTCPeerConnectionIceErrorEvent`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IceServerError {
    /// The server's URL, as the app or the service gave it. Never its credentials.
    pub(crate) url: String,
    /// Stable code, such as `turn_unauthorized`.
    pub(crate) code: &'static str,
    /// The STUN error code (300 to 699), or 701 if the server could not be reached.
    pub(crate) error_code: u16,
    /// One line for people.
    pub(crate) reason: String,
}

/// A track that the remote sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteTrackInfo {
    pub(crate) track_id: String,
    pub(crate) stream_ids: Vec<String>,
    /// `audio` or `video`.
    pub(crate) kind: &'static str,
    /// Such as `video/VP8`; empty while unknown.
    pub(crate) codec: String,
}

/// Properties of a data channel to open (W3C `RTCDataChannelInit`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChannelInit {
    pub(crate) label: String,
    pub(crate) ordered: bool,
    pub(crate) max_retransmits: Option<u16>,
    pub(crate) max_packet_life_time_ms: Option<u16>,
    pub(crate) protocol: String,
    /// The stream's id, if both sides agreed on it by other means.
    pub(crate) negotiated_id: Option<u16>,
}

/// A message on a data channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelMessage {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl ChannelMessage {
    /// Bytes of the payload; text in UTF-8.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a channel tells.
#[derive(Clone, Debug)]
pub(crate) enum ChannelEvent {
    Open,
    Message(ChannelMessage),
    BufferedAmountLow,
    Closing,
    Closed,
    Error,
}

/// A data channel of a connection.
#[async_trait]
pub(crate) trait Channel: Send + Sync + fmt::Debug + 'static {
    /// What it was opened with; for the remote's channels, what the remote asked for.
    fn init(&self) -> &ChannelInit;
    /// Hands a message to the transport, which may buffer without bound: callers look at
    /// [`buffered_amount`](Self::buffered_amount) first.
    async fn send(&self, message: &ChannelMessage) -> Result<(), RtcError>;
    /// Done when there is a path, or none will be. What is sent without one is lost, and SCTP repeats it
    /// after a second at best, later each time (RFC 9260 section 6.3.1).
    async fn path(&self);
    /// Bytes that the remote has not acknowledged yet.
    async fn buffered_amount(&self) -> Result<usize, RtcError>;
    /// [`ChannelEvent::BufferedAmountLow`] comes when so many bytes or fewer are left.
    async fn set_low_threshold(&self, bytes: u32) -> Result<(), RtcError>;
    /// The next event; `None` after the last. One reader at a time; without one the remote is slowed down.
    async fn next(&self) -> Option<ChannelEvent>;
    /// Closes the channel on both sides.
    async fn close(&self) -> Result<(), RtcError>;
}
