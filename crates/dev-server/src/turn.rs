//! ICE servers for a welcome, with static or time-limited credentials.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::config::TurnConfig;

/// A URL as an error may show it.
pub(crate) fn without_user(url: &str) -> String {
    match (url.split_once(':'), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((before, host))) if before.len() > scheme.len() => {
            format!("{scheme}:…@{host}")
        }
        (_, Some((_, host))) => format!("…@{host}"),
        (_, None) => url.to_owned(),
    }
}

/// Whether a URL names a STUN or TURN server at all. Whether it can be used is for clients to find out: a server
/// that hands an odd one out is good to see what they make of it.
pub(crate) fn may_be_a_servers(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, rest)| {
        ["stun", "stuns", "turn", "turns"].contains(&scheme)
            && !rest.starts_with(['/', ':', '?'])
            && !rest.is_empty()
    })
}

/// The `iceServers` array for a peer at `now` (seconds since 1970).
///
/// With a shared secret, as coturn's `use-auth-secret` expects: the user is `end:peer`, the password the
/// base64 of HMAC-SHA1 over it.
pub(crate) fn ice_servers(turn: &TurnConfig, peer_id: &str, now: u64) -> Value {
    let mut server = json!({ "urls": turn.urls });
    match &turn.shared_secret {
        Some(secret) => {
            let username = format!("{}:{peer_id}", now + turn.ttl_seconds);
            // Infallible: HMAC takes keys of every length.
            let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes())
                .expect("HMAC takes keys of every length");
            mac.update(username.as_bytes());
            server["credential"] = STANDARD.encode(mac.finalize().into_bytes()).into();
            server["username"] = username.into();
        }
        None => {
            if let Some(username) = &turn.username {
                server["username"] = username.as_str().into();
            }
            if let Some(credential) = &turn.credential {
                server["credential"] = credential.as_str().into();
            }
        }
    }
    Value::Array(vec![server])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_of_a_url_is_shown() {
        for (url, shown) in [
            ("foo:bar", "foo:bar"),
            ("http://user:secret@a", "http:…@a"),
            ("user:secret@a:3478", "user:…@a:3478"),
            ("secret@a:3478", "…@a:3478"),
        ] {
            assert_eq!(without_user(url), shown);
        }
    }

    #[test]
    fn a_url_of_another_kind_is_told() {
        for url in ["stun:a", "stuns:a", "turn:a:1?transport=tcp", "turns:[::1]", "turn:u:p@a"] {
            assert!(may_be_a_servers(url), "{url}");
        }
        for url in
            ["", "a", "a:3478", "foo:bar", "turn", "turn:", "turn://a", "turn:?a", "https://a"]
        {
            assert!(!may_be_a_servers(url), "{url}");
        }
    }

    #[test]
    fn a_shared_secret_makes_what_coturn_expects() {
        let turn = TurnConfig {
            urls: vec!["turn:a".into()],
            shared_secret: Some("north".into()),
            ttl_seconds: 3_600,
            ..TurnConfig::default()
        };
        let servers = ice_servers(&turn, "alice", 1_000_000);
        assert_eq!(servers[0]["username"], "1003600:alice");
        // printf 1003600:alice | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(servers[0]["credential"], "udLEuyyDOwk3mLEbdxPxYtNXKVA=");
    }

    #[test]
    fn static_credentials_are_passed_on() {
        let turn = TurnConfig {
            urls: vec!["stun:a".into()],
            username: Some("u".into()),
            credential: Some("c".into()),
            ..TurnConfig::default()
        };
        let expected = json!([{ "urls": ["stun:a"], "username": "u", "credential": "c" }]);
        assert_eq!(ice_servers(&turn, "x", 0), expected);
    }
}
