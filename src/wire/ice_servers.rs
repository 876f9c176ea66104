//! The ICE servers that a welcome's metadata carries.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Json;
use super::fields::Fields;

/// Servers that one list may have; the rest is dropped.
///
/// ```
/// use metered_realtime::wire::{Json, MAX_ICE_SERVERS, ice_servers};
/// let many = vec![serde_json::json!({ "urls": "stun:example.org" }); MAX_ICE_SERVERS + 4];
/// let metadata = Json::from_serialize(&serde_json::json!({ "iceServers": many }))?;
/// let (servers, dropped) = ice_servers(Some(&metadata));
/// assert_eq!((servers.unwrap().len(), dropped), (MAX_ICE_SERVERS, 4));
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
pub const MAX_ICE_SERVERS: usize = 16;
const MAX_URL_BYTES: usize = 512;
const MAX_SECRET_BYTES: usize = 1_024;
const SCHEMES: [&str; 4] = ["stun:", "stuns:", "turn:", "turns:"];

/// One or several URLs, written as they came.
///
/// ```
/// use metered_realtime::wire::IceUrls;
/// let one: IceUrls = serde_json::from_str(r#""stun:example.org""#)?;
/// let many: IceUrls = serde_json::from_str(r#"["turn:example.org","turns:example.org"]"#)?;
/// assert_eq!((one.as_slice().len(), many.as_slice().len()), (1, 2));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IceUrls {
    /// `"urls": "stun:…"`.
    One(String),
    /// `"urls": ["turn:…", "turns:…"]`.
    Many(Vec<String>),
}

impl IceUrls {
    /// All of them.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(url) => std::slice::from_ref(url),
            Self::Many(urls) => urls,
        }
    }
}

/// A STUN or TURN server, as `RTCIceServer` (W3C WebRTC section 4.2.4).
///
/// ```
/// use metered_realtime::wire::IceServer;
/// let server: IceServer = serde_json::from_str(
///     r#"{"urls":"turns:example.org:443?transport=tcp","username":"u","credential":"hidden"}"#,
/// )?;
/// assert_eq!(server.username.as_deref(), Some("u"));
/// assert!(!format!("{server:?}").contains("hidden"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:`, `stuns:`, `turn:` or `turns:` URLs (RFC 7064, RFC 7065).
    pub urls: IceUrls,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN. A secret: `Debug` does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

impl IceServer {
    fn is_sound(&self) -> bool {
        let urls = self.urls.as_slice();
        let short = |secret: &Option<String>| {
            secret.as_ref().is_none_or(|text| text.len() <= MAX_SECRET_BYTES)
        };
        !urls.is_empty()
            && urls.len() <= MAX_ICE_SERVERS
            && urls.iter().all(|url| {
                url.len() <= MAX_URL_BYTES && SCHEMES.iter().any(|scheme| url.starts_with(scheme))
            })
            && short(&self.username)
            && short(&self.credential)
    }
}

/// The sound entries of `metadata.iceServers`, and how many entries were dropped. `None` if the metadata
/// has no such array: a list that was known before stays valid then.
///
/// ```
/// use metered_realtime::wire::{Json, ice_servers};
/// let metadata = Json::parse(r#"{"iceServers":[{"urls":"stun:example.org"},{"urls":"http://x"}]}"#)?;
/// let (servers, dropped) = ice_servers(Some(&metadata));
/// assert_eq!((servers.unwrap().len(), dropped), (1, 1));
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
pub fn ice_servers(metadata: Option<&Json>) -> (Option<Vec<IceServer>>, u32) {
    const NAMES: [&str; 1] = ["iceServers"];
    let Some(list) = metadata
        .and_then(|metadata| Fields::read(metadata.as_str(), &NAMES).ok())
        .and_then(|fields| fields.raw("iceServers"))
    else {
        return (None, 0);
    };
    let Ok(entries) = serde_json::from_str::<Vec<&RawValue>>(list.get()) else {
        return (None, 1);
    };
    let all = entries.len();
    let sound: Vec<IceServer> = entries
        .into_iter()
        .filter_map(|entry| serde_json::from_str::<IceServer>(entry.get()).ok())
        .filter(IceServer::is_sound)
        .take(MAX_ICE_SERVERS)
        .collect();
    let dropped = u32::try_from(all - sound.len()).unwrap_or(u32::MAX);
    (Some(sound), dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Vec<IceServer>>, u32) {
        ice_servers(Some(&Json::parse(text).unwrap()))
    }

    #[test]
    fn the_rest_of_a_list_survives_a_bad_entry() {
        let (servers, dropped) = read(
            r#"{"iceServers":[{"urls":["turn:a","turns:a"],"username":"u","credential":"c"},7,{"urls":[]}]}"#,
        );
        assert_eq!(servers.unwrap().len(), 1);
        assert_eq!(dropped, 2);
    }

    #[test]
    fn no_list_is_not_an_empty_list() {
        assert_eq!(read("{}"), (None, 0));
        assert_eq!(read(r#"{"iceServers":[]}"#), (Some(vec![]), 0));
        assert_eq!(read(r#"{"iceServers":1}"#), (None, 1));
    }

    #[test]
    fn a_password_is_not_shown() {
        let (servers, _) =
            read(r#"{"iceServers":[{"urls":"turn:a","username":"u","credential":"hidden"}]}"#);
        assert!(!format!("{servers:?}").contains("hidden"));
    }
}
