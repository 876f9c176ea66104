//! Who may connect, and what a connection may do.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use metered_realtime::wire::{
    ChannelPattern, CloseCode, MAX_METADATA_BYTES, MAX_PEER_METADATA_BYTES, MAX_TOKEN_CHANNELS,
    MAX_TOKEN_PERMISSIONS, validate_peer_id,
};
use serde_json::{Map, Value};

use crate::config::{Action, Config, SecretConfig};

/// A connection's rights.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rights {
    key: Vec<ChannelPattern>,
    /// `None`: all that the key allows.
    claim: Option<Vec<ChannelPattern>>,
    actions: Vec<Action>,
}

impl Rights {
    pub(crate) fn new(key: &[String], claim: Option<&[String]>, actions: Vec<Action>) -> Self {
        let parse = |list: &[String]| list.iter().map(|text| ChannelPattern::parse(text)).collect();
        Self { key: parse(key), claim: claim.map(parse), actions }
    }

    pub(crate) fn covers(&self, channel: &str) -> bool {
        let any = |patterns: &[ChannelPattern]| patterns.iter().any(|p| p.matches(channel));
        any(&self.key) && self.claim.as_deref().is_none_or(any)
    }

    pub(crate) fn may(&self, action: Action) -> bool {
        self.actions.contains(&action)
    }
}

/// Who connects.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) peer_id: String,
    pub(crate) rights: Rights,
    /// Seconds since 1970.
    pub(crate) expires_at: Option<f64>,
    pub(crate) metadata: Option<Map<String, Value>>,
    pub(crate) peer_metadata: Option<Map<String, Value>>,
    pub(crate) inject_turn: bool,
}

/// Why not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// Before the upgrade.
    Http { status: u16, code: &'static str, message: &'static str },
    /// Right after it.
    Close { code: CloseCode, reason: &'static str },
}

const fn invalid_token(message: &'static str) -> Rejection {
    Rejection::Http { status: 401, code: "invalid_token", message }
}

/// Judges a request by its query and `Origin`.
pub(crate) fn authenticate(
    config: &Config,
    query: &[(String, String)],
    origin: Option<&str>,
    now: f64,
) -> Result<Identity, Rejection> {
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
    match (value("token"), value("key")) {
        (Some(token), None) => by_token(config, token, now),
        (None, Some(key)) => by_key(config, key, origin),
        _ => Err(Rejection::Http {
            status: 401,
            code: "unauthorized",
            message: "exactly one of token and key is required",
        }),
    }
}

fn by_key(config: &Config, id: &str, origin: Option<&str>) -> Result<Identity, Rejection> {
    let Some(key) = config.keys.iter().find(|key| key.id == id) else {
        let reason = "unknown key";
        return Err(Rejection::Close { code: CloseCode::INVALID_TOKEN, reason });
    };
    let allowed = &key.allowed_origins;
    if let Some(origin) = origin
        && !allowed.is_empty()
        && !allowed.iter().any(|known| known == origin)
    {
        let message = "the key does not allow this origin";
        return Err(Rejection::Http { status: 401, code: "origin_not_allowed", message });
    }
    Ok(Identity {
        peer_id: random_id(),
        rights: Rights::new(&key.channels, None, key.actions.clone()),
        expires_at: None,
        metadata: None,
        peer_metadata: None,
        inject_turn: key.inject_turn,
    })
}

fn by_token(config: &Config, token: &str, now: f64) -> Result<Identity, Rejection> {
    let header = decode_header(token).map_err(|_| invalid_token("the token is malformed"))?;
    if header.alg != Algorithm::HS256 {
        return Err(invalid_token("alg must be HS256"));
    }
    let kid = header.kid.ok_or(invalid_token("the header has no kid"))?;
    let refused = |reason| Rejection::Close { code: CloseCode::INVALID_TOKEN, reason };
    let key: &SecretConfig =
        config.secrets.iter().find(|key| key.id == kid).ok_or(refused("unknown key"))?;
    let mut validation = Validation::new(Algorithm::HS256);
    // The end is judged below, to the millisecond and with a close code of its own.
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    validation.validate_aud = false;
    let decoding = DecodingKey::from_secret(key.secret.as_bytes());
    let claims: Map<String, Value> = decode(token, &decoding, &validation)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => refused("bad signature"),
            _ => invalid_token("the token is malformed"),
        })?
        .claims;
    identity(key, &claims, now)
}

