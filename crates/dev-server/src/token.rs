//! Tokens as a backend mints them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Life of a token when none is said.
///
/// ```
/// use metered_dev_server::{DEFAULT_TTL, TokenClaims};
/// let claims = TokenClaims::new("alice");
/// let (made, end) = (claims.iat.unwrap(), claims.exp.unwrap().as_u64().unwrap());
/// assert_eq!(end - made, DEFAULT_TTL.as_secs());
/// ```
pub const DEFAULT_TTL: Duration = Duration::from_secs(3_600);

/// Longest life that REST mints.
///
/// ```
/// use metered_dev_server::{DEFAULT_TTL, MAX_TTL};
/// // What a backend asks the service for: long enough for a day's work, and no error.
/// let asked = DEFAULT_TTL * 12;
/// assert!(asked <= MAX_TTL);
/// ```
pub const MAX_TTL: Duration = Duration::from_secs(86_400);

/// What a token says.
///
/// ```
/// use metered_dev_server::{DEV_SECRET, DEV_SECRET_ID, TokenClaims};
/// let token = TokenClaims::new("alice").mint(DEV_SECRET_ID, DEV_SECRET)?;
/// assert_eq!(token.split('.').count(), 3);
/// # Ok::<(), metered_dev_server::MintError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenClaims {
    /// The peer id. Any JSON, so that wrong tokens can be made too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<Value>,
    /// The end, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<Value>,
    /// When it was made, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// Patterns of channels; all of the key's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
    /// Actions; all of the key's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<String>>,
    /// For the peer alone, delivered in its welcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// For the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_metadata: Option<Value>,
}

/// A token that cannot be made.
///
/// ```
/// use metered_dev_server::{MintError, TokenClaims};
/// fn token(peer: &str) -> Result<String, MintError> {
///     TokenClaims::new(peer).mint("sk_id_dev", "sk_secret_dev")
/// }
/// match token("alice") {
///     Ok(token) => assert!(token.starts_with("ey")),
///     Err(error) => panic!("{}: {error}", error.code()),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the token cannot be signed: {0}")]
pub struct MintError(#[from] jsonwebtoken::errors::Error);

impl MintError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        "mint_failed"
    }
}

impl TokenClaims {
    /// A peer's claims, for an hour.
    pub fn new(sub: impl Into<String>) -> Self {
        let now = unix_seconds();
        Self {
            sub: Some(Value::String(sub.into())),
            exp: Some((now + DEFAULT_TTL.as_secs()).into()),
            iat: Some(now),
            channels: None,
            permissions: None,
            metadata: None,
            peer_metadata: None,
        }
    }

    /// The same with another life from now on.
    ///
    /// ```
    /// use metered_dev_server::TokenClaims;
    /// use metered_realtime::credential::preflight;
    /// use std::time::Duration;
    /// // One that has ended already, to see what the app says then.
    /// let claims = TokenClaims::new("alice").lasting(Duration::ZERO);
    /// let token = claims.mint("sk_id_dev", "sk_secret_dev")?;
    /// let now = claims.exp.unwrap().as_f64().unwrap() + 1.0;
    /// assert_eq!(preflight::check(&token, now).unwrap_err().code(), "expired");
    /// # Ok::<(), metered_dev_server::MintError>(())
    /// ```
    pub fn lasting(mut self, life: Duration) -> Self {
        let end = unix_now() + life.as_secs_f64();
        self.exp = Some(if end.fract() == 0.0 { Value::from(end as u64) } else { end.into() });
        self
    }

    /// Signs it, HS256, with the key's id in the header.
    ///
    /// # Errors
    /// [`MintError`] if the claims cannot be signed.
    pub fn mint(&self, key_id: &str, secret: &str) -> Result<String, MintError> {
        let mut header = Header::new(jsonwebtoken::Algorithm::HS256);
        header.kid = Some(key_id.to_owned());
        Ok(encode(&header, self, &EncodingKey::from_secret(secret.as_bytes()))?)
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

pub(crate) fn unix_seconds() -> u64 {
    unix_now() as u64
}
