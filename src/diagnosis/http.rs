//! What a refusal of the WebSocket upgrade means to the person who sees it.

use super::Diagnosis;

/// Cause and fix of an upgrade that the server answered with an HTTP status instead, by the status and
/// the `error` of its JSON body.
///
/// ```
/// let diagnosis = metered_realtime::diagnosis::of_http_refusal(401, Some("origin_not_allowed"));
/// assert!(diagnosis.fix.contains("origin"));
/// ```
pub fn of_http_refusal(status: u16, code: Option<&str>) -> Diagnosis {
    let (cause, fix) = match (status, code) {
        (_, Some("origin_not_allowed")) => (
            "The key accepts connections from listed web origins only, and this one is not on its list.",
            "Add the app's origin to the key's allowed origins in the dashboard, or empty that list for a native app; set the client's origin option if the list must stay.",
        ),
        (401, Some("invalid_token")) => (
            "The server could not read the token: malformed, or its header has no kid.",
            "Mint it as HS256 with the sk_id as kid in the header; check that nothing cuts or encodes it on the way to the app.",
        ),
        (401 | 403, _) => (
            "The server, or a proxy before it, refused the credential.",
            "Check the key or token against the dashboard, and the URL: each belongs to one app of one account.",
        ),
        (404, _) => (
            "There is no such endpoint at this address.",
            "Check the url option: it is the service's base, without a path.",
        ),
        (407, _) => {
            ("A proxy asks for credentials.", "Set the proxy option with user and password.")
        }
        (426, _) => (
            "Something between app and service removed the WebSocket upgrade from the request.",
            "Let the proxy or firewall pass WebSocket connections to the service.",
        ),
        (429, _) => (
            "Too many connects from this address in a short time; many devices behind one address share the limit of 60 a minute.",
            "After a first connection the client waits as long as the server asks, or 10 s and more, and tries again. A first connect or join that fails so is not repeated: call it again after that time. Keep one client per app instead of one per screen.",
        ),
        (400..=499, _) => (
            "The server, or a proxy before it, refused the connection.",
            "Check the url option and what stands between app and service.",
        ),
        (500..=599, _) => (
            "The server, or a gateway before it, is failing.",
            "Nothing, after a first connection: the client tries again. A first connect or join is not repeated: call it again after a pause. If it lasts, look at the service's status page.",
        ),
        _ => (
            "What answered at this address is not the service: a portal that asks to sign in, or another server.",
            "Check the url option; on a public network, sign in to its portal first.",
        ),
    };
    Diagnosis::new(cause, fix)
}
