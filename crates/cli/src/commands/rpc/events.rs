//! Events in the JavaScript SDK's names and payloads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use metered_realtime::diagnosis::Diagnosis;
use metered_realtime::peer::{
    ChannelMessage, DataChannelEvent, PeerEvent, RemoteEvent, RemotePeer,
};
use metered_realtime::signalling::Event;
use serde_json::{Value, json};

use super::sources::SourceEvent;
use crate::media::record::{RecordEvent, Recorded, Told};
use crate::media::{Named, not_taken};

/// The event's name and payload in the contract.
pub(crate) fn source_event(event: &Event) -> (&'static str, Value) {
    match event {
        // A subscription that could not be replayed is a refusal of the server, most of the time.
        Event::ResubscribeFailed { .. } => ("server-error", payload(event)),
        event => (event.name(), payload(event)),
    }
}

/// An event's source, name and payload.
pub(super) fn described(event: &SourceEvent) -> (String, &'static str, Value) {
    match event {
        SourceEvent::Signalling(event) => {
            let (kind, payload) = source_event(event);
            ("signalling".to_owned(), kind, payload)
        }
        SourceEvent::Peer(event) => ("peer".to_owned(), event.name(), of_peer(event)),
        SourceEvent::Remote(id, event) => (format!("remote:{id}"), event.name(), of_remote(event)),
        SourceEvent::Channel(id, event) => {
            let (kind, payload) = of_channel(event);
            (format!("channel:{id}"), kind, payload)
        }
        SourceEvent::Recording(event) => {
            let (kind, payload) = of_recording(event);
            (format!("track:{}", event.track_id), kind, payload)
        }
        SourceEvent::Track(id, kind, told) => (format!("track:{id}"), *kind, told.clone()),
    }
}

/// A remote as the events show it: without its state, which is another by now.
fn identity(remote: &RemotePeer) -> Value {
    match remote.metadata() {
        Some(metadata) => json!({ "id": remote.id(), "metadata": metadata }),
        None => json!({ "id": remote.id() }),
    }
}

fn error(name: &str, code: &str, message: &str, diagnosis: &Diagnosis) -> Value {
    let (cause, fix) = (&diagnosis.cause, &diagnosis.fix);
    json!({ "name": name, "code": code, "message": message, "cause": cause, "fix": fix })
}

fn of_peer(event: &PeerEvent) -> Value {
    match event {
        PeerEvent::Joined { peer_id, channel } => json!({ "peerId": peer_id, "channel": channel }),
        PeerEvent::Left { reason } => json!({ "reason": reason }),
        PeerEvent::StateChange { from, to } => json!({ "from": from, "to": to }),
        PeerEvent::PeerJoined(remote) | PeerEvent::PeerLeft(remote) => {
            json!({ "peer": identity(remote) })
        }
        PeerEvent::Data(data) => json!(**data),
        PeerEvent::Error(failed) => {
            let name = &failed.name;
            json!({ "error": error(name, name, &failed.message, &failed.diagnosis) })
        }
        PeerEvent::Lagged { missed } => json!({ "missed": missed }),
        _ => Value::Null,
    }
}

