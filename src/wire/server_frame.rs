//! Frames from the server: decoded tolerantly, and encoded for our dev server.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::fields::{Fields, is_object};
use super::{DEFAULT_MAX_MESSAGE_SIZE, DEFAULT_RETRY_AFTER_MS, ErrorCode, Json};

/// A point in time as the service writes it: seconds since 1970-01-01T00:00:00Z, fractions allowed.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use metered_realtime::wire::UnixSeconds;
/// let end = UnixSeconds(1_715_535_600.5);
/// let end = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(end.0);
/// assert!(end < SystemTime::now());
/// assert_eq!(serde_json::to_string(&UnixSeconds(12.0))?, "12"); // as the service writes it
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
#[serde(transparent)]
pub struct UnixSeconds(pub f64);

impl Serialize for UnixSeconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Whole seconds stay whole numbers, as the service writes them.
        if self.0.fract() == 0.0 && self.0.abs() < 9_007_199_254_740_992.0 {
            #[allow(clippy::cast_possible_truncation)] // the range was checked
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// The first frame of a connection.
///
/// ```
/// use metered_realtime::wire::{ServerFrame, Welcome, ice_servers};
/// let text = r#"{"type":"welcome","peerId":"alice","expiresAt":1900000000,"serverTime":1899996400,
///     "maxMessageSize":65536,"metadata":{"iceServers":[{"urls":"stun:example.org"}]}}"#;
/// let ServerFrame::Welcome(welcome) = ServerFrame::decode(text)?.frame else { panic!() };
/// let Welcome { peer_id, max_message_size, .. } = &welcome;
/// assert_eq!((peer_id.as_str(), *max_message_size), ("alice", 65_536));
/// let (end, now) = (welcome.expires_at.unwrap(), welcome.server_time.unwrap());
/// assert_eq!(end.0 - now.0, 3_600.0); // the token holds for an hour
/// assert_eq!(ice_servers(welcome.metadata.as_ref()).0.unwrap().len(), 1);
/// # Ok::<(), metered_realtime::wire::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    /// Our id on this connection: the token's `sub`, or a new random one for a publishable key.
    pub peer_id: String,
    /// When the token ends; `None` for a publishable key.
    pub expires_at: Option<UnixSeconds>,
    /// The server's clock.
    pub server_time: Option<UnixSeconds>,
    /// Bytes that a frame of ours may have.
    pub max_message_size: usize,
    /// The token's private `metadata`, with `iceServers` added by the service. Always an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
}

/// The answer to a request that failed, or a complaint without one.
///
/// ```
/// use metered_realtime::wire::{ErrorCode, ErrorFrame, ServerFrame};
/// let text = r#"{"type":"error","requestId":"7","code":"peer_not_found","message":"no such peer"}"#;
/// let ServerFrame::Error(error) = ServerFrame::decode(text)?.frame else { panic!() };
/// let ErrorFrame { request_id, code, .. } = error;
/// assert_eq!((request_id.as_deref(), code), (Some("7"), ErrorCode::PeerNotFound));
/// # Ok::<(), metered_realtime::wire::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorFrame {
    /// The request it answers, if the frame that failed had an id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What went wrong.
    #[serde(serialize_with = "code_text")]
    pub code: ErrorCode,
    /// The server's words. Not to be put into errors or logs unasked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

fn code_text<S: Serializer>(code: &ErrorCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.as_str())
}

/// A broadcast on a channel.
///
/// ```
/// use metered_realtime::wire::Message;
/// /// What an app does with `signalling::Event::Message`.
/// fn shown(message: &Message) -> Option<String> {
///     let text: String = message.data.to().ok()?; // `None`: not what this app sends
///     Some(format!("{} in {}: {text}", message.from, message.channel))
/// }
/// # use metered_realtime::wire::Json;
/// let message = Message {
///     channel: "room".into(),
///     from: "alice".into(),
///     data: Json::parse("\"hello\"")?,
///     from_metadata: None,
/// };
/// assert_eq!(shown(&message).as_deref(), Some("alice in room: hello"));
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The channel.
    pub channel: String,
    /// The publisher; for a message of the backend, whatever it chose.
    pub from: String,
    /// The payload.
    pub data: Json,
    /// The publisher's `peerMetadata`, if the subscription asked for it and there is any. Always an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_metadata: Option<Json>,
}

