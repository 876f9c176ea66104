//! What an error frame's code means to the person who sees it.

use super::Diagnosis;

/// Cause and fix of a refused request, by the server's code.
///
/// ```
/// let diagnosis = metered_realtime::diagnosis::of_server_error("action_not_permitted");
/// assert!(diagnosis.fix.contains("send"));
/// ```
pub fn of_server_error(code: &str) -> Diagnosis {
    let (cause, fix) = match code {
        "malformed_message" | "unknown_type" | "missing_data" => (
            "The server did not understand a frame of this client.",
            "Update the SDK; if it is the newest, report the code and the call that led to it.",
        ),
        "invalid_channel" => (
            "The channel's name is empty, longer than 256 bytes, or holds control characters.",
            "Use a shorter name of printable characters.",
        ),
        "invalid_peer_id" => (
            "The addressee's id is empty, longer than 128 bytes, or not printable ASCII.",
            "Use the id as presence or a message gave it.",
        ),
        "channel_not_authorized" => (
            "The channel lies outside the channel patterns of the key, or outside the token's channels claim.",
            "Add a pattern that covers it to the key in the dashboard, or to the claim. In a pattern * stops at a slash and ** does not.",
        ),
        "channel_reserved" => (
            "Channels that begin with _metered/, _internal/ or _system/ belong to the service.",
            "Choose another prefix.",
        ),
        "channel_limit_exceeded" => (
            "This connection holds its 100 subscriptions.",
            "Unsubscribe from channels that are not shown, or carry several topics on one channel.",
        ),
        "peer_not_found" => (
            "The addressee is not connected: it left, or a key's peer came back under a new id.",
            "Take addressees from the latest presence. A publishable key gives a new id at each connect; a token's sub is stable.",
        ),
        "action_not_permitted" => (
            "The key, or the token's permissions claim, lacks the action: publish, subscribe, presence or send. Publishable keys come with send switched off, and WebRTC needs it.",
            "Tick the action on the key in the dashboard (for calls: send), or add it to the token's permissions.",
        ),
        "over_message_quota" => (
            "The plan's messages of this period are used up. Receiving goes on, publish and send do not.",
            "Enable overage, take a larger plan, or wait for the next period.",
        ),
        "backend_error" | "internal_error" => (
            "The server met a fault of its own.",
            "Try again after a short pause. If it lasts, look at the service's status page.",
        ),
        _ => (
            "The server refused the request with a code that this version does not know.",
            "Update the SDK; the code itself usually names the matter.",
        ),
    };
    Diagnosis::new(cause, fix)
}
