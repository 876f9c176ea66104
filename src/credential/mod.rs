//! Keys, tokens, and where tokens come from.
//!
//! Owns every secret of a client, in `secrecy` types; `Debug` and errors never show one. Knows the wire's
//! names and nothing of connections.

pub mod preflight;
mod provider;
mod scrub;

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

pub use preflight::{Claims, PreflightError};
pub(crate) use provider::ask;
pub use provider::{TokenFuture, TokenProvider, TokenProviderError};
pub(crate) use scrub::scrub;

use crate::diagnosis::Diagnosis;

/// A credential that cannot be one.
///
/// ```
/// use metered_realtime::credential::{CredentialError, Token};
/// let error: CredentialError = Token::new("").unwrap_err(); // a variable that is not set
/// assert_eq!(error.code(), "malformed_credential");
/// println!("{}", error.diagnosis()); // what to look at, without the text that was given
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// Nothing, or blanks and control characters.
    #[error("the {what} is empty or has characters that no credential has")]
    Malformed {
        /// Which credential.
        what: &'static str,
    },
    /// Quotes around it.
    #[error("the {what} has quotes around it")]
    Quoted {
        /// Which credential.
        what: &'static str,
    },
    /// A secret key (`sk_…`) where a publishable one belongs.
    #[error("this is a secret key, and secret keys must not be in an app")]
    SecretKey,
}

impl CredentialError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed_credential",
            Self::Quoted { .. } => "quoted_credential",
            Self::SecretKey => "secret_key_in_client",
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Malformed { what } => Diagnosis::new(
                format!(
                    "The {what} given is empty, or has blanks or control characters in it: often a line break copied along, or an environment variable that is not set."
                ),
                "Give it exactly as the dashboard or the backend shows it.",
            ),
            Self::Quoted { what } => Diagnosis::new(
                format!(
                    "The {what} given begins or ends with a quote: often from a file of environment variables that is read as it stands, such as docker's --env-file, or from a JSON text that was not decoded."
                ),
                "Remove the quotes where it comes from.",
            ),
            Self::SecretKey => Diagnosis::new(
                "A secret key (sk_…) signs tokens and controls the account; whoever has the app could read it.",
                "Revoke that key if it was shipped. Give the app a publishable key (pk_live_…), or a token that your backend signs.",
            ),
        }
    }
}

/// No credential has one, and editors write some of them for others.
const QUOTES: [char; 7] = ['"', '\'', '`', '“', '”', '‘', '’'];

fn checked(what: &'static str, text: String) -> Result<SecretString, CredentialError> {
    let inside = text.trim();
    if inside.starts_with(QUOTES) || inside.ends_with(QUOTES) {
        return Err(CredentialError::Quoted { what });
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CredentialError::Malformed { what });
    }
    Ok(SecretString::from(text))
}

/// A publishable key, `pk_live_…`: fixed rights, a new peer id on each connection.
///
/// ```
/// use metered_realtime::credential::{ApiKey, CredentialError};
/// let key = ApiKey::new("pk_live_example")?;
/// assert_eq!(format!("{key:?}"), "ApiKey(…)");
/// assert_eq!(ApiKey::new("sk_secret_example").unwrap_err(), CredentialError::SecretKey);
/// # Ok::<(), CredentialError>(())
/// ```
#[derive(Clone)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// Takes a key; refuses secret keys and what cannot be one.
    ///
    /// # Errors
    /// [`CredentialError`]: empty, blanks or control characters in it, quotes around it, or a secret key.
    pub fn new(key: impl Into<String>) -> Result<Self, CredentialError> {
        let key = key.into();
        let wrapping = |c: char| c.is_whitespace() || QUOTES.contains(&c);
        if key.trim_start_matches(wrapping).starts_with("sk_") {
            return Err(CredentialError::SecretKey);
        }
        checked("key", key).map(Self)
    }

    pub(crate) fn as_query(&self) -> SecretString {
        query("key", &self.0)
    }
}

