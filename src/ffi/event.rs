//! Events, with what they carry; JSON as text.

use std::sync::Arc;

use super::error::SdkError;
use super::raw_bytes::RawBytes;
use super::remote_track::RemoteMedia;
use super::{DataChannel, ErrorDetails, IceServer, RemotePeer};
use crate::peer::{self, ChannelMessage, DataKind, PeerState, RemoteState};
use crate::signalling::{self, State as SignallingState};
use crate::wire::{self, Json, UnixSeconds};

fn text(json: &Json) -> String {
    json.as_str().to_owned()
}

fn optional(json: Option<&Json>) -> Option<String> {
    json.map(text)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // casts saturate; a time is positive
fn unix_ms(seconds: UnixSeconds) -> u64 {
    (seconds.0 * 1_000.0).round() as u64
}

/// What the server said in its welcome.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Welcome {
    /// Our id on this connection.
    pub peer_id: String,
    /// The server's clock, in milliseconds since 1970.
    pub server_time_unix_ms: Option<u64>,
    /// When the token ends, in milliseconds since 1970; none for a publishable key.
    pub expires_at_unix_ms: Option<u64>,
    /// Whether a connection of this client preceded it since `connect`.
    pub is_reconnect: bool,
    /// Bytes that one frame of ours may have.
    pub max_message_size: u64,
    /// ICE servers for WebRTC, if the service gave any. Their credentials are secret.
    pub ice_servers: Option<Vec<IceServer>>,
}

impl From<&signalling::Connected> for Welcome {
    fn from(said: &signalling::Connected) -> Self {
        let ice_servers = said.ice_servers.as_ref();
        Self {
            peer_id: said.peer_id.clone(),
            server_time_unix_ms: said.server_time.map(unix_ms),
            expires_at_unix_ms: said.expires_at.map(unix_ms),
            is_reconnect: said.is_reconnect,
            max_message_size: said.max_message_size as u64,
            ice_servers: ice_servers.map(|servers| servers.iter().map(IceServer::from).collect()),
        }
    }
}

/// A peer in a channel.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PresencePeer {
    /// Its id.
    pub peer_id: String,
    /// Its `peerMetadata` as JSON, if there is any. An object.
    pub metadata_json: Option<String>,
}

fn presence_peers(peers: &[wire::PresencePeer]) -> Vec<PresencePeer> {
    peers
        .iter()
        .map(|peer| PresencePeer {
            peer_id: peer.peer_id.clone(),
            metadata_json: optional(peer.metadata.as_ref()),
        })
        .collect()
}

/// Something that happened to a signalling client.
#[derive(Clone, Debug, PartialEq, uniffi::Enum)]
pub enum SignallingEvent {
    /// A welcome came.
    Connected {
        /// What it said.
        welcome: Welcome,
    },
    /// A connection, or an attempt at one, ended.
    Disconnected {
        /// The close code; 1006 when there was no close frame.
        close_code: u16,
        /// The close frame's reason, or ours. Not for logs.
        reason: String,
        /// Whether another attempt follows by itself.
        will_reconnect: bool,
        /// What is known of it.
        error: SdkError,
    },
    /// The state changed.
    StateChange {
        /// The state before.
        from: SignallingState,
        /// The state now.
        to: SignallingState,
    },
    /// A broadcast on a subscribed channel.
    Message {
        /// The channel.
        channel: String,
        /// The publisher.
        from: String,
        /// The payload.
        data_json: String,
        /// The publisher's `peerMetadata`, if the subscription asked for it.
        from_metadata_json: Option<String>,
    },
    /// Data for us alone.
    Direct {
        /// The sender.
        from: String,
        /// The payload.
        data_json: String,
        /// The sender's `peerMetadata`.
        from_metadata_json: Option<String>,
    },
    /// Peers came or left; or, right after a subscription, who is there.
    Presence {
        /// The channel.
        channel: String,
        /// Peers that came, or were there.
        joined: Vec<PresencePeer>,
        /// Peers that left.
        left: Vec<PresencePeer>,
        /// Whether it is the subscription's snapshot rather than a change.
        snapshot: bool,
    },
    /// An error of the server that answers no request under way.
    ServerError {
        /// Its code.
        code: String,
        /// The server's words. Not for logs.
        server_message: Option<String>,
        /// The request, if the server named one.
        request_id: Option<String>,
    },
    /// The server will close soon.
    GoingAway {
        /// When it wants to see us again.
        retry_after_ms: u64,
    },
    /// The token provider failed for the third time in a row, or more.
    TokenProviderFailing {
        /// Failures in a row.
        consecutive_failures: u32,
        /// The last one.
        error: SdkError,
    },
    /// A tracked subscription could not be replayed on this connection; the next one tries again.
    ResubscribeFailed {
        /// The channel.
        channel: String,
        /// The last failure.
        error: SdkError,
    },
    /// Events were not taken fast enough: so many of the oldest were dropped.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl From<signalling::Event> for SignallingEvent {
    fn from(event: signalling::Event) -> Self {
        use signalling::Event;
        match event {
            Event::Connected(said) => Self::Connected { welcome: (&*said).into() },
            Event::Disconnected(lost) => Self::Disconnected {
                close_code: lost.code.get(),
                reason: lost.reason.clone(),
                will_reconnect: lost.will_reconnect,
                error: (*lost.error).clone().into(),
            },
            Event::StateChange { from, to } => Self::StateChange { from, to },
            Event::Message(message) => Self::Message {
                channel: message.channel.clone(),
                from: message.from.clone(),
                data_json: text(&message.data),
                from_metadata_json: optional(message.from_metadata.as_ref()),
            },
            Event::Direct(direct) => Self::Direct {
                from: direct.from.clone(),
                data_json: text(&direct.data),
                from_metadata_json: optional(direct.from_metadata.as_ref()),
            },
            Event::Presence { presence, snapshot } => Self::Presence {
                channel: presence.channel.clone(),
                joined: presence_peers(&presence.joined),
                left: presence_peers(&presence.left),
                snapshot,
            },
            Event::ServerError(frame) => Self::ServerError {
                code: frame.code.as_str().to_owned(),
                server_message: frame.message.clone(),
                request_id: frame.request_id.clone(),
            },
            Event::GoingAway { retry_after_ms } => Self::GoingAway { retry_after_ms },
            Event::TokenProviderError { consecutive_failures, error } => {
                Self::TokenProviderFailing { consecutive_failures, error: (&*error).into() }
            }
            Event::ResubscribeFailed { channel, error } => {
                Self::ResubscribeFailed { channel, error: (*error).clone().into() }
            }
            Event::Lagged { missed } => Self::Lagged { missed },
        }
    }
}

