//! Looks into a token before it is sent: what the service would refuse is named here, with cause and fix.
//!
//! Decoding only: nobody but the service can check the signature. Reads no clock; the time is a parameter.

use serde_json::{Map, Value};

use crate::diagnosis::Diagnosis;
use crate::wire::{ChannelPattern, validate_peer_id};

/// An `exp` beyond this is in milliseconds: as seconds it would be the year 5138.
const LATEST_SECONDS: f64 = 1e11;

/// Why a token cannot work.
///
/// ```
/// use metered_realtime::credential::preflight::{PreflightError, check};
/// // {"alg":"HS256","kid":"k"}.{"sub":"alice","exp":1}
/// let token = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJzdWIiOiJhbGljZSIsImV4cCI6MX0.c2ln";
/// let error = check(token, 61.0).unwrap_err();
/// assert_eq!(error, PreflightError::Expired { seconds_ago: 60 });
/// println!("{}: {}", error.code(), error.diagnosis());
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PreflightError {
    /// Not three parts of base64url with JSON in the first two, or a `sub` that is no peer id.
    #[error("the token is malformed: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The service takes HS256 only.
    #[error("the token's alg is not HS256")]
    AlgNotHs256,
    /// The header does not say which key signed it.
    #[error("the token's header has no kid")]
    MissingKid,
    /// Without `sub` there is no peer id.
    #[error("the token has no sub")]
    MissingSub,
    /// A numeric or other `sub`.
    #[error("the token's sub is not a string")]
    SubNotString,
    /// Without `exp` the service refuses it.
    #[error("the token has no exp, or one that is not a number")]
    ExpMissing,
    /// `exp` counts seconds.
    #[error("the token's exp is in milliseconds")]
    ExpInMilliseconds,
    /// `exp` has passed.
    #[error("the token expired {seconds_ago} s ago")]
    Expired {
        /// By this client's knowledge of the time.
        seconds_ago: u64,
    },
    /// The `channels` claim does not cover the channel asked for.
    #[error("the token's channels claim does not cover the channel")]
    ChannelNotInClaim,
    /// The `permissions` claim lacks `send`.
    #[error("the token's permissions lack send")]
    SendNotPermitted,
}

impl PreflightError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::AlgNotHs256 => "alg_not_hs256",
            Self::MissingKid => "missing_kid",
            Self::MissingSub => "missing_sub",
            Self::SubNotString => "sub_not_string",
            Self::ExpMissing => "exp_missing",
            Self::ExpInMilliseconds => "exp_in_milliseconds",
            Self::Expired { .. } => "expired",
            Self::ChannelNotInClaim => "channel_not_in_claim",
            Self::SendNotPermitted => "send_not_permitted",
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Malformed { what } => Diagnosis::new(
                format!("The token is malformed: {what}."),
                "Give the signed JWT exactly as the backend made it: header, claims and signature, with dots between.",
            ),
            Self::AlgNotHs256 => Diagnosis::new(
                "The token is not signed with HS256, the only algorithm that the service accepts.",
                "Sign with HS256 and the sk_secret of the key pair as the secret.",
            ),
            Self::MissingKid => Diagnosis::new(
                "The token's header does not name the key that signed it.",
                "Put the sk_id into the header as kid: most libraries call that option keyid or headers.",
            ),
            Self::MissingSub => Diagnosis::new(
                "The token has no sub, and sub becomes the peer's id.",
                "Put the user's id into the claims as sub, as a string.",
            ),
            Self::SubNotString => Diagnosis::new(
                "The token's sub is not a string: often a numeric user id.",
                "Convert it: sub: String(user.id).",
            ),
            Self::ExpMissing => Diagnosis::new(
                "The token has no exp, or one that is not a number; the service asks for one.",
                "Set exp to the time of its end in seconds since 1970, for example now + 3600.",
            ),
            Self::ExpInMilliseconds => Diagnosis::new(
                "The token's exp is in milliseconds, and JWT counts seconds: the value is in the far future.",
                "Divide by 1000: Math.floor(Date.now() / 1000) + 3600.",
            ),
            Self::Expired { seconds_ago } => Diagnosis::new(
                format!(
                    "The token ended {seconds_ago} s ago by this device's clock. Either it is old (a cached token, a provider that does not mint anew), or the clock is ahead."
                ),
                "Mint a new token for each call of the provider, and check the clocks of backend and device.",
            ),
            Self::ChannelNotInClaim => Diagnosis::new(
                "The token's channels claim lists channels, and none of its patterns covers the one asked for. In a pattern * stops at a slash and ** does not; case counts.",
                "Add the channel, or a pattern that covers it, to the claim; or leave the claim out to have all channels of the key.",
            ),
            Self::SendNotPermitted => Diagnosis::new(
                "The token's permissions claim lists actions without send, and direct messages and calls need it.",
                "Add \"send\" to permissions, or leave the claim out to have all actions of the key.",
            ),
        }
    }
}

