//! What `peer` asks of a WebRTC implementation, and what it is told: object-safe, without a type of the
//! implementation.
//!
//! A [`Connection`] does what it is told and decides nothing: `peer::negotiation` decides.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::h264::StreamProfile;
use super::stats::ConnectionStats;
use super::{Certificate, RtcError};
use crate::wire::{IceCandidate, IceServer, SessionDescription};

/// Which candidates may be used (W3C WebRTC section 4.2.3).
///
/// ```
/// use metered_realtime::peer::{IceTransportPolicy, PeerOptions};
/// let mut options = PeerOptions::with_api_key("pk_live_example")?;
/// // A line of strangers: nobody shall learn where the other one is.
/// options.ice_transport_policy = IceTransportPolicy::Relay;
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
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
    /// The device is on another network: the path of each connection is in doubt until its remote is heard, or
    /// another path is found.
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
    /// Without one the engine makes one.
    pub(crate) certificate: Option<Certificate>,
}

/// The reason of a sender that cannot be added for its codec.
pub(crate) const NO_SUCH_CODEC: &str = "NoSuchCodec";

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
    /// A track to send. The remote is told of it by the next offer or answer. Fails with [`NO_SUCH_CODEC`] if
    /// what was agreed on so far leaves no room for the codec.
    async fn add_sender(&self, init: &SenderInit) -> Result<Arc<dyn TrackSender>, RtcError>;
    /// Nothing is sent any more; the remote is told by the next offer or answer. A sender of another
    /// connection is none of ours, and that is no failure.
    async fn remove_sender(&self, sender: &dyn TrackSender) -> Result<(), RtcError>;
    /// Whether the remote's last description lists the codec where it may receive.
    fn remote_takes(&self, mime_type: &str) -> bool;
    /// Something is about to happen on the connection: its timers run briskly for a while.
    fn hurry(&self);
    /// Nothing is about to happen: its timers run economically.
    fn relax(&self);
    /// There is a path, perhaps another one: what the path before may have lost is sent again over it.
    async fn path_found(&self);
    /// Datagrams of the remote that came so far: whether it is still there.
    fn received(&self) -> u64;
    /// What the remote reports of the packets that it gets; `None` after the last. One reader at a time;
    /// without one it is dropped.
    async fn feedback(&self) -> Option<TransportFeedback>;
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
    Track(Arc<dyn TrackReceiver>),
    /// The remote sends the track of this m-line no more.
    TrackEnded {
        /// The m-line's identification tag.
        mid: String,
    },
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

/// What a track carries.
///
/// ```
/// use metered_realtime::media::{LocalAudioTrack, LocalTrack, MediaKind};
/// let track = LocalTrack::from(&LocalAudioTrack::default());
/// assert_eq!((track.kind(), track.kind().as_str()), (MediaKind::Audio, "audio"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

impl MediaKind {
    /// `audio` or `video`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

/// A track to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SenderInit {
    pub(crate) kind: MediaKind,
    pub(crate) track_id: String,
    /// The remote's word for which tracks belong together.
    pub(crate) stream_id: String,
    /// Such as `video/VP8`: the one codec that will be sent.
    pub(crate) mime_type: &'static str,
}

/// How the codec of a sender is written on the wire, as both sides agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SenderFormat {
    pub(crate) payload_type: u8,
    /// The header extension that carries the rotation.
    pub(crate) orientation: Option<u8>,
}

/// An RTP packet to send.
#[derive(Clone, Debug)]
pub(crate) struct OutgoingPacket {
    pub(crate) format: SenderFormat,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Bytes,
    /// The video orientation header extension's byte.
    pub(crate) orientation: Option<u8>,
}

/// What a remote says of a track that it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SenderFeedback {
    /// It cannot go on without a key frame (PLI, FIR).
    KeyFrameWanted,
}

/// What became of a packet that we sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PacketFate {
    pub(crate) sent: Instant,
    pub(crate) bytes: usize,
    /// In microseconds on the remote's clock; `None` if it was lost.
    pub(crate) arrival_us: Option<i64>,
}

/// What a remote reports of the path to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TransportFeedback {
    /// What became of packets (transport-wide congestion control): nothing twice, and not in order.
    Packets(Vec<PacketFate>),
    /// The bits per second that the remote believes in (REMB).
    Estimate(u64),
    /// A receiver report.
    Report {
        /// [`TrackSender::stream`] of the sender that it is about.
        stream: u32,
        /// Of the packets since its last report, 0 to 1.
        fraction_lost: f64,
        round_trip: Option<Duration>,
    },
}