/// Data from one peer to us.
///
/// ```
/// use metered_realtime::wire::{Direct, PeerPayload, ServerFrame};
/// let text = r#"{"type":"direct","from":"alice","data":{"move":"e4"},"fromMetadata":{"name":"Alice"}}"#;
/// let ServerFrame::Direct(Direct { from, data, from_metadata }) = ServerFrame::decode(text)?.frame
/// else {
///     panic!()
/// };
/// // Call set-up of the SDKs comes the same way; this is the app's own.
/// assert_eq!(PeerPayload::decode(&data), PeerPayload::App);
/// assert_eq!((from.as_str(), data.as_str()), ("alice", r#"{"move":"e4"}"#));
/// assert_eq!(from_metadata.unwrap().as_str(), r#"{"name":"Alice"}"#);
/// # Ok::<(), metered_realtime::wire::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Direct {
    /// The sender.
    pub from: String,
    /// The payload.
    pub data: Json,
    /// The sender's `peerMetadata`, if there is any. Always an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_metadata: Option<Json>,
}

/// A peer in a presence frame.
///
/// ```
/// use metered_realtime::wire::{Json, PresencePeer};
/// #[derive(serde::Deserialize)]
/// struct Profile {
///     name: String,
/// }
/// /// The name that a backend put into the token's `peerMetadata`, or the id.
/// fn label(peer: &PresencePeer) -> String {
///     let profile = peer.metadata.as_ref().and_then(|metadata| metadata.to::<Profile>().ok());
///     profile.map_or_else(|| peer.peer_id.clone(), |profile| profile.name)
/// }
/// let metadata = Some(Json::parse(r#"{"name":"Alice"}"#)?);
/// assert_eq!(label(&PresencePeer { peer_id: "u-1".into(), metadata }), "Alice");
/// assert_eq!(label(&PresencePeer { peer_id: "u-2".into(), metadata: None }), "u-2");
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PresencePeer {
    /// Its id.
    pub peer_id: String,
    /// Its `peerMetadata`, if there is any. Always an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
}

/// Who came to a channel and who left it; right after a subscription, who was there.
///
/// ```
/// use std::collections::BTreeSet;
/// use metered_realtime::wire::{Presence, PresencePeer};
/// /// Who is there, kept up to date by `signalling::Event::Presence`.
/// fn keep(present: &mut BTreeSet<String>, presence: &Presence) {
///     present.extend(presence.joined.iter().map(|peer| peer.peer_id.clone()));
///     for peer in &presence.left {
///         present.remove(&peer.peer_id);
///     }
/// }
/// let peer = |id: &str| PresencePeer { peer_id: id.into(), metadata: None };
/// let mut present = BTreeSet::from(["alice".to_owned()]);
/// let change = Presence { channel: "room".into(), joined: vec![peer("bob")], left: vec![peer("alice")] };
/// keep(&mut present, &change);
/// assert_eq!(present, BTreeSet::from(["bob".to_owned()]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// The channel.
    pub channel: String,
    /// Peers that came, or were there.
    pub joined: Vec<PresencePeer>,
    /// Peers that left.
    pub left: Vec<PresencePeer>,
}

/// A frame of the server.
///
/// ```
/// use metered_realtime::wire::ServerFrame;
/// let decoded = ServerFrame::decode(r#"{"type":"presence","channel":"c","joined":[{"peerId":"p"},7],"left":[]}"#)?;
/// let ServerFrame::Presence(presence) = decoded.frame else { unreachable!() };
/// assert_eq!(presence.joined.len(), 1);
/// assert_eq!(decoded.dropped, 1); // the entry that is no peer
/// # Ok::<(), metered_realtime::wire::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ServerFrame {
    /// The first frame.
    Welcome(Welcome),
    /// A request was done.
    Ack {
        /// Its id.
        request_id: String,
    },
    /// A request failed, or something else is wrong.
    Error(ErrorFrame),
    /// A broadcast.
    Message(Message),
    /// Data for us alone.
    Direct(Direct),
    /// A change, or the present state, of a channel's members.
    Presence(Presence),
    /// The server is about to close with 1001.
    GoingAway {
        /// Milliseconds after which it wants to see us again.
        retry_after_ms: u64,
    },
    /// The answer to `ping`.
    Pong,
    /// A type that this version does not know, whole.
    Unknown {
        /// Its `type`.
        kind: String,
        /// The frame.
        frame: Json,
    },
}

/// A frame, and what had to be left out of it.
///
/// ```
/// use metered_realtime::wire::{Decoded, ServerFrame};
/// let Decoded { frame, dropped } =
///     ServerFrame::decode(r#"{"type":"message","channel":"c","from":"f","data":1,"fromMetadata":[]}"#)?;
/// assert_eq!(frame.kind(), "message");
/// assert_eq!(dropped, 1); // metadata that is no object; the message stands
/// assert_eq!(frame.encode(), r#"{"type":"message","channel":"c","from":"f","data":1}"#);
/// # Ok::<(), metered_realtime::wire::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// What is good.
    pub frame: ServerFrame,
    /// Broken entries and optional fields that were dropped.
    pub dropped: u32,
}