/// What a token says, as far as a client can use it.
///
/// Read, not verified: the service and the backend alone know the secret.
///
/// ```
/// use metered_realtime::credential::preflight::{Claims, check};
/// // {"alg":"HS256","kid":"k"}.{"sub":"alice","exp":3600,"channels":["rooms/*"],"permissions":["subscribe"]}
/// let token = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJzdWIiOiJhbGljZSIsImV4cCI6MzYwMCwiY2hhbm5lbHMiOlsicm9vbXMvKiJdLCJwZXJtaXNzaW9ucyI6WyJzdWJzY3JpYmUiXX0.c2ln";
/// let claims: Claims = check(token, 0.0)?;
/// assert_eq!((claims.sub.as_str(), claims.exp), ("alice", 3_600.0));
/// assert!(claims.check_channel("rooms/1").is_ok());
/// assert_eq!(claims.check_send().unwrap_err().code(), "send_not_permitted");
/// # Ok::<(), metered_realtime::credential::PreflightError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// The peer id.
    pub sub: String,
    /// The end, in seconds since 1970.
    pub exp: f64,
    /// Patterns of channels; `None` for all that the key allows.
    pub channels: Option<Vec<ChannelPattern>>,
    /// Actions; `None` for all that the key allows.
    pub permissions: Option<Vec<String>>,
}

impl Claims {
    /// Whether the token covers a channel.
    ///
    /// # Errors
    /// [`PreflightError::ChannelNotInClaim`].
    pub fn check_channel(&self, channel: &str) -> Result<(), PreflightError> {
        match &self.channels {
            Some(patterns) if !patterns.iter().any(|pattern| pattern.matches(channel)) => {
                Err(PreflightError::ChannelNotInClaim)
            }
            _ => Ok(()),
        }
    }

    /// Whether the token allows direct messages, and with them calls.
    ///
    /// # Errors
    /// [`PreflightError::SendNotPermitted`].
    pub fn check_send(&self) -> Result<(), PreflightError> {
        match &self.permissions {
            Some(actions) if !actions.iter().any(|action| action == "send") => {
                Err(PreflightError::SendNotPermitted)
            }
            _ => Ok(()),
        }
    }
}

/// Looks into a token at `now`, in seconds since 1970.
///
/// # Errors
/// [`PreflightError`]: what the service would refuse.
///
/// ```
/// use metered_realtime::credential::preflight::check;
/// assert_eq!(check("not a token", 0.0).unwrap_err().code(), "malformed");
/// ```
pub fn check(token: &str, now: f64) -> Result<Claims, PreflightError> {
    let (head, body) = parts(token)?;
    if head.get("alg").and_then(Value::as_str) != Some("HS256") {
        return Err(PreflightError::AlgNotHs256);
    }
    match head.get("kid") {
        None | Some(Value::Null) => return Err(PreflightError::MissingKid),
        Some(Value::String(kid)) if kid.is_empty() => return Err(PreflightError::MissingKid),
        Some(Value::String(_)) => {}
        Some(_) => {
            return Err(PreflightError::Malformed { what: "its header is not a JWT header" });
        }
    }
    let sub = match body.get("sub") {
        None | Some(Value::Null) => return Err(PreflightError::MissingSub),
        Some(Value::String(sub)) if sub.is_empty() => return Err(PreflightError::MissingSub),
        Some(Value::String(sub)) => sub.clone(),
        Some(_) => return Err(PreflightError::SubNotString),
    };
    if validate_peer_id(&sub).is_err() {
        let what = "its sub is longer than 128 bytes or not printable ASCII";
        return Err(PreflightError::Malformed { what });
    }
    let exp = body.get("exp").and_then(Value::as_f64).ok_or(PreflightError::ExpMissing)?;
    if exp > LATEST_SECONDS {
        return Err(PreflightError::ExpInMilliseconds);
    }
    if exp <= now {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // positive, and `as` saturates
        return Err(PreflightError::Expired { seconds_ago: (now - exp) as u64 });
    }
    let strings = |name: &str| {
        let list = body.get(name)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>())
    };
    Ok(Claims {
        sub,
        exp,
        channels: strings("channels")
            .map(|patterns| patterns.iter().map(|p| ChannelPattern::parse(p)).collect()),
        permissions: strings("permissions"),
    })
}