fn of_remote(event: &RemoteEvent) -> Value {
    match event {
        RemoteEvent::StateChange { from, to } => json!({ "from": from, "to": to }),
        RemoteEvent::NegotiationError(failed) => json!({
            "error": error(failed.name, &failed.code, &failed.message, &failed.diagnosis)
        }),
        RemoteEvent::IceCandidateError(failed) => {
            let mut shown =
                error("IceCandidateError", failed.code, &failed.reason, &failed.diagnosis);
            shown["url"] = failed.url.as_str().into();
            shown["errorCode"] = failed.error_code.into();
            json!({ "error": shown })
        }
        RemoteEvent::Track(track) => {
            let mut shown = json!({
                "trackId": track.track_id,
                "kind": track.kind,
                "codec": track.codec,
                "streamIds": track.stream_ids,
            });
            if let Some(metadata) = &track.metadata {
                shown["metadata"] = json!(metadata);
            }
            shown
        }
        RemoteEvent::DataChannel(channel) => json!({
            "channelId": channel.id(),
            "label": channel.label(),
            "protocol": channel.protocol(),
            "ordered": channel.ordered(),
        }),
        RemoteEvent::StreamAdded { stream_id, metadata } => match metadata {
            Some(metadata) => json!({ "streamId": stream_id, "metadata": metadata }),
            None => json!({ "streamId": stream_id }),
        },
        RemoteEvent::TrackRemoved { track_id } => json!({ "trackId": track_id }),
        RemoteEvent::StreamRemoved { stream_id } => json!({ "streamId": stream_id }),
        RemoteEvent::Lagged { missed } => json!({ "missed": missed }),
        _ => json!({}),
    }
}

/// Of a track of ours and a remote.
pub(super) fn codec_not_supported(peer_id: &str, codec: &str) -> Value {
    let (message, diagnosis) = not_taken(codec, Named::Parameters);
    let error = error("CodecNotSupportedError", "codec_not_supported", &message, &diagnosis);
    json!({ "peerId": peer_id, "codec": codec, "error": error })
}

fn of_recording(event: &RecordEvent) -> (&'static str, Value) {
    let peer_id = &*event.peer_id;
    match &event.told {
        Told::Begun(file) => {
            ("recording", json!({ "peerId": peer_id, "file": file.to_string_lossy() }))
        }
        Told::Finished(Recorded { file, frames, bytes }) => {
            let file = file.to_string_lossy();
            (
                "recorded",
                json!({ "peerId": peer_id, "file": file, "frames": frames, "bytes": bytes }),
            )
        }
        Told::Failed { error: failed, .. } => {
            let (code, message) = (failed.code(), failed.to_string());
            let error = error("RecordError", code, &message, &failed.diagnosis());
            ("record-failed", json!({ "peerId": peer_id, "error": error }))
        }
    }
}

fn of_channel(event: &DataChannelEvent) -> (&'static str, Value) {
    match event {
        DataChannelEvent::Open => ("open", json!({})),
        DataChannelEvent::Message(ChannelMessage::Text(text)) => {
            ("message", json!({ "text": text }))
        }
        DataChannelEvent::Message(ChannelMessage::Binary(bytes)) => {
            ("message", json!({ "base64": BASE64.encode(bytes) }))
        }
        DataChannelEvent::BufferedAmountLow => ("bufferedamountlow", json!({})),
        DataChannelEvent::Error => ("error", json!({})),
        DataChannelEvent::Close => ("close", json!({})),
        DataChannelEvent::Lagged { missed } => ("lagged", json!({ "missed": missed })),
        _ => ("unknown", Value::Null),
    }
}

pub(crate) fn payload(event: &Event) -> Value {
    match event {
        Event::Connected(connected) => json!(**connected),
        Event::Disconnected(lost) => json!({
            "code": lost.code.get(),
            "reason": lost.reason,
            "willReconnect": lost.will_reconnect,
        }),
        Event::StateChange { from, to } => json!({ "from": from, "to": to }),
        Event::Message(message) => json!(**message),
        Event::Direct(direct) => json!(**direct),
        Event::Presence { presence, .. } => json!(**presence),
        Event::ServerError(error) => json!(**error),
        Event::GoingAway { retry_after_ms } => json!({ "retryAfterMs": retry_after_ms }),
        Event::TokenProviderError { consecutive_failures, error } => json!({
            "consecutiveFailures": consecutive_failures,
            "err": { "name": "TokenProviderError", "message": error.to_string() },
        }),
        Event::ResubscribeFailed { channel, error } => json!({
            "code": error.code(),
            "message": format!("{channel} could not be subscribed again: {error}"),
        }),
        Event::Lagged { missed } => json!({ "missed": missed }),
        _ => Value::Null,
    }
}
