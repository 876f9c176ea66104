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
///
/// ```
/// use metered_realtime::signalling::DEFAULT_URL;
/// use metered_realtime::wire::API_PATH;
/// // What a firewall or a proxy has to let through.
/// assert_eq!(format!("{DEFAULT_URL}{API_PATH}"), "wss://rms.metered.ca/v1");
/// ```
pub const API_PATH: &str = "/v1";

/// Bytes of one text frame towards the server, until a welcome says otherwise (`maxMessageSize`).
///
/// ```
/// use metered_realtime::wire::{ClientFrame, DEFAULT_MAX_MESSAGE_SIZE, Json};
/// let picture = "x".repeat(DEFAULT_MAX_MESSAGE_SIZE);
/// let frame = ClientFrame::Publish { channel: "room".into(), data: Json::from_serialize(&picture)? };
/// // The frame around the data counts, too.
/// let refused = frame.encode(None, DEFAULT_MAX_MESSAGE_SIZE).unwrap_err();
/// assert_eq!(refused.code(), "oversized_payload");
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
pub const DEFAULT_MAX_MESSAGE_SIZE: usize = 65_536;

/// Bytes of one text frame from the server that a client accepts before it closes with 1009.
///
/// ```
/// use metered_realtime::wire::{DEFAULT_MAX_MESSAGE_SIZE, MAX_INBOUND_FRAME_BYTES};
/// // What another client may send fits many times; a snapshot lists everyone on a channel.
/// assert_eq!(MAX_INBOUND_FRAME_BYTES / DEFAULT_MAX_MESSAGE_SIZE, 16);
/// ```
pub const MAX_INBOUND_FRAME_BYTES: usize = 1_048_576;

/// Bytes (UTF-8) of a channel's name.
///
/// ```
/// use metered_realtime::wire::{MAX_CHANNEL_BYTES, validate_channel};
/// assert!(validate_channel(&"é".repeat(MAX_CHANNEL_BYTES / 2)).is_ok()); // two bytes each
/// assert!(validate_channel(&"é".repeat(MAX_CHANNEL_BYTES)).is_err());
/// ```
pub const MAX_CHANNEL_BYTES: usize = 256;

/// Bytes (printable ASCII) of a peer's id.
///
/// ```
/// use metered_realtime::wire::{MAX_PEER_ID_BYTES, validate_peer_id};
/// let id = "user-".to_owned() + &"7".repeat(MAX_PEER_ID_BYTES);
/// assert_eq!(validate_peer_id(&id[..MAX_PEER_ID_BYTES]), Ok(()));
/// assert_eq!(validate_peer_id(&id).unwrap_err().code(), "invalid_peer_id");
/// ```
pub const MAX_PEER_ID_BYTES: usize = 128;

/// Characters of a `requestId`.
///
/// ```
/// use metered_realtime::wire::{MAX_REQUEST_ID_CHARS, validate_request_id};
/// assert!(validate_request_id(&"é".repeat(MAX_REQUEST_ID_CHARS)).is_ok()); // characters, not bytes
/// assert!(validate_request_id(&"é".repeat(MAX_REQUEST_ID_CHARS + 1)).is_err());
/// ```
pub const MAX_REQUEST_ID_CHARS: usize = 128;

/// Channels that one connection may be subscribed to.
///
/// The 101st gets `channel_limit_exceeded`.
///
/// ```
/// use metered_realtime::wire::MAX_SUBSCRIPTIONS;
/// let rooms: Vec<_> = (0..250).map(|n| format!("rooms/{n}")).collect();
/// // A client for each part, since every client has one connection.
/// let clients = rooms.chunks(MAX_SUBSCRIPTIONS).count();
/// assert_eq!(clients, 3);
/// ```
pub const MAX_SUBSCRIPTIONS: usize = 100;

/// Bytes of a token's `metadata` claim, serialized.
///
/// For the backend that signs tokens.
///
/// ```
/// use metered_realtime::wire::{Json, MAX_METADATA_BYTES};
/// let metadata = Json::from_serialize(&serde_json::json!({ "plan": "free" }))?;
/// assert!(metadata.as_str().len() <= MAX_METADATA_BYTES);
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
pub const MAX_METADATA_BYTES: usize = 8_192;

/// Bytes of a token's `peerMetadata` claim, serialized.
///
/// What everyone in a room is told of a peer: a name and a link to a picture fit, the picture does not.
///
/// ```
/// use metered_realtime::wire::{Json, MAX_PEER_METADATA_BYTES};
/// let seen = Json::from_serialize(&serde_json::json!({ "name": "Alice", "avatar": "https://…" }))?;
/// assert!(seen.as_str().len() <= MAX_PEER_METADATA_BYTES);
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
pub const MAX_PEER_METADATA_BYTES: usize = 4_096;

/// Entries of a token's `channels` claim.
///
/// ```
/// use metered_realtime::wire::{ChannelPattern, MAX_TOKEN_CHANNELS};
/// // More rooms than entries: one pattern covers them.
/// let rooms: Vec<_> = (0..=MAX_TOKEN_CHANNELS).map(|n| format!("team-7/room-{n}")).collect();
/// let claim = ChannelPattern::parse("team-7/room-*");
/// assert!(rooms.iter().all(|room| claim.matches(room)));
/// ```
pub const MAX_TOKEN_CHANNELS: usize = 100;

/// Entries of a token's `permissions` claim.
///
/// ```
/// use metered_realtime::wire::MAX_TOKEN_PERMISSIONS;
/// let permissions = ["subscribe", "publish", "presence", "send"];
/// assert!(permissions.len() <= MAX_TOKEN_PERMISSIONS);
/// ```
pub const MAX_TOKEN_PERMISSIONS: usize = 16;

/// Milliseconds to wait after `going_away` when the server names none.
///
/// ```
/// use metered_realtime::wire::{DEFAULT_RETRY_AFTER_MS, ServerFrame};
/// let decoded = ServerFrame::decode(r#"{"type":"going_away"}"#)?;
/// assert_eq!(decoded.frame, ServerFrame::GoingAway { retry_after_ms: DEFAULT_RETRY_AFTER_MS });
/// # Ok::<(), metered_realtime::wire::DecodeError>(())
/// ```
pub const DEFAULT_RETRY_AFTER_MS: u64 = 1_000;
