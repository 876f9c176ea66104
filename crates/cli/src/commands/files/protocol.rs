//! Messages of `metered-file-1`, and the channel that carries them.
//!
//! Nothing that the other side says is believed: every length has a bound, and its words never reach the
//! terminal but by way of [`crate::names`].

use std::fmt;

use bytes::Bytes;
use metered_realtime::peer::{
    ChannelMessage, DataChannel, DataChannelError, DataChannelEvent, DataChannelEvents,
};
use serde::{Deserialize, Serialize};

/// The subprotocol of the channel.
pub(super) const PROTOCOL: &str = "metered-file-1";
/// The label of the channel, for people who look at statistics.
pub(super) const LABEL: &str = "metered-file";

/// Bytes of a control message.
const MAX_CONTROL_BYTES: usize = 4_096;
/// Bytes of a name in an offer; what is kept of it is shorter.
const MAX_NAME_BYTES: usize = 1_024;
/// Digits of a transfer's id.
const MAX_TRANSFER_CHARS: usize = 64;
/// Hexadecimal digits of a SHA-256.
const HASH_CHARS: usize = 64;

/// What is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offer {
    /// Chosen by the sender at random; the same for every attempt.
    pub(super) transfer: String,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// A control message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Message {
    Offer(Offer),
    Accept { offset: u64, sha256: String },
    Refuse { code: Refusal },
    Start { offset: u64 },
    End,
    Done,
    Failed { code: Fault },
    Abort { code: Fault },
    Confirmed,
}

/// Why an offer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    /// It takes another file; ask again later.
    Busy,
    /// The file is larger than it takes.
    TooLarge,
    /// A reason that this version does not know.
    #[serde(other)]
    Refused,
}

impl Refusal {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a transfer is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    HashMismatch,
    Unwritable,
    FileChanged,
    ProtocolViolation,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What the other side did that it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("a message that is none of the protocol's")]
    Malformed,
    #[error("a message out of its turn")]
    OutOfTurn,
    #[error("more bytes than offered")]
    TooMuch,
    #[error("fewer bytes than offered")]
    TooLittle,
    #[error("it was silent for too long")]
    Silent,
}

/// What came.
#[derive(Debug)]
pub(super) enum Incoming {
    Message(Message),
    Bytes(Bytes),
    Closed,
}

/// A channel of ours; closed when it is dropped.
pub(super) struct Wire {
    channel: DataChannel,
    events: DataChannelEvents,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.channel.close();
    }
}

impl Wire {
    pub(super) fn new(channel: DataChannel) -> Self {
        let events = channel.events();
        Self { channel, events }
    }

    /// The channel for sending beside its events for listening.
    pub(super) fn split(&mut self) -> (&DataChannel, Listener<'_>) {
        (&self.channel, Listener(&mut self.events))
    }

    pub(super) async fn next(&mut self) -> Result<Incoming, Broken> {
        Listener(&mut self.events).next().await
    }

    pub(super) async fn say(&self, message: &Message) -> Result<(), DataChannelError> {
        say(&self.channel, message).await
    }
}

pub(super) async fn say(channel: &DataChannel, message: &Message) -> Result<(), DataChannelError> {
    // Strings and numbers are always JSON.
    let text = serde_json::to_string(message).unwrap_or_default();
    channel.send_text(text).await
}

/// What comes on a channel.
pub(super) struct Listener<'a>(&'a mut DataChannelEvents);

impl Listener<'_> {
    /// The next message. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Incoming, Broken> {
        loop {
            return match self.0.next().await {
                Some(DataChannelEvent::Message(ChannelMessage::Text(text))) => {
                    parse(&text).map(Incoming::Message)
                }
                Some(DataChannelEvent::Message(ChannelMessage::Binary(bytes))) => {
                    Ok(Incoming::Bytes(bytes))
                }
                // It sent more than its queue holds before anybody listened.
                Some(DataChannelEvent::Lagged { .. }) => Err(Broken::OutOfTurn),
                Some(DataChannelEvent::Close) | None => Ok(Incoming::Closed),
                Some(_) => continue,
            };
        }
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH_CHARS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn parse(text: &str) -> Result<Message, Broken> {
    if text.len() > MAX_CONTROL_BYTES {
        return Err(Broken::Malformed);
    }
    let message: Message = serde_json::from_str(text).map_err(|_| Broken::Malformed)?;
    let sound = match &message {
        Message::Offer(offer) => {
            let transfer = &offer.transfer;
            is_hash(&offer.sha256)
                && offer.name.len() <= MAX_NAME_BYTES
                && (1..=MAX_TRANSFER_CHARS).contains(&transfer.len())
                && transfer.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }
        Message::Accept { sha256, .. } => is_hash(sha256),
        _ => true,
    };
    if sound { Ok(message) } else { Err(Broken::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_what_the_documentation_says() {
        let hash = "a".repeat(64);
        let offer = format!(
            r#"{{"type":"offer","transfer":"t1","name":"a.txt","size":3,"sha256":"{hash}"}}"#
        );
        let parsed = parse(&offer).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), offer);
        assert_eq!(parse(r#"{"type":"end"}"#), Ok(Message::End));
        assert_eq!(
            parse(r#"{"type":"start","offset":7,"new":1}"#),
            Ok(Message::Start { offset: 7 })
        );
        let unknown = parse(r#"{"type":"refuse","code":"full_moon"}"#).unwrap();
        assert_eq!(unknown, Message::Refuse { code: Refusal::Refused });
    }

    #[test]
    fn what_is_not_the_protocol_is_refused() {
        let hash = "a".repeat(64);
        let offer = |transfer: &str, name: &str, size: &str, hash: &str| {
            let (transfer, name) = (Value::from(transfer), Value::from(name));
            format!(
                r#"{{"type":"offer","transfer":{transfer},"name":{name},"size":{size},"sha256":"{hash}"}}"#
            )
        };
        use serde_json::Value;
        for wrong in [
            String::new(),
            "[]".into(),
            r#"{"type":"rm -rf"}"#.into(),
            offer("", "n", "1", &hash),
            offer("../x", "n", "1", &hash),
            offer("t", &"n".repeat(1_025), "1", &hash),
            offer("t", "n", "-1", &hash),
            offer("t", "n", "1e99", &hash),
            offer("t", "n", "1", "ABC"),
            offer("t", "n", "1", &"A".repeat(64)),
            format!(r#"{{"type":"end","x":"{}"}}"#, "x".repeat(5_000)),
        ] {
            assert_eq!(parse(&wrong), Err(Broken::Malformed), "{wrong}");
        }
    }
}