/// What both sides agreed on for a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// Nothing yet, or the remote takes nothing for now.
    Open,
    /// The remote takes no such codec, or not this profile of it.
    Refused,
    /// It takes packets of this form.
    Taken(SenderFormat),
}

/// A track that we send to one remote.
#[async_trait]
pub(crate) trait TrackSender: Send + Sync + fmt::Debug + 'static {
    /// Names it among the senders of its connection.
    fn id(&self) -> &str;
    /// Names its packets on the wire.
    fn stream(&self) -> u32;
    /// The one codec that it sends.
    fn mime_type(&self) -> &'static str;
    /// What the last negotiation says of it. A stream of H.264 is taken by who knows its profile.
    async fn agreement(&self, stream: Option<StreamProfile>) -> Agreement;
    /// Hands packets to the transport, in their order. Many at once cost less than one by one.
    async fn send(&self, packets: Vec<OutgoingPacket>) -> Result<(), RtcError>;
    /// What has this RTP timestamp was recorded then: what the remote is told of our clock.
    fn captured(&self, timestamp: u32, at: Instant);
    /// The next word of the remote; `None` after the last.
    async fn next(&self) -> Option<SenderFeedback>;
}

/// A track that the remote sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteTrackInfo {
    /// The m-line's identification tag.
    pub(crate) mid: String,
    /// The sender's id of the track; the m-line's tag if it names none.
    pub(crate) track_id: String,
    pub(crate) stream_ids: Vec<String>,
    pub(crate) kind: MediaKind,
    /// Such as `video/VP8`: what the remote prefers, or uses; empty while unknown.
    pub(crate) codec: String,
}

/// An RTP packet that came.
#[derive(Clone, Debug)]
pub(crate) struct IncomingPacket {
    /// Such as `video/VP8`.
    pub(crate) codec: Arc<str>,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// Empty in packets that only probe the path.
    pub(crate) payload: Bytes,
    /// The video orientation header extension's byte.
    pub(crate) orientation: Option<u8>,
}

/// What a sender said of a stream's clock (RFC 3550 section 6.4.1); it may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SenderReport {
    pub(crate) received: Instant,
    /// 32 bits of seconds, 32 of their fraction.
    pub(crate) ntp: u64,
    /// The stream's time at that moment.
    pub(crate) rtp: u32,
}

/// A track that comes from the remote. Packets beyond what may wait are dropped, as a network drops them.
#[async_trait]
pub(crate) trait TrackReceiver: Send + Sync + fmt::Debug + 'static {
    fn info(&self) -> &RemoteTrackInfo;
    /// The next packet; `None` when the track has ended. One reader at a time.
    async fn next(&self) -> Option<IncomingPacket>;
    /// The last report of a stream of packets.
    fn sender_report(&self, ssrc: u32) -> Option<SenderReport>;
    /// Asks the remote for a key frame (PLI).
    async fn request_key_frame(&self);
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

impl ChannelInit {
    /// In order and without limits.
    pub(crate) fn reliable(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            ordered: true,
            max_retransmits: None,
            max_packet_life_time_ms: None,
            protocol: String::new(),
            negotiated_id: None,
        }
    }
}

/// A message on a data channel.
///
/// ```
/// use metered_realtime::peer::ChannelMessage;
/// let messages = [ChannelMessage::Text("Grüße".into()), ChannelMessage::Binary(vec![1, 2].into())];
/// let bytes: usize = messages.iter().map(ChannelMessage::len).sum();
/// assert_eq!(bytes, 7 + 2); // text in UTF-8
/// assert!(ChannelMessage::Text(String::new()).is_empty());
/// ```
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
    /// Done when there is a path for a message of so many bytes, or none will be. What is sent without one is
    /// lost, and SCTP repeats it after a second at best, later each time (RFC 9260 section 6.3.1).
    async fn path(&self, bytes: usize);
    /// Bytes that the remote has not acknowledged yet.
    async fn buffered_amount(&self) -> Result<usize, RtcError>;
    /// [`ChannelEvent::BufferedAmountLow`] comes when so many bytes or fewer are left.
    async fn set_low_threshold(&self, bytes: u32) -> Result<(), RtcError>;
    /// The next event; `None` after the last. One reader at a time; without one the remote is slowed down.
    async fn next(&self) -> Option<ChannelEvent>;
    /// Closes the channel on both sides.
    async fn close(&self) -> Result<(), RtcError>;
}