/// A frame that means nothing to a client.
///
/// ```
/// use metered_realtime::wire::{DecodeError, ServerFrame};
/// assert!(matches!(ServerFrame::decode("[]"), Err(DecodeError::NotAnObject(_))));
/// assert!(matches!(ServerFrame::decode("{}"), Err(DecodeError::NoType)));
/// let error = ServerFrame::decode(r#"{"type":"ack"}"#).unwrap_err();
/// assert!(matches!(error, DecodeError::Field { kind: "ack", field: "requestId" }));
/// println!("{}: {error}", error.code());
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not a JSON object.
    #[error("not a JSON object: {0}")]
    NotAnObject(#[source] serde_json::Error),
    /// No `type`, or one that is no string.
    #[error("the frame has no type")]
    NoType,
    /// A field without which the frame says nothing.
    #[error("a {kind} frame without a proper {field}")]
    Field {
        /// The frame's type.
        kind: &'static str,
        /// The field.
        field: &'static str,
    },
}

impl DecodeError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        "malformed_frame"
    }
}

const NAMES: [&str; 16] = [
    "type",
    "requestId",
    "data",
    "channel",
    "from",
    "fromMetadata",
    "joined",
    "left",
    "code",
    "message",
    "peerId",
    "expiresAt",
    "serverTime",
    "maxMessageSize",
    "metadata",
    "retryAfterMs",
];

impl ServerFrame {
    /// The frame's `type`.
    pub fn kind(&self) -> &str {
        match self {
            Self::Welcome(_) => "welcome",
            Self::Ack { .. } => "ack",
            Self::Error(_) => "error",
            Self::Message(_) => "message",
            Self::Direct(_) => "direct",
            Self::Presence(_) => "presence",
            Self::GoingAway { .. } => "going_away",
            Self::Pong => "pong",
            Self::Unknown { kind, .. } => kind,
        }
    }

    /// Reads a frame. What is broken but not needed is dropped and counted.
    ///
    /// # Errors
    /// [`DecodeError`] if nothing of it can be used.
    pub fn decode(text: &str) -> Result<Decoded, DecodeError> {
        let fields = Fields::read(text, &NAMES).map_err(DecodeError::NotAnObject)?;
        let kind = fields.text("type").ok_or(DecodeError::NoType)?;
        let mut dropped = 0;
        let frame = match &*kind {
            "welcome" => Self::Welcome(welcome(&fields, &mut dropped)?),
            "ack" => Self::Ack { request_id: need(&fields, "ack", "requestId")? },
            "error" => Self::Error(ErrorFrame {
                request_id: fields.text("requestId").map(Cow::into_owned),
                code: ErrorCode::from(need(&fields, "error", "code")?.as_str()),
                message: fields.text("message").map(Cow::into_owned),
            }),
            "message" => Self::Message(Message {
                channel: need(&fields, "message", "channel")?,
                from: need(&fields, "message", "from")?,
                data: need_data(&fields, "message")?,
                from_metadata: object(fields.raw("fromMetadata"), &mut dropped),
            }),
            "direct" => Self::Direct(Direct {
                from: need(&fields, "direct", "from")?,
                data: need_data(&fields, "direct")?,
                from_metadata: object(fields.raw("fromMetadata"), &mut dropped),
            }),
            "presence" => Self::Presence(Presence {
                channel: need(&fields, "presence", "channel")?,
                joined: peers(fields.raw("joined"), &mut dropped),
                left: peers(fields.raw("left"), &mut dropped),
            }),
            "going_away" => Self::GoingAway { retry_after_ms: retry_after(&fields) },
            "pong" => Self::Pong,
            _ => {
                let whole = Json::parse(text);
                let frame = whole.map_err(|_| DecodeError::NoType)?;
                Self::Unknown { kind: kind.into_owned(), frame }
            }
        };
        Ok(Decoded { frame, dropped })
    }

