//! Where tokens come from, when the app has them made.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;

use super::{Token, scrub};
use crate::diagnosis::Diagnosis;

/// What a provider answers with.
///
/// ```
/// use metered_realtime::credential::{TokenFuture, TokenProviderError};
/// /// For a provider that is kept in a field: a function of a nameable type.
/// fn ask() -> TokenFuture<'static> {
///     Box::pin(async { Err(TokenProviderError::new("signed out")) })
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(ask().await.unwrap_err().code(), "token_provider_failed");
/// # });
/// ```
pub type TokenFuture<'a> =
    Pin<Box<dyn Future<Output = Result<String, TokenProviderError>> + Send + 'a>>;

/// Gets a token from the app's backend. Asked before each connection, and ahead of a token's end; it should
/// mint anew each time. Every closure that returns such a future is one.
///
/// ```
/// use metered_realtime::credential::TokenProviderError;
/// use metered_realtime::signalling::SignallingOptions;
///
/// async fn fetch_from_my_backend() -> Result<String, std::io::Error> {
///     Ok("eyJ…".to_owned())
/// }
///
/// let options = SignallingOptions::with_token_provider(|| async {
///     fetch_from_my_backend().await.map_err(TokenProviderError::new)
/// });
/// # let _ = options;
/// ```
///
/// A type of your own is one, too, where a closure is not enough:
///
/// ```
/// use metered_realtime::credential::{TokenFuture, TokenProvider, TokenProviderError};
///
/// struct Backend {
///     session: String,
/// }
///
/// impl TokenProvider for Backend {
///     fn token(&self) -> TokenFuture<'_> {
///         Box::pin(async {
///             if self.session.is_empty() {
///                 return Err(TokenProviderError::new("signed out"));
///             }
///             Ok(format!("token-of-{}", self.session)) // a request in truth
///         })
///     }
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let backend = Backend { session: "s1".to_owned() };
/// assert_eq!(backend.token().await?, "token-of-s1");
/// # Ok::<(), TokenProviderError>(())
/// # }).unwrap();
/// ```
pub trait TokenProvider: Send + Sync + 'static {
    /// A token that is valid now.
    fn token(&self) -> TokenFuture<'_>;
}

impl<F, Fut> TokenProvider for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<String, TokenProviderError>> + Send + 'static,
{
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(self())
    }
}

/// Why there is no token.
///
/// ```
/// use metered_realtime::credential::TokenProviderError;
/// let error = TokenProviderError::new("HTTP 503");
/// assert_eq!(error.to_string(), "the token provider failed: HTTP 503");
/// println!("{}: {}", error.code(), error.diagnosis());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenProviderError {
    /// The app's provider failed; its words, with credentials masked.
    #[error("the token provider failed: {message}")]
    Failed {
        /// The provider's words.
        message: String,
    },
    /// It did not answer in time.
    #[error("the token provider did not answer within {} ms", limit.as_millis())]
    TimedOut {
        /// The client's limit.
        limit: Duration,
    },
    /// It panicked.
    #[error("the token provider panicked")]
    Panicked,
    /// It gave something that cannot be a token.
    #[error("the token provider gave nothing, or text that cannot be a token")]
    NotAToken,
}

impl TokenProviderError {
    /// A failure of the app's own, in its words. What looks like a credential is masked.
    pub fn new(message: impl fmt::Display) -> Self {
        Self::Failed { message: scrub(&message.to_string()) }
    }

    pub(crate) const fn timed_out(limit: Duration) -> Self {
        Self::TimedOut { limit }
    }

    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "token_provider_failed",
            Self::TimedOut { .. } => "token_provider_timeout",
            Self::Panicked => "token_provider_panicked",
            Self::NotAToken => "token_provider_no_token",
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Failed { .. } => Diagnosis::new(
                "The app's token provider answered with an error, so there is no token to connect with.",
                "Look at the backend that mints tokens: its address, its answer, the user's session. The client asks again by itself after a first connection.",
            ),
            Self::TimedOut { limit } => Diagnosis::new(
                format!("The app's token provider did not answer within {} ms.", limit.as_millis()),
                "Look at the backend that mints tokens and at the network; give its request a time limit of its own, or raise token_provider_timeout.",
            ),
            Self::Panicked => Diagnosis::new(
                "The app's token provider panicked.",
                "Look at the panic's message in the app's log; return an error instead.",
            ),
            Self::NotAToken => Diagnosis::new(
                "The app's token provider gave an empty text, or one with blanks inside or quotes around it: often a whole JSON answer instead of its token field.",
                "Return the token alone, three parts with dots between them.",
            ),
        }
    }
}

/// Asks a provider; a panic of it is an error like any other.
pub(crate) async fn ask(provider: &dyn TokenProvider) -> Result<Token, TokenProviderError> {
    let asked = AssertUnwindSafe(async { provider.token().await }).catch_unwind().await;
    let text = asked.unwrap_or(Err(TokenProviderError::Panicked))?;
    Token::new(text).map_err(|_| TokenProviderError::NotAToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn error(provider: impl TokenProvider) -> TokenProviderError {
        ask(&provider).await.unwrap_err()
    }

    #[tokio::test]
    async fn failures_of_every_kind_are_typed() {
        let failing = || async { Err(TokenProviderError::new("401 for token=abcdef")) };
        assert_eq!(error(failing).await.to_string(), "the token provider failed: 401 for token=…");
        let panicking = || async {
            panic!("on purpose");
            #[allow(unreachable_code)]
            Ok(String::new())
        };
        assert_eq!(error(panicking).await, TokenProviderError::Panicked);
        assert_eq!(error(|| async { Ok(String::new()) }).await, TokenProviderError::NotAToken);
        let json = || async { Ok(r#"{"token": "x"}"#.to_owned()) };
        assert_eq!(error(json).await, TokenProviderError::NotAToken);
    }
}
