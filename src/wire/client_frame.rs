//! Frames from a client to the server: strict to build, and decoded as the server decodes them.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::fields::Fields;
use super::{ErrorCode, Json, NameError, validate_channel, validate_peer_id, validate_request_id};

/// One request of a client.
///
/// ```
/// use metered_realtime::wire::{ClientFrame, Json};
/// let frame = ClientFrame::Publish { channel: "room".into(), data: Json::parse("[1]")? };
/// assert_eq!(
///     frame.encode(Some("7"), 65_536)?,
///     r#"{"type":"publish","channel":"room","data":[1],"requestId":"7"}"#
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientFrame {
    /// Receive a channel's messages and presence. Repeating it is allowed and brings a fresh snapshot.
    Subscribe {
        /// The channel.
        channel: String,
        /// Whether messages shall carry their sender's `peerMetadata`.
        include_sender_metadata: bool,
    },
    /// Stop receiving a channel.
    Unsubscribe {
        /// The channel.
        channel: String,
    },
    /// Broadcast to a channel's other subscribers. No subscription is needed.
    Publish {
        /// The channel.
        channel: String,
        /// Any JSON, `null` included.
        data: Json,
    },
    /// Hand data to one peer. No common channel is needed.
    Send {
        /// The addressee.
        to: String,
        /// Any JSON, `null` included.
        data: Json,
    },
    /// Ask for a `pong`.
    Ping,
}

/// A frame that must not be sent.
///
/// ```
/// use metered_realtime::wire::{BuildError, ClientFrame, Json};
/// let frame = ClientFrame::Publish { channel: "room".into(), data: Json::parse("[1,2]")? };
/// match frame.encode(None, 20) {
///     Err(BuildError::Oversized { size, frame, cap }) => assert_eq!((size, frame, cap), (5, 48, 20)),
///     Err(BuildError::Name(name)) => panic!("{name}"),
///     other => panic!("{other:?}"),
/// }
/// let unnamed = ClientFrame::Unsubscribe { channel: String::new() };
/// assert_eq!(unnamed.encode(None, 20).unwrap_err().code(), "invalid_channel");
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A name that the service refuses.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The whole frame has more bytes than the server accepts; it would close the connection with 1009.
    #[error("the frame has {frame} bytes ({size} of data), and {cap} are allowed")]
    Oversized {
        /// Bytes of the data alone, as JSON.
        size: usize,
        /// Bytes of the whole frame.
        frame: usize,
        /// Bytes that a frame may have.
        cap: usize,
    },
}

impl BuildError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name(name) => name.code(),
            Self::Oversized { .. } => "oversized_payload",
        }
    }
}

/// A frame as the server received it.
///
/// ```
/// use metered_realtime::wire::{ClientFrame, ReceivedClientFrame};
/// let ReceivedClientFrame { frame, request_id } = ClientFrame::decode(r#"{"type":"ping","requestId":"7"}"#)?;
/// assert_eq!((frame.kind(), request_id.as_deref()), ("ping", Some("7")));
/// # Ok::<(), metered_realtime::wire::ClientFrameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedClientFrame {
    /// What is asked.
    pub frame: ClientFrame,
    /// To be echoed in `ack` or `error`; without it the server sends no ack.
    pub request_id: Option<String>,
}

/// Why a server refuses a frame.
///
/// ```
/// use metered_realtime::wire::{ClientFrame, ClientFrameError, ErrorCode, ErrorFrame, ServerFrame};
/// let refused: ClientFrameError =
///     ClientFrame::decode(r#"{"type":"publish","channel":"a","requestId":"1"}"#).unwrap_err();
/// assert_eq!(refused.code, ErrorCode::MissingData);
/// // What a server answers.
/// let answer = ErrorFrame { request_id: refused.request_id, code: refused.code, message: None };
/// assert_eq!(
///     ServerFrame::Error(answer).encode(),
///     r#"{"type":"error","requestId":"1","code":"missing_data"}"#
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {reason}")]
pub struct ClientFrameError {
    /// The code of the error frame.
    pub code: ErrorCode,
    /// To be echoed, if the frame was good enough to carry one.
    pub request_id: Option<String>,
    /// For people.
    pub reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    include_sender_metadata: Option<bool>,
}

