//! What a close code means to the person who sees it.

use super::Diagnosis;

/// Cause and fix of a connection's end, by its close code.
///
/// ```
/// let diagnosis = metered_realtime::diagnosis::of_close_code(4012);
/// assert!(diagnosis.cause.contains("suspended"));
/// ```
pub fn of_close_code(code: u16) -> Diagnosis {
    let (cause, fix) = match code {
        1000 => (
            "The server ended the connection in the ordinary way.",
            "Nothing, after a first connection: the client connects again by itself unless the app closed it. A first connect is not repeated: call it again.",
        ),
        1001 => (
            "The server is being restarted or deployed.",
            "Nothing, after a first connection: the client connects again after the pause that the server asked for. A first connect is not repeated: call it again.",
        ),
        1005 => (
            "The server ended the connection without giving a code.",
            "Nothing, after a first connection: the client connects again. A first connect is not repeated: call it again. If it repeats, look for a proxy between app and service.",
        ),
        1006 => (
            "The connection broke without a farewell: the network changed or failed, or something between app and service cut it.",
            "Nothing, after a first connection: the client connects again. Call network_changed when the platform reports a change, so that it does at once. A first connect is not repeated: call it again.",
        ),
        1008 => (
            "The server refused the connection's behaviour, without saying which; a client that reads too slowly is one reason.",
            "Read events promptly. If it repeats, report it to the service with the time at which it happened.",
        ),
        1009 => (
            "A frame was larger than its receiver accepts: 64 KiB towards the service, 1 MiB towards this client.",
            "Send less at once: split the data, or send a link to it. Files belong on a data channel.",
        ),
        1011..=1013 => (
            "The server met a fault of its own or is overloaded.",
            "Nothing, after a first connection: the client connects again. A first connect is not repeated: call it again after a pause. If it lasts, look at the service's status page.",
        ),
        4000 => (
            "Nothing was heard from the server for too long, so this client gave the connection up: the network is gone, or a device between swallows the data.",
            "Nothing, after a first connection: the client connects again. Call network_changed and entered_foreground when the platform reports them, so that it notices sooner.",
        ),
        4001 => (
            "The credential is not valid: a token with a wrong signature, or a key that does not exist or was revoked.",
            "For a key: copy it again from the dashboard (pk_live_…). For a token: sign it with the secret that belongs to its kid, HS256, unaltered.",
        ),
        4002 => (
            "The token's exp has come.",
            "Give the client a token provider that mints a new token at each call, instead of a fixed or cached one; keep the backend's clock right.",
        ),
        4003 => (
            "The token's channels claim is not within the channel patterns of the key that signed it.",
            "Widen the key's channel patterns in the dashboard, or mint the token with channels inside them.",
        ),
        4010 => (
            "All connections of the plan are in use. Clients that are never closed count until the server notices.",
            "Close clients that are no longer needed, enable overage or take a larger plan. After a first connection the client tries again after 30 s or more. A first connect is not repeated: call it again after that time.",
        ),
        4011 => (
            "This connection sent faster than the service allows: 100 messages a second, 200 at once.",
            "Leave pacing on (it is by default, 100 a second), or lower its rate.",
        ),
        4012 => (
            "The account is suspended, for billing or a breach of terms.",
            "Settle it in the dashboard; no client can connect before.",
        ),
        4020 => (
            "The app's backend removed this peer (DELETE /v1/peers/…).",
            "Nothing, if that was meant. To come back, connect anew with a fresh token.",
        ),
        _ => (
            "The server ended the connection with a code that this version does not know.",
            "Update the SDK; if it repeats, report the code to the service.",
        ),
    };
    Diagnosis::new(cause, fix)
}