/// A token (JWT) that a backend signed. Its `sub` is the peer id.
///
/// ```
/// use metered_realtime::credential::Token;
/// let token = Token::new("eyJ.example.token")?;
/// assert_eq!(format!("{token:?}"), "Token(…)");
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    /// Takes a token. Blanks around it are dropped; what is inside is the preflight's to judge.
    ///
    /// # Errors
    /// [`CredentialError`]: empty, blanks or control characters in it, or quotes around it.
    pub fn new(token: impl Into<String>) -> Result<Self, CredentialError> {
        checked("token", token.into().trim().to_owned()).map(Self)
    }

    pub(crate) fn as_query(&self) -> SecretString {
        query("token", &self.0)
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether both are the same token.
    ///
    /// For a provider that wants to know whether the backend really signed anew.
    ///
    /// ```
    /// use metered_realtime::credential::Token;
    /// let (first, second) = (Token::new("a.b.c")?, Token::new(" a.b.c\n")?);
    /// assert!(first.same_as(&second));
    /// # Ok::<(), metered_realtime::credential::CredentialError>(())
    /// ```
    pub fn same_as(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How a client proves who it is.
///
/// ```
/// use metered_realtime::credential::{ApiKey, Credential};
/// use metered_realtime::signalling::SignallingOptions;
/// let credential = Credential::ApiKey(ApiKey::new("pk_live_example")?);
/// assert_eq!(format!("{credential:?}"), "Credential::ApiKey(…)");
/// let options = SignallingOptions::new(credential);
/// # let _ = options;
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
#[derive(Clone)]
pub enum Credential {
    /// A publishable key.
    ApiKey(ApiKey),
    /// One token for all connections; when it ends, so does the client.
    Token(Token),
    /// Asked for a token before each connection, and ahead of the end of the present one.
    Provider(Arc<dyn TokenProvider>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "Credential::ApiKey(…)",
            Self::Token(_) => "Credential::Token(…)",
            Self::Provider(_) => "Credential::Provider(…)",
        })
    }
}

/// `name=value`, percent-encoded like JavaScript's `encodeURIComponent`.
fn query(name: &str, value: &SecretString) -> SecretString {
    let mut text = String::with_capacity(name.len() + 1 + value.expose_secret().len());
    text.push_str(name);
    text.push('=');
    for byte in value.expose_secret().bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => text.push(char::from(byte)),
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => {
                text.push(char::from(byte));
            }
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                text.push('%');
                text.push(char::from(HEX[usize::from(byte >> 4)]));
                text.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    SecretString::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded_like_encode_uri_component() {
        let key = ApiKey::new("pk_a+b/c=d&e%f~").unwrap();
        assert_eq!(key.as_query().expose_secret(), "key=pk_a%2Bb%2Fc%3Dd%26e%25f~");
    }

    #[test]
    fn what_cannot_be_a_credential_is_named() {
        for text in ["", " ", "a b", "key\n"] {
            assert_eq!(ApiKey::new(text).unwrap_err().code(), "malformed_credential", "{text:?}");
        }
        assert!(Token::new("  abc.def.ghi\n").is_ok());
        assert!(Token::new("abc def").is_err());
    }

    #[test]
    fn quotes_around_a_credential_are_named() {
        for text in
            ["\"pk_live_a\"", "'pk_live_a'", "“pk_live_a”", "`pk_live_a", "pk_live_a'", " \"a\"\n"]
        {
            let error = ApiKey::new(text).unwrap_err();
            assert_eq!(error, CredentialError::Quoted { what: "key" }, "{text:?}");
            assert_eq!(Token::new(text).unwrap_err(), CredentialError::Quoted { what: "token" });
            let diagnosis = error.diagnosis();
            assert!(diagnosis.cause.contains("quote") && diagnosis.fix.contains("Remove"));
            assert!(!format!("{error} {diagnosis}").contains("pk_live_a"));
        }
        // Within it they are none of ours to judge.
        assert!(ApiKey::new("pk_live_a'b").is_ok());
        for secret in ["\"sk_secret\"", " sk_secret"] {
            assert_eq!(ApiKey::new(secret).unwrap_err(), CredentialError::SecretKey);
        }
    }

    #[test]
    fn no_debug_output_shows_a_secret() {
        let provider = |secret: &'static str| {
            Credential::Provider(Arc::new(move || async move { Ok(secret.to_owned()) }))
        };
        for credential in [
            Credential::ApiKey(ApiKey::new("hidden").unwrap()),
            Credential::Token(Token::new("hidden").unwrap()),
            provider("hidden"),
        ] {
            assert!(!format!("{credential:?}").contains("hidden"));
        }
    }
}