impl ClientFrame {
    /// The frame's `type`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Subscribe { .. } => "subscribe",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Publish { .. } => "publish",
            Self::Send { .. } => "send",
            Self::Ping => "ping",
        }
    }

    /// The text of the frame, at most `cap` bytes long. Names are checked by the service's rules.
    ///
    /// # Errors
    /// [`BuildError::Name`], [`BuildError::Oversized`].
    pub fn encode(&self, request_id: Option<&str>, cap: usize) -> Result<String, BuildError> {
        if let Some(id) = request_id {
            validate_request_id(id)?;
        }
        let mut body = Body {
            r#type: self.kind(),
            channel: None,
            to: None,
            data: None,
            request_id,
            include_sender_metadata: None,
        };
        match self {
            Self::Subscribe { channel, include_sender_metadata } => {
                validate_channel(channel)?;
                body.channel = Some(channel);
                body.include_sender_metadata = include_sender_metadata.then_some(true);
            }
            Self::Unsubscribe { channel } => {
                validate_channel(channel)?;
                body.channel = Some(channel);
            }
            Self::Publish { channel, data } => {
                validate_channel(channel)?;
                body.channel = Some(channel);
                body.data = Some(data);
            }
            Self::Send { to, data } => {
                validate_peer_id(to)?;
                body.to = Some(to);
                body.data = Some(data);
            }
            Self::Ping => {}
        }
        let text = body.encode();
        if text.len() > cap {
            let size = body.data.map_or(0, |data| data.as_str().len());
            return Err(BuildError::Oversized { size, frame: text.len(), cap });
        }
        Ok(text)
    }

    /// Reads a frame as the server does; unknown fields are ignored.
    ///
    /// # Errors
    /// [`ClientFrameError`] with the code that the server answers.
    pub fn decode(text: &str) -> Result<ReceivedClientFrame, ClientFrameError> {
        const NAMES: [&str; 6] =
            ["type", "channel", "to", "data", "requestId", "includeSenderMetadata"];
        let refuse = |code: ErrorCode, request_id: Option<String>, reason: String| {
            Err(ClientFrameError { code, request_id, reason })
        };
        let fields = match Fields::read(text, &NAMES) {
            Ok(fields) => fields,
            Err(error) => return refuse(ErrorCode::MalformedMessage, None, error.to_string()),
        };
        let request_id = fields.text("requestId").map(Cow::into_owned);
        if fields.raw("requestId").is_some()
            && request_id.as_deref().is_none_or(|id| validate_request_id(id).is_err())
        {
            let reason = "requestId must be a string of 1 to 128 characters".to_owned();
            return refuse(ErrorCode::MalformedMessage, None, reason);
        }
        let Some(kind) = fields.text("type") else {
            return refuse(ErrorCode::MalformedMessage, request_id, "no type".to_owned());
        };
        let frame = match &*kind {
            "ping" => Ok(Self::Ping),
            "subscribe" => checked_channel(&fields).map(|channel| Self::Subscribe {
                channel,
                include_sender_metadata: fields.get("includeSenderMetadata").unwrap_or(false),
            }),
            "unsubscribe" => checked_channel(&fields).map(|channel| Self::Unsubscribe { channel }),
            "publish" => checked_channel(&fields).and_then(|channel| {
                Ok(Self::Publish { channel, data: present_data(fields.raw("data"))? })
            }),
            "send" => checked_peer(&fields)
                .and_then(|to| Ok(Self::Send { to, data: present_data(fields.raw("data"))? })),
            other => Err((ErrorCode::UnknownType, format!("type {other:?} is not known"))),
        };
        match frame {
            Ok(frame) => Ok(ReceivedClientFrame { frame, request_id }),
            Err((code, reason)) => refuse(code, request_id, reason),
        }
    }
}

