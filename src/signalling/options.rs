//! What a client can be told before it starts.

use std::sync::Arc;
use std::time::Duration;

use super::backoff::ReconnectOptions;
use super::pacing::PacingOptions;
use super::session::{CredentialKind, SessionConfig};
use super::socket::{Target, TargetError};
use crate::credential::{ApiKey, Credential, CredentialError, Token, TokenProvider};
use crate::diagnosis::Diagnosis;
use crate::platform::tls::TlsOptions;

pub use super::socket::ProxySetting;

/// The service's address.
///
/// ```
/// use metered_realtime::signalling::{DEFAULT_URL, SignallingOptions};
/// let mut options = SignallingOptions::with_api_key("pk_live_example")?;
/// assert_eq!(options.url, DEFAULT_URL);
/// // A server of your own machine, if the environment says so.
/// options.url = std::env::var("MY_APP_URL").unwrap_or(DEFAULT_URL.to_owned());
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
pub const DEFAULT_URL: &str = "wss://rms.metered.ca";

/// Silence of the server after which a connection is given up.
///
/// ```
/// use metered_realtime::signalling::{DEFAULT_INACTIVITY_TIMEOUT, SignallingOptions};
/// let mut options = SignallingOptions::with_api_key("pk_live_example")?;
/// // Noticed sooner, at the price of a ping every ten seconds.
/// options.inactivity_timeout = Some(DEFAULT_INACTIVITY_TIMEOUT / 2);
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
pub const DEFAULT_INACTIVITY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a token provider may take.
///
/// ```
/// use metered_realtime::signalling::{DEFAULT_TOKEN_TIMEOUT, SignallingOptions};
/// let mut options = SignallingOptions::with_token_provider(|| async { Ok("eyJ…".to_owned()) });
/// assert_eq!(options.token_provider_timeout, DEFAULT_TOKEN_TIMEOUT);
/// options.token_provider_timeout = DEFAULT_TOKEN_TIMEOUT * 3; // a backend that wakes up slowly
/// ```
pub const DEFAULT_TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Options of a [`SignallingClient`](super::SignallingClient). Those that the JavaScript SDK has too have
/// its defaults.
///
/// ```
/// use metered_realtime::signalling::SignallingOptions;
/// use std::time::Duration;
/// let mut options = SignallingOptions::with_api_key("pk_live_example")?;
/// options.url = "ws://127.0.0.1:8080".into();
/// options.inactivity_timeout = Some(Duration::from_secs(30));
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SignallingOptions {
    /// Key, token, or provider of tokens.
    pub credential: Credential,
    /// Base address: `wss://host[:port]` without a path; `ws://` for this machine only. `/v1` is added.
    pub url: String,
    /// `None`: the first drop ends the client.
    pub reconnect: Option<ReconnectOptions>,
    /// Silence after which the connection is given up; a third of it is the pause between pings (at least
    /// 1 s). `None` for neither.
    pub inactivity_timeout: Option<Duration>,
    /// How long a token provider may take; more than 0.
    pub token_provider_timeout: Duration,
    /// Whether subscriptions are made anew on each new connection.
    pub auto_resubscribe: bool,
    /// Whether tokens are looked into before they are sent.
    pub preflight: bool,
    /// The rate at which requests leave. `None` for no limit, at the risk of close code 4011.
    pub pacing: Option<PacingOptions>,
    /// The `Origin` header; none by default, as native clients have no origin.
    pub origin: Option<String>,
    /// Further headers of the upgrade request.
    pub headers: Vec<(String, String)>,
    /// The way out.
    pub proxy: ProxySetting,
    /// Whom to trust.
    pub tls: TlsOptions,
}

impl SignallingOptions {
    /// Defaults with a credential.
    pub fn new(credential: Credential) -> Self {
        Self {
            credential,
            url: DEFAULT_URL.to_owned(),
            reconnect: Some(ReconnectOptions::default()),
            inactivity_timeout: Some(DEFAULT_INACTIVITY_TIMEOUT),
            token_provider_timeout: DEFAULT_TOKEN_TIMEOUT,
            auto_resubscribe: true,
            preflight: true,
            pacing: Some(PacingOptions::default()),
            origin: None,
            headers: Vec::new(),
            proxy: ProxySetting::Environment,
            tls: TlsOptions::default(),
        }
    }