fn identity(
    key: &SecretConfig,
    claims: &Map<String, Value>,
    now: f64,
) -> Result<Identity, Rejection> {
    let sub = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    if validate_peer_id(sub).is_err() {
        return Err(invalid_token("sub must be 1 to 128 printable ASCII characters"));
    }
    let Some(expires_at) = claims.get("exp").and_then(Value::as_f64) else {
        return Err(invalid_token("exp is required"));
    };
    let channels = strings(claims, "channels", MAX_TOKEN_CHANNELS)?;
    let permissions = strings(claims, "permissions", MAX_TOKEN_PERMISSIONS)?;
    let metadata = object(claims, "metadata", MAX_METADATA_BYTES)?;
    let peer_metadata = object(claims, "peerMetadata", MAX_PEER_METADATA_BYTES)?;
    if expires_at <= now {
        let reason = "token expired";
        return Err(Rejection::Close { code: CloseCode::TOKEN_EXPIRED, reason });
    }
    let allowed = Rights::new(&key.channels, None, Vec::new());
    if !channels.iter().flatten().all(|channel| allowed.covers(channel)) {
        let reason = "channels outside the key's patterns";
        return Err(Rejection::Close { code: CloseCode::CHANNEL_NOT_AUTHORIZED, reason });
    }
    let actions = match permissions {
        None => key.actions.clone(),
        Some(names) => names
            .iter()
            .filter_map(|name| Action::parse(name))
            .filter(|action| key.actions.contains(action))
            .collect(),
    };
    Ok(Identity {
        peer_id: sub.to_owned(),
        rights: Rights::new(&key.channels, channels.as_deref(), actions),
        expires_at: Some(expires_at),
        metadata,
        peer_metadata,
        inject_turn: key.inject_turn,
    })
}

fn strings(
    claims: &Map<String, Value>,
    name: &str,
    cap: usize,
) -> Result<Option<Vec<String>>, Rejection> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let list = value
        .as_array()
        .filter(|list| list.len() <= cap)
        .ok_or(invalid_token("channels and permissions are arrays of at most 100 and 16"))?;
    list.iter()
        .map(|entry| entry.as_str().map(str::to_owned))
        .collect::<Option<Vec<_>>>()
        .map(Some)
        .ok_or(invalid_token("channels and permissions hold strings"))
}

fn object(
    claims: &Map<String, Value>,
    name: &str,
    cap: usize,
) -> Result<Option<Map<String, Value>>, Rejection> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Object(object)) if claims[name].to_string().len() <= cap => {
            Ok(Some(object.clone()))
        }
        Some(_) => Err(invalid_token("metadata and peerMetadata are objects of 8 and 4 KiB")),
    }
}

/// Finds the secret key of a REST request's `Authorization: Bearer id:secret`.
pub(crate) fn by_bearer<'a>(config: &'a Config, header: Option<&str>) -> Option<&'a SecretConfig> {
    let (id, secret) = header?.strip_prefix("Bearer ")?.split_once(':')?;
    config.secrets.iter().find(|key| key.id == id && key.secret == secret)
}