impl Body<'_> {
    fn encode(&self) -> String {
        // Infallible: strings, a bool and text that is JSON already, into memory.
        serde_json::to_string(self).expect("a frame of strings and JSON text serializes")
    }
}

type Refusal = (ErrorCode, String);

fn checked_channel(fields: &Fields<'_, 6>) -> Result<String, Refusal> {
    let channel = fields
        .text("channel")
        .ok_or_else(|| (ErrorCode::InvalidChannel, "no channel".to_owned()))?;
    match validate_channel(&channel) {
        Ok(()) => Ok(channel.into_owned()),
        Err(error) => Err((ErrorCode::from(error.code()), error.to_string())),
    }
}

fn checked_peer(fields: &Fields<'_, 6>) -> Result<String, Refusal> {
    let to =
        fields.text("to").ok_or_else(|| (ErrorCode::InvalidPeerId, "no addressee".to_owned()))?;
    match validate_peer_id(&to) {
        Ok(()) => Ok(to.into_owned()),
        Err(error) => Err((ErrorCode::InvalidPeerId, error.to_string())),
    }
}

fn present_data(raw: Option<&RawValue>) -> Result<Json, Refusal> {
    raw.map(Json::from).ok_or_else(|| (ErrorCode::MissingData, "no data".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(channel: &str, data: &str) -> ClientFrame {
        ClientFrame::Publish {
            channel: channel.into(),
            data: Json::parse(data).expect("test data is JSON"),
        }
    }

    #[test]
    fn what_is_built_is_what_the_server_reads() {
        let frames = [
            ClientFrame::Subscribe { channel: "a".into(), include_sender_metadata: true },
            ClientFrame::Subscribe { channel: "a".into(), include_sender_metadata: false },
            ClientFrame::Unsubscribe { channel: "a".into() },
            publish("a", "null"),
            ClientFrame::Send { to: "b".into(), data: Json::null() },
            ClientFrame::Ping,
        ];
        for frame in frames {
            let text = frame.encode(Some("id"), 1000).unwrap();
            let read = ClientFrame::decode(&text).unwrap();
            assert_eq!(read, ReceivedClientFrame { frame, request_id: Some("id".into()) });
        }
    }

    #[test]
    fn a_ping_is_sent_as_the_official_sdks_send_it() {
        assert_eq!(ClientFrame::Ping.encode(None, 100).unwrap(), r#"{"type":"ping"}"#);
    }

    #[test]
    fn the_whole_frame_counts_against_the_cap() {
        let text = publish("a", "\"xx\"").encode(None, usize::MAX).unwrap();
        assert!(publish("a", "\"xx\"").encode(None, text.len()).is_ok());
        assert_eq!(
            publish("a", "\"xx\"").encode(None, text.len() - 1),
            Err(BuildError::Oversized { size: 4, frame: text.len(), cap: text.len() - 1 })
        );
    }

    #[test]
    fn the_server_names_what_is_wrong() {
        let cases = [
            ("nonsense", "malformed_message", None),
            ("[]", "malformed_message", None),
            ("{}", "malformed_message", None),
            (r#"{"type":"dance","requestId":"1"}"#, "unknown_type", Some("1")),
            (r#"{"type":"subscribe","requestId":"1"}"#, "invalid_channel", Some("1")),
            (r#"{"type":"subscribe","channel":"_system/x"}"#, "channel_reserved", None),
            (r#"{"type":"publish","channel":"a"}"#, "missing_data", None),
            (r#"{"type":"send","to":"","data":1}"#, "invalid_peer_id", None),
            (r#"{"type":"ping","requestId":""}"#, "malformed_message", None),
        ];
        for (text, code, id) in cases {
            let error = ClientFrame::decode(text).unwrap_err();
            assert_eq!((error.code.as_str(), error.request_id.as_deref()), (code, id), "{text}");
        }
    }
}
