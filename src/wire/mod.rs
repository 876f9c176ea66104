//! The wire protocol: frames in both directions, names and their limits, close codes, error codes.
//!
//! Data only: nothing here does I/O, reads a clock or draws randomness, and nothing here knows the rest
//! of the SDK. Building is strict (a name or a size that the service would refuse never becomes bytes),
//! decoding is tolerant (unknown types, codes and fields survive; a broken entry costs itself alone).
//!
//! One frame is one JSON object in one WebSocket text message, told apart by its `type`.

mod client_frame;
mod codes;
mod fields;
mod ice_servers;
mod json;
mod names;
mod pattern;
mod server_frame;
mod signal;

pub use client_frame::{BuildError, ClientFrame, ClientFrameError, ReceivedClientFrame};
pub use codes::{CloseCode, ErrorCode};
pub use ice_servers::{IceServer, IceUrls, MAX_ICE_SERVERS, ice_servers};
pub use json::{Json, JsonError};
pub use names::{
    NameError, is_reserved_channel, validate_channel, validate_peer_id, validate_request_id,
};
pub use pattern::ChannelPattern;
pub use server_frame::{
    DecodeError, Decoded, Direct, ErrorFrame, Message, Presence, PresencePeer, ServerFrame,
    UnixSeconds, Welcome,
};
pub use signal::{DescriptionKind, IceCandidate, PeerPayload, SessionDescription, TrackMetadata};

/// Version segment of the endpoint's path: clients dial `<base>/v1`.
pub const API_PATH: &str = "/v1";
/// Bytes of one text frame towards the server, until a welcome says otherwise (`maxMessageSize`).
pub const DEFAULT_MAX_MESSAGE_SIZE: usize = 65_536;
/// Bytes of one text frame from the server that a client accepts before it closes with 1009.
pub const MAX_INBOUND_FRAME_BYTES: usize = 1_048_576;
/// Bytes (UTF-8) of a channel's name.
pub const MAX_CHANNEL_BYTES: usize = 256;
/// Bytes (printable ASCII) of a peer's id.
pub const MAX_PEER_ID_BYTES: usize = 128;
/// Characters of a `requestId`.
pub const MAX_REQUEST_ID_CHARS: usize = 128;
/// Channels that one connection may be subscribed to.
pub const MAX_SUBSCRIPTIONS: usize = 100;
/// Bytes of a token's `metadata` claim, serialized.
pub const MAX_METADATA_BYTES: usize = 8_192;
/// Bytes of a token's `peerMetadata` claim, serialized.
pub const MAX_PEER_METADATA_BYTES: usize = 4_096;
/// Entries of a token's `channels` claim.
pub const MAX_TOKEN_CHANNELS: usize = 100;
/// Entries of a token's `permissions` claim.
pub const MAX_TOKEN_PERMISSIONS: usize = 16;
/// Milliseconds to wait after `going_away` when the server names none.
pub const DEFAULT_RETRY_AFTER_MS: u64 = 1_000;