/// A random id in the shape of a UUID, version 4.
fn random_id() -> String {
    let mut bytes: [u8; 16] = std::array::from_fn(|_| fastrand::u8(..));
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEV_API_KEY, DEV_SECRET, DEV_SECRET_ID, KeyConfig};
    use crate::token::TokenClaims;
    use std::time::Duration;

    const NOW: f64 = 1_000_000.0;

    fn query(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.into(), value.into())]
    }

    fn judge(claims: &TokenClaims) -> Result<Identity, Rejection> {
        let token = claims.mint(DEV_SECRET_ID, DEV_SECRET).unwrap();
        authenticate(&Config::default(), &query("token", &token), None, NOW)
    }

    fn close(result: Result<Identity, Rejection>) -> u16 {
        match result {
            Err(Rejection::Close { code, .. }) => code.get(),
            other => panic!("{other:?}"),
        }
    }

    fn http(result: Result<Identity, Rejection>) -> &'static str {
        match result {
            Err(Rejection::Http { status: 401, code, .. }) => code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tokens_are_refused_where_the_service_refuses_them() {
        let good = TokenClaims::new("alice");
        assert_eq!(judge(&good).unwrap().peer_id, "alice");
        let with = |change: &dyn Fn(&mut TokenClaims)| {
            let mut claims = good.clone();
            change(&mut claims);
            judge(&claims)
        };
        assert_eq!(http(with(&|c| c.sub = Some(7.into()))), "invalid_token");
        assert_eq!(http(with(&|c| c.sub = None)), "invalid_token");
        assert_eq!(http(with(&|c| c.exp = None)), "invalid_token");
        assert_eq!(http(with(&|c| c.channels = Some(vec!["x".into(); 101]))), "invalid_token");
        assert_eq!(http(with(&|c| c.permissions = Some(vec!["x".into(); 17]))), "invalid_token");
        let large = serde_json::json!({ "x": "y".repeat(4_096) });
        assert_eq!(http(with(&|c| c.peer_metadata = Some(large.clone()))), "invalid_token");
        assert!(with(&|c| c.metadata = Some(large.clone())).is_ok());
        assert_eq!(close(with(&|c| c.exp = Some(1.into()))), 4002);
        let config = Config::default();
        let foreign = good.mint(DEV_SECRET_ID, "other").unwrap();
        assert_eq!(close(authenticate(&config, &query("token", &foreign), None, NOW)), 4001);
        let unknown = good.mint("sk_id_other", DEV_SECRET).unwrap();
        assert_eq!(close(authenticate(&config, &query("token", &unknown), None, NOW)), 4001);
        assert_eq!(
            http(authenticate(&config, &query("token", "x.y.z"), None, NOW)),
            "invalid_token"
        );
        assert_eq!(http(authenticate(&config, &[], None, NOW)), "unauthorized");
        let lasting = good.lasting(Duration::from_millis(1_500));
        assert!(lasting.exp.unwrap().is_number());
    }

    #[test]
    fn a_claim_outside_the_keys_patterns_is_refused() {
        let secret = SecretConfig { channels: vec!["app/*".into()], ..SecretConfig::default() };
        let config = Config { secrets: vec![secret], ..Config::default() };
        let judge = |channel: &str| {
            let mut claims = TokenClaims::new("a");
            claims.channels = Some(vec![channel.into()]);
            let token = claims.mint(DEV_SECRET_ID, DEV_SECRET).unwrap();
            authenticate(&config, &query("token", &token), None, NOW)
        };
        assert_eq!(close(judge("other")), 4003);
        let rights = judge("app/room-*").unwrap().rights;
        assert!(rights.covers("app/room-1") && !rights.covers("app/hall"));
    }

    #[test]
    fn a_keys_origins_bind_those_that_send_one() {
        let key = KeyConfig { allowed_origins: vec!["https://a".into()], ..KeyConfig::default() };
        let config = Config { keys: vec![key], ..Config::default() };
        let judge =
            |origin| authenticate(&config, &query("key", DEV_API_KEY), origin, NOW).map(|_| ());
        assert!(judge(Some("https://a")).is_ok());
        assert!(judge(None).is_ok());
        assert!(matches!(judge(Some("https://b")), Err(Rejection::Http { .. })));
        assert_eq!(close(authenticate(&config, &query("key", "pk_x"), None, NOW)), 4001);
    }
}
