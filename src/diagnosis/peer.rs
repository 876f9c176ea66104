//! Why peers do not connect.

use super::Diagnosis;

/// What a failure of a STUN or TURN server means, by its stable code and the STUN error code (RFC 8656
/// section 18.1).
///
/// ```
/// use metered_realtime::diagnosis::of_ice_server_error;
/// assert!(of_ice_server_error("turn_unauthorized", 401).cause.contains("refused"));
/// ```
pub fn of_ice_server_error(code: &str, error_code: u16) -> Diagnosis {
    let (cause, fix) = match (code, error_code) {
        ("turn_unauthorized", _) => (
            "The TURN server refused the username and credential: wrong, or expired.",
            "Use the credentials of the last welcome or fetch new ones; do not keep them longer than they live. Check that both belong to this server.",
        ),
        ("turn_address_refused", _) => (
            "The TURN server does not relay to one of the remote's addresses: its rules forbid it, or it is of another family (IPv4, IPv6). Most relays refuse private addresses.",
            "Nothing, if the call connects: it goes by another address. If both sides are to meet at this relay, its rules must allow its own relayed addresses (coturn: allowed-peer-ip, denied-peer-ip).",
        ),
        ("turn_refused", 403) => (
            "The TURN server knows the credentials and refuses by its rules.",
            "Ask whoever runs it: an address, a quota or a plan may not be allowed.",
        ),
        ("turn_refused", 486) => (
            "The TURN server has no further allocation for this username.",
            "Close connections that are not needed, or raise the plan's limit.",
        ),
        ("turn_refused", _) => (
            "The TURN server answered with an error.",
            "Look at the STUN error code (RFC 8656 section 18): 437 and 442 point at the server's configuration, 508 at its capacity.",
        ),
        ("turn_unreachable", _) => (
            "No TCP connection to the TURN server could be made.",
            "Check host and port. If a firewall blocks it, offer turns: on port 443 as well, which almost every network lets through.",
        ),
        ("turn_tls", _) => (
            "The TLS handshake with the TURN server failed: an untrusted or expired certificate, or another host's.",
            "Give the server a certificate for the host in its URL from a public authority, or add your own authority to the TLS options.",
        ),
        ("turn_closed", _) => (
            "The TURN server closed its TCP or TLS connection.",
            "Look at the server's log; an idle timeout shorter than a minute breaks calls.",
        ),
        ("ice_server_unresolved", _) => (
            "The server's name was not found.",
            "Check the host in the URL, and whether the device has a working DNS.",
        ),
        ("ice_server_timeout", _) => (
            "The server did not answer: it is down, or UDP to it is blocked.",
            "Check host and port. If UDP is blocked, offer turn:…?transport=tcp and turns: on port 443 as well.",
        ),
        ("ice_probe_failed", _) => (
            "No address could be gathered, so the server was not asked: the device has no network, or refuses sockets.",
            "Check that the device is online, and the local addresses if they were given.",
        ),
        ("turn_credentials_missing", _) => (
            "A TURN URL came without username or credential, so it cannot be used.",
            "Give both with every turn: and turns: URL.",
        ),
        ("ice_url_unusable", _) => (
            "An ICE server's URL cannot be used.",
            "Write it as stun:host:port, turn:host:port?transport=udp, turn:host:port?transport=tcp or turns:host:port.",
        ),
        _ => ("A STUN or TURN server does not serve.", "Check its URL and its log."),
    };
    Diagnosis::new(cause, fix)
}

/// What a failure of the negotiation with a remote means, by its stable code.
///
/// ```
/// use metered_realtime::diagnosis::of_negotiation_error;
/// assert!(of_negotiation_error("no_turn_server").fix.contains("TURN"));
/// ```
pub fn of_negotiation_error(code: &str) -> Diagnosis {
    let (cause, fix) = match code {
        "ice_restart_exhausted" => (
            "No path to the remote was found within about two minutes: most often both are behind networks that let no direct path through, and no relay worked.",
            "Look at the ice-candidate-error events: they name each TURN server that failed. Without any TURN server, enable TURN for the key or pass iceServers. network_changed and the remote's own attempts try again.",
        ),
        "no_turn_server" => (
            "Only relayed connections are allowed (iceTransportPolicy relay), and there is no TURN server that can be used.",
            "Enable TURN for the key, pass iceServers with turn: or turns: URLs and credentials, or allow all candidates.",
        ),
        "connection_failed" => (
            "This device refused what a connection needs, most often a socket: localAddresses names an address that the device does not have now, the socket binder refused, or too many files are open. The message says which.",
            "Give addresses that the device has, or none for all of them. For tracks and durable channels it is tried again by itself for about two minutes, and when the network changes; a channel that could not be opened has to be opened again.",
        ),
        "handshake_timeout" => (
            "A path to the remote was found, but the keys of the connection were not agreed on within 20 s: the path loses large datagrams, or the remote's handshake failed.",
            "The connection is made anew by itself. If it repeats, look for a VPN or a firewall that drops UDP datagrams above a few hundred bytes, and try iceTransportPolicy relay with turns: on port 443.",
        ),
        "remote_without_addresses" => (
            "The remote agreed to connect, but within 5 s it named no address where it can be reached. Chromium does that now and then for as long as its connection lives, when two offers crossed while they met; a remote that may use relays only does it while no relay answers it.",
            "Let the remote leave the room and join again (reload the page). If it comes back each time, look at the remote's TURN servers and its iceTransportPolicy.",
        ),
        "remote_description_too_large" => (
            "The remote sent a description that is too large to be one.",
            "It is not a client that can be talked to; its message was dropped.",
        ),
        _ => (
            "A step of the negotiation failed; the connection is made anew by itself.",
            "If it repeats, report it with a trace log; credentials are never in it.",
        ),
    };
    Diagnosis::new(cause, fix)
}