/// A failure of a peer that the app should know of.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PeerFailure {
    /// The JavaScript SDK's name of it, such as `invalid_token`; `details.code` is the same.
    pub name: String,
    /// Code, message, cause and fix.
    pub details: ErrorDetails,
}

impl From<&peer::FatalError> for PeerFailure {
    fn from(error: &peer::FatalError) -> Self {
        let details = ErrorDetails::new(&error.name, &error.message, error.diagnosis.clone());
        Self { name: error.name.clone(), details }
    }
}

/// Something that happened to a peer.
#[derive(Clone, Debug, uniffi::Enum)]
pub enum PeerEvent {
    /// The room was joined.
    Joined {
        /// Our id.
        peer_id: String,
        /// The room's channel.
        channel: String,
    },
    /// The room was left for good.
    Left {
        /// Why.
        reason: String,
    },
    /// The state changed.
    StateChange {
        /// The state before.
        from: PeerState,
        /// The state now.
        to: PeerState,
    },
    /// Another peer is in the room.
    PeerJoined {
        /// The peer.
        remote: Arc<RemotePeer>,
    },
    /// Another peer left the room.
    PeerLeft {
        /// The peer.
        remote: Arc<RemotePeer>,
    },
    /// Data came by way of the service.
    Data {
        /// The sender.
        sender_peer_id: String,
        /// The payload.
        data_json: String,
        /// Whether it is for us alone; else it was for everyone in the room.
        direct: bool,
        /// The sender's `peerMetadata`: always with direct data, else if the join asked for it.
        sender_metadata_json: Option<String>,
    },
    /// Something failed that does not mend itself, or not without the app.
    Fault {
        /// What.
        failure: PeerFailure,
    },
    /// Events were not taken fast enough: so many of the oldest were dropped.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl From<peer::PeerEvent> for PeerEvent {
    fn from(event: peer::PeerEvent) -> Self {
        use peer::PeerEvent as Event;
        match event {
            Event::Joined { peer_id, channel } => Self::Joined { peer_id, channel },
            Event::Left { reason } => Self::Left { reason },
            Event::StateChange { from, to } => Self::StateChange { from, to },
            Event::PeerJoined(remote) => Self::PeerJoined { remote: RemotePeer::new(remote) },
            Event::PeerLeft(remote) => Self::PeerLeft { remote: RemotePeer::new(remote) },
            Event::Data(data) => Self::Data {
                sender_peer_id: data.sender_peer_id.clone(),
                data_json: text(&data.data),
                direct: data.kind == DataKind::Direct,
                sender_metadata_json: optional(data.sender_metadata.as_ref()),
            },
            Event::Error(error) => Self::Fault { failure: (&*error).into() },
            Event::Lagged { missed } => Self::Lagged { missed },
        }
    }
}

/// A step of the negotiation with a remote failed. The SDK goes on by itself, but for the one named
/// `IceRestartExhaustedError`.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct NegotiationFailure {
    /// `NegotiationError` or `IceRestartExhaustedError`.
    pub name: String,
    /// Code, message, cause and fix.
    pub details: ErrorDetails,
}

impl From<&peer::NegotiationError> for NegotiationFailure {
    fn from(error: &peer::NegotiationError) -> Self {
        let details = ErrorDetails::new(&error.code, &error.message, error.diagnosis.clone());
        Self { name: error.name.to_owned(), details }
    }
}