    /// Defaults with a publishable key (`pk_live_…`).
    ///
    /// # Errors
    /// [`CredentialError`] for what is no publishable key.
    pub fn with_api_key(key: impl Into<String>) -> Result<Self, CredentialError> {
        Ok(Self::new(Credential::ApiKey(ApiKey::new(key)?)))
    }

    /// Defaults with one token for all connections. When it ends, the client does.
    ///
    /// # Errors
    /// [`CredentialError`] for what is no token.
    ///
    /// ```
    /// use metered_realtime::signalling::SignallingOptions;
    /// let options = SignallingOptions::with_token("eyJ.from-my.backend")?;
    /// assert!(!format!("{options:?}").contains("backend")); // secrets are not shown
    /// # Ok::<(), metered_realtime::credential::CredentialError>(())
    /// ```
    pub fn with_token(token: impl Into<String>) -> Result<Self, CredentialError> {
        Ok(Self::new(Credential::Token(Token::new(token)?)))
    }

    /// Defaults with a provider that is asked for a token before each connection.
    pub fn with_token_provider(provider: impl TokenProvider) -> Self {
        Self::new(Credential::Provider(Arc::new(provider)))
    }

    pub(crate) fn target(&self) -> Result<Target, OptionsError> {
        Ok(Target::new(&self.url, self.origin.clone(), &self.headers, &self.proxy, &self.tls)?)
    }

    pub(crate) fn session_config(&self) -> Result<SessionConfig, OptionsError> {
        if let Some(reconnect) = &self.reconnect {
            let wrong = |option| Err(OptionsError::OutOfRange { option });
            if !(reconnect.multiplier.is_finite() && reconnect.multiplier >= 1.0) {
                return wrong("reconnect.multiplier");
            }
            if !(0.0..=1.0).contains(&reconnect.jitter_ratio) {
                return wrong("reconnect.jitter_ratio");
            }
            if reconnect.max_attempts == Some(0) {
                return wrong("reconnect.max_attempts");
            }
        }
        if let Some(pacing) = &self.pacing
            && !(pacing.per_second.is_finite() && pacing.per_second > 0.0 && pacing.burst >= 1)
        {
            return Err(OptionsError::OutOfRange { option: "pacing" });
        }
        if self.token_provider_timeout.is_zero() {
            return Err(OptionsError::OutOfRange { option: "token_provider_timeout" });
        }
        Ok(SessionConfig {
            credential: match self.credential {
                Credential::ApiKey(_) => CredentialKind::Key,
                Credential::Token(_) => CredentialKind::FixedToken,
                Credential::Provider(_) => CredentialKind::Provider,
            },
            reconnect: self.reconnect.clone(),
            inactivity_timeout: self.inactivity_timeout.filter(|limit| !limit.is_zero()),
            token_timeout: self.token_provider_timeout,
            auto_resubscribe: self.auto_resubscribe,
            pacing: self.pacing,
        })
    }
}

/// Options that cannot be.
///
/// ```
/// use metered_realtime::signalling::{OptionsError, SignallingClient, SignallingOptions};
/// use std::time::Duration;
/// let mut options = SignallingOptions::with_api_key("pk_live_example")?;
/// options.token_provider_timeout = Duration::ZERO;
/// let error = SignallingClient::new(options).unwrap_err();
/// assert!(matches!(error, OptionsError::OutOfRange { .. }));
/// assert_eq!(error.code(), "option_out_of_range");
/// println!("{error}: {}", error.diagnosis());
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// Address, headers, proxy or TLS.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A number outside its range.
    #[error("{option} is out of range")]
    OutOfRange {
        /// Which.
        option: &'static str,
    },
}

impl OptionsError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Target(error) => error.code(),
            Self::OutOfRange { .. } => "option_out_of_range",
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Target(error) => error.diagnosis(),
            Self::OutOfRange { option } => Diagnosis::new(
                format!("The option {option} has a value with which the client cannot work."),
                "reconnect.multiplier is 1 or more, reconnect.jitter_ratio 0 to 1, reconnect.max_attempts 1 or more (or none), pacing.per_second more than 0, pacing.burst 1 or more, token_provider_timeout more than 0.",
            ),
        }
    }
}