type Object = Map<String, Value>;

/// Header and claims as JSON objects.
fn parts(token: &str) -> Result<(Object, Object), PreflightError> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let malformed = |what| PreflightError::Malformed { what };
    let mut parts = token.split('.');
    let (Some(head), Some(body), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("it does not have three parts"));
    };
    let read = |part: &str, what| {
        let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed(what))?;
        serde_json::from_slice(&bytes).map_err(|_| malformed(what))
    };
    Ok((
        read(head, "its header is not base64url of a JSON object")?,
        read(body, "its claims are not base64url of a JSON object")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: f64 = 1_700_000_000.0;

    fn token_of(kid: Option<&str>, alg: Algorithm, claims: &Value) -> String {
        let mut header = Header::new(alg);
        header.kid = kid.map(str::to_owned);
        encode(&header, claims, &EncodingKey::from_secret(b"secret")).unwrap()
    }

    fn code(claims: &Value) -> &'static str {
        check(&token_of(Some("sk_id"), Algorithm::HS256, claims), NOW).unwrap_err().code()
    }

    fn claims(claims: &Value) -> Claims {
        check(&token_of(Some("sk_id"), Algorithm::HS256, claims), NOW).unwrap()
    }

    #[test]
    fn every_code_has_its_token() {
        let good = json!({ "sub": "alice", "exp": NOW + 60.0 });
        assert!(check(&token_of(Some("k"), Algorithm::HS256, &good), NOW).is_ok());
        let named = |token: &str| check(token, NOW).unwrap_err().code();
        assert_eq!(named("a.b"), "malformed");
        assert_eq!(named("e30.!!.x"), "malformed");
        assert_eq!(named(&token_of(Some("k"), Algorithm::HS384, &good)), "alg_not_hs256");
        assert_eq!(named("eyJhbGciOiJub25lIn0.e30."), "alg_not_hs256");
        assert_eq!(named(&token_of(None, Algorithm::HS256, &good)), "missing_kid");
        assert_eq!(code(&json!({ "exp": NOW + 60.0 })), "missing_sub");
        assert_eq!(code(&json!({ "sub": 7, "exp": NOW + 60.0 })), "sub_not_string");
        assert_eq!(code(&json!({ "sub": "é", "exp": NOW + 60.0 })), "malformed");
        assert_eq!(code(&json!({ "sub": "a" })), "exp_missing");
        assert_eq!(code(&json!({ "sub": "a", "exp": "soon" })), "exp_missing");
        assert_eq!(code(&json!({ "sub": "a", "exp": NOW * 1000.0 })), "exp_in_milliseconds");
        assert_eq!(code(&json!({ "sub": "a", "exp": NOW })), "expired");
    }

    #[test]
    fn claims_limit_channels_and_actions_only_when_they_are_there() {
        let free = claims(&json!({ "sub": "a", "exp": NOW + 60.0 }));
        assert!(free.check_channel("any").is_ok() && free.check_send().is_ok());
        let bound = claims(&json!({
            "sub": "a", "exp": NOW + 60.0, "channels": ["rooms/*"], "permissions": ["subscribe"],
        }));
        assert!(bound.check_channel("rooms/1").is_ok());
        let code = |result: Result<(), PreflightError>| result.unwrap_err().code();
        assert_eq!(code(bound.check_channel("rooms/1/x")), "channel_not_in_claim");
        assert_eq!(code(bound.check_send()), "send_not_permitted");
    }

    #[test]
    fn no_error_shows_the_token() {
        let secret = token_of(Some("k"), Algorithm::HS256, &json!({ "sub": "a", "exp": 1 }));
        let error = check(&secret, NOW).unwrap_err();
        let said = format!("{error} {error:?} {}", error.diagnosis());
        for part in secret.split('.') {
            assert!(!said.contains(part));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in ".{0,200}") {
            let _ = check(&text, NOW);
        }

        #[test]
        fn any_claims_are_taken(head in ".{0,40}", body in ".{0,80}") {
            use base64::Engine as _;
            use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
            let _ = check(&format!("{}.{}.x", B64.encode(head), B64.encode(body)), NOW);
        }
    }
}