/// A STUN or TURN server does not serve, or a candidate of the remote could not be used.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct IceFailure {
    /// The server's URL; empty if a candidate was at fault.
    pub url: String,
    /// STUN error code 300 to 699, or 701 if the server could not be reached.
    pub error_code: u16,
    /// Code, message, cause and fix.
    pub details: ErrorDetails,
}

impl From<&peer::IceCandidateError> for IceFailure {
    fn from(error: &peer::IceCandidateError) -> Self {
        let details = ErrorDetails::new(error.code, &error.reason, error.diagnosis.clone());
        Self { url: error.url.clone(), error_code: error.error_code, details }
    }
}

/// A track that the remote sends.
#[derive(Clone, Debug, uniffi::Record)]
pub struct RemoteTrack {
    /// The track's id.
    pub track_id: String,
    /// `audio` or `video`.
    pub kind: String,
    /// Such as `video/VP8`; empty while unknown.
    pub codec: String,
    /// The streams that it belongs to.
    pub stream_ids: Vec<String>,
    /// What the remote says of it, as JSON. An object.
    pub metadata_json: Option<String>,
    /// What comes on it.
    pub media: RemoteMedia,
}

/// Something that happened to a remote.
#[derive(Clone, Debug, uniffi::Enum)]
pub enum RemoteEvent {
    /// The connection's state changed.
    StateChange {
        /// The state before.
        from: RemoteState,
        /// The state now.
        to: RemoteState,
    },
    /// A step of the negotiation failed.
    NegotiationFailed {
        /// What.
        failure: NegotiationFailure,
    },
    /// A STUN or TURN server does not serve, or a candidate of the remote could not be used.
    IceFailed {
        /// What.
        failure: IceFailure,
    },
    /// The remote sends a track.
    TrackAdded {
        /// The track.
        track: RemoteTrack,
    },
    /// The remote opened a data channel.
    DataChannelOpened {
        /// The channel.
        channel: Arc<DataChannel>,
    },
    /// The first track of a stream came.
    StreamAdded {
        /// The stream.
        stream_id: String,
        /// What the remote says of it, as JSON. An object.
        metadata_json: Option<String>,
    },
    /// The remote sends a track no more.
    TrackRemoved {
        /// The track.
        track_id: String,
    },
    /// The last track of a stream went.
    StreamRemoved {
        /// The stream.
        stream_id: String,
    },
    /// The connection was made anew: data channels that are not durable are closed, and the app may open
    /// them again now.
    ConnectionReset,
    /// Events were not taken fast enough: so many of the oldest were dropped.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl From<peer::RemoteEvent> for RemoteEvent {
    fn from(event: peer::RemoteEvent) -> Self {
        use peer::RemoteEvent as Event;
        match event {
            Event::StateChange { from, to } => Self::StateChange { from, to },
            Event::NegotiationError(error) => Self::NegotiationFailed { failure: (&*error).into() },
            Event::IceCandidateError(error) => Self::IceFailed { failure: (&*error).into() },
            Event::Track(track) => Self::TrackAdded {
                track: RemoteTrack {
                    track_id: track.track_id.clone(),
                    kind: track.kind.to_owned(),
                    codec: track.codec.clone(),
                    stream_ids: track.stream_ids.clone(),
                    metadata_json: optional(track.metadata.as_ref()),
                    media: (&track.media).into(),
                },
            },
            Event::DataChannel(channel) => {
                Self::DataChannelOpened { channel: DataChannel::new(channel) }
            }
            Event::StreamAdded { stream_id, metadata } => {
                Self::StreamAdded { stream_id, metadata_json: optional(metadata.as_ref()) }
            }
            Event::TrackRemoved { track_id } => Self::TrackRemoved { track_id },
            Event::StreamRemoved { stream_id } => Self::StreamRemoved { stream_id },
            Event::ConnectionReset => Self::ConnectionReset,
            Event::Lagged { missed } => Self::Lagged { missed },
        }
    }
}

/// Something that happened on a data channel.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum DataChannelEvent {
    /// Messages pass from now on. A durable channel opens again after each reset.
    Opened,
    /// A text came.
    Text {
        /// The text.
        text: String,
    },
    /// Bytes came.
    Binary {
        /// The bytes.
        data: RawBytes,
    },
    /// So little waits in the transport that more can be given.
    BufferedAmountLow,
    /// The transport reported a fault; `Closed` follows if it is final.
    Fault,
    /// Closed for good. The last event.
    Closed,
    /// So many messages from before the first pull or listener were dropped.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl From<peer::DataChannelEvent> for DataChannelEvent {
    fn from(event: peer::DataChannelEvent) -> Self {
        use peer::DataChannelEvent as Event;
        match event {
            Event::Open => Self::Opened,
            Event::Message(ChannelMessage::Text(text)) => Self::Text { text },
            Event::Message(ChannelMessage::Binary(data)) => Self::Binary { data: RawBytes(data) },
            Event::BufferedAmountLow => Self::BufferedAmountLow,
            Event::Error => Self::Fault,
            Event::Close => Self::Closed,
            Event::Lagged { missed } => Self::Lagged { missed },
        }
    }
}