    /// The text of the frame.
    pub fn encode(&self) -> String {
        #[derive(Serialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        enum Body<'a> {
            Welcome(&'a Welcome),
            Ack {
                #[serde(rename = "requestId")]
                request_id: &'a str,
            },
            Error(&'a ErrorFrame),
            GoingAway {
                #[serde(rename = "retryAfterMs")]
                retry_after_ms: u64,
            },
            Presence(&'a Presence),
            Message(&'a Message),
            Direct(&'a Direct),
            Pong,
        }
        let body = match self {
            Self::Welcome(welcome) => Body::Welcome(welcome),
            Self::Ack { request_id } => Body::Ack { request_id },
            Self::Error(error) => Body::Error(error),
            Self::Message(message) => Body::Message(message),
            Self::Direct(direct) => Body::Direct(direct),
            Self::Presence(presence) => Body::Presence(presence),
            Self::GoingAway { retry_after_ms } => {
                Body::GoingAway { retry_after_ms: *retry_after_ms }
            }
            Self::Pong => Body::Pong,
            Self::Unknown { frame, .. } => return frame.as_str().to_owned(),
        };
        // Infallible: strings, numbers and text that is JSON already, into memory.
        serde_json::to_string(&body).expect("a frame of strings and JSON text serializes")
    }
}

type ServerFields<'a> = Fields<'a, 16>;

fn need(
    fields: &ServerFields<'_>,
    kind: &'static str,
    field: &'static str,
) -> Result<String, DecodeError> {
    fields.text(field).map(Cow::into_owned).ok_or(DecodeError::Field { kind, field })
}

fn need_data(fields: &ServerFields<'_>, kind: &'static str) -> Result<Json, DecodeError> {
    fields.raw("data").map(Json::from).ok_or(DecodeError::Field { kind, field: "data" })
}

fn object(raw: Option<&RawValue>, dropped: &mut u32) -> Option<Json> {
    match raw {
        Some(raw) if is_object(raw) => Some(Json::from(raw)),
        Some(raw) if raw.get() == "null" => None,
        Some(_) => {
            *dropped += 1;
            None
        }
        None => None,
    }
}

fn peers(raw: Option<&RawValue>, dropped: &mut u32) -> Vec<PresencePeer> {
    const PEER: [&str; 2] = ["peerId", "metadata"];
    let entries: Option<Vec<&RawValue>> = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let Some(entries) = entries else {
        *dropped += 1;
        return Vec::new();
    };
    let mut peers = Vec::with_capacity(entries.len().min(1024));
    for entry in entries {
        let peer = Fields::read(entry.get(), &PEER).ok().and_then(|fields| {
            let peer_id = fields.text("peerId").filter(|id| !id.is_empty())?.into_owned();
            Some(PresencePeer { peer_id, metadata: object(fields.raw("metadata"), dropped) })
        });
        match peer {
            Some(peer) => peers.push(peer),
            None => *dropped += 1,
        }
    }
    peers
}

fn welcome(fields: &ServerFields<'_>, dropped: &mut u32) -> Result<Welcome, DecodeError> {
    let max_message_size = match fields.get::<f64>("maxMessageSize") {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the range was checked
        Some(size) if (1.0..=4_294_967_295.0).contains(&size) => size as usize,
        _ => {
            *dropped += 1;
            DEFAULT_MAX_MESSAGE_SIZE
        }
    };
    Ok(Welcome {
        peer_id: need(fields, "welcome", "peerId")?,
        expires_at: time(fields, "expiresAt", dropped),
        server_time: time(fields, "serverTime", dropped),
        max_message_size,
        metadata: object(fields.raw("metadata"), dropped),
    })
}

/// A time within thirty thousand years of 1970; others, and what is no number, are dropped.
fn time(fields: &ServerFields<'_>, name: &str, dropped: &mut u32) -> Option<UnixSeconds> {
    let raw = fields.raw(name).filter(|raw| raw.get() != "null")?;
    let time = serde_json::from_str::<UnixSeconds>(raw.get()).ok();
    let sound = time.filter(|time| time.0.abs() < 1e12);
    *dropped += u32::from(sound.is_none());
    sound
}

fn retry_after(fields: &ServerFields<'_>) -> u64 {
    match fields.get::<f64>("retryAfterMs") {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // Positive, and never rounded to "no wait"; `as` saturates.
        Some(ms) if ms > 0.0 => ms.ceil() as u64,
        _ => DEFAULT_RETRY_AFTER_MS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Decoded {
        ServerFrame::decode(text).unwrap()
    }

    #[test]
    fn every_frame_survives_the_way_to_text_and_back() {
        let metadata = Some(Json::parse(r#"{"n":1}"#).unwrap());
        let peer = PresencePeer { peer_id: "p".into(), metadata: metadata.clone() };
        let frames = [
            ServerFrame::Welcome(Welcome {
                peer_id: "alice".into(),
                expires_at: None,
                server_time: Some(UnixSeconds(1_715_535_600.0)),
                max_message_size: 65_536,
                metadata: metadata.clone(),
            }),
            ServerFrame::Ack { request_id: "1".into() },
            ServerFrame::Error(ErrorFrame {
                request_id: None,
                code: ErrorCode::from("new_code"),
                message: None,
            }),
            ServerFrame::Message(Message {
                channel: "c".into(),
                from: "f".into(),
                data: Json::null(),
                from_metadata: metadata,
            }),
            ServerFrame::Direct(Direct {
                from: "f".into(),
                data: Json::null(),
                from_metadata: None,
            }),
            ServerFrame::Presence(Presence {
                channel: "c".into(),
                joined: vec![peer],
                left: vec![],
            }),
            ServerFrame::GoingAway { retry_after_ms: 5 },
            ServerFrame::Pong,
        ];
        for frame in frames {
            let text = frame.encode();
            assert_eq!(decode(&text), Decoded { frame, dropped: 0 }, "{text}");
        }
    }

    #[test]
    fn the_servers_seconds_stay_whole_and_null_is_written() {
        let welcome = ServerFrame::Welcome(Welcome {
            peer_id: "a".into(),
            expires_at: None,
            server_time: Some(UnixSeconds(1_715_535_600.0)),
            max_message_size: 65_536,
            metadata: None,
        });
        assert_eq!(
            welcome.encode(),
            r#"{"type":"welcome","peerId":"a","expiresAt":null,"serverTime":1715535600,"maxMessageSize":65536}"#
        );
    }

    #[test]
    fn a_presence_without_an_array_keeps_the_other() {
        let decoded = decode(r#"{"type":"presence","channel":"c","left":[{"peerId":"q"}]}"#);
        let ServerFrame::Presence(presence) = decoded.frame else { panic!() };
        assert_eq!((presence.joined.len(), presence.left.len(), decoded.dropped), (0, 1, 1));
    }

    #[test]
    fn broken_metadata_costs_itself_alone() {
        let decoded = decode(
            r#"{"type":"presence","channel":"c","joined":[{"peerId":"p","metadata":7},{},"x"],"left":[]}"#,
        );
        let ServerFrame::Presence(presence) = decoded.frame else { panic!() };
        assert_eq!(presence.joined, vec![PresencePeer { peer_id: "p".into(), metadata: None }]);
        assert_eq!(decoded.dropped, 3);
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_and_unknown_fields_are_skipped() {
        let decoded =
            decode(r#"{"x":{"y":[1]},"type":"ack","requestId":"1","requestId":"2","z":null}"#);
        assert_eq!(decoded.frame, ServerFrame::Ack { request_id: "2".into() });
    }

    #[test]
    fn a_welcome_stands_without_what_older_servers_omit() {
        let decoded = decode(r#"{"type":"welcome","peerId":"p","maxMessageSize":0,"metadata":[]}"#);
        let ServerFrame::Welcome(welcome) = decoded.frame else { panic!() };
        assert_eq!(welcome.max_message_size, DEFAULT_MAX_MESSAGE_SIZE);
        assert_eq!(welcome.expires_at, None);
        assert_eq!(decoded.dropped, 2);
    }

    #[test]
    fn an_unknown_type_is_kept_whole() {
        let text = r#"{"type":"later","a":1}"#;
        let frame = decode(text).frame;
        assert_eq!(
            frame,
            ServerFrame::Unknown { kind: "later".into(), frame: Json::parse(text).unwrap() }
        );
        assert_eq!(frame.encode(), text);
    }

    #[test]
    fn nonsense_is_named() {
        for text in ["", "7", "{}", r#"{"type":1}"#, r#"{"type":"ack"}"#, "{\"type\":\"ack\"} x"] {
            assert!(ServerFrame::decode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_retry_hint_of_no_sense_becomes_the_default() {
        for text in [
            r#"{"type":"going_away"}"#,
            r#"{"type":"going_away","retryAfterMs":-1}"#,
            r#"{"type":"going_away","retryAfterMs":"soon"}"#,
        ] {
            assert_eq!(decode(text).frame, ServerFrame::GoingAway { retry_after_ms: 1000 });
        }
    }

    #[test]
    fn a_retry_hint_below_a_millisecond_is_one() {
        let hint = decode(r#"{"type":"going_away","retryAfterMs":1e-14}"#).frame;
        assert_eq!(hint, ServerFrame::GoingAway { retry_after_ms: 1 });
        assert_eq!(decode(&hint.encode()).frame, hint);
    }
}
