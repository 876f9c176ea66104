//! Events in the JavaScript SDK's names and payloads.

use metered_realtime::signalling::Event;
use serde_json::{Value, json};

/// The event's name and payload in the contract; `None` for what the contract does not have.
pub(crate) fn source_event(event: &Event) -> Option<(&'static str, Value)> {
    match event {
        // A subscription that could not be replayed is a refusal of the server, most of the time.
        Event::ResubscribeFailed { .. } => Some(("server-error", payload(event))),
        event => Some((event.name(), payload(event))),
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
