//! What the server is told before it starts: keys, limits, TURN, where to listen.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// The publishable key that exists without any configuration.
///
/// ```
/// use metered_dev_server::{Config, DEV_API_KEY};
/// use metered_realtime::signalling::SignallingOptions;
/// assert_eq!(Config::default().keys[0].id, DEV_API_KEY);
/// let options = SignallingOptions::with_api_key(DEV_API_KEY)?;
/// # let _ = options;
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
pub const DEV_API_KEY: &str = "pk_live_dev";

/// The public half of the secret key that exists without any configuration.
///
/// ```
/// use metered_dev_server::{DEV_SECRET, DEV_SECRET_ID};
/// // The header of REST requests to a local server.
/// let authorization = format!("Bearer {DEV_SECRET_ID}:{DEV_SECRET}");
/// assert_eq!(authorization, "Bearer sk_id_dev:sk_secret_dev");
/// ```
pub const DEV_SECRET_ID: &str = "sk_id_dev";

/// Its other half. Known to everybody: for development only.
///
/// ```
/// use metered_dev_server::{DEV_SECRET, DEV_SECRET_ID, TokenClaims};
/// let token = TokenClaims::new("alice").mint(DEV_SECRET_ID, DEV_SECRET)?;
/// # let _ = token;
/// # Ok::<(), metered_dev_server::MintError>(())
/// ```
pub const DEV_SECRET: &str = "sk_secret_dev";

/// Everything the server can be told.
///
/// ```
/// use metered_dev_server::Config;
/// let config = Config::from_toml("[limits]\nsubscriptions = 3")?;
/// assert_eq!(config.limits.subscriptions, 3);
/// assert_eq!(config.keys[0].id, "pk_live_dev");
/// # Ok::<(), metered_dev_server::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 for any that is free. `None` leaves it to who starts the server:
    /// [`DevServer`](crate::DevServer) takes any that is free, `metered serve` 8787.
    pub port: Option<u16>,
    /// Whether plain connections from other machines are allowed.
    pub insecure_lan: bool,
    /// PEM file of the certificate chain, leaf first.
    pub tls_cert: Option<PathBuf>,
    /// PEM file of its key.
    pub tls_key: Option<PathBuf>,
    /// File for JSON lines of everything seen; `-` for standard error.
    pub log: Option<PathBuf>,
    /// Publishable keys.
    pub keys: Vec<KeyConfig>,
    /// Secret keys.
    pub secrets: Vec<SecretConfig>,
    /// Limits.
    pub limits: Limits,
    /// ICE servers in welcomes.
    pub turn: Option<TurnConfig>,
    /// Where npm installed `@metered-ca/realtime`, for the page at `/`; the working directory by default.
    pub sdk: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: None,
            insecure_lan: false,
            tls_cert: None,
            tls_key: None,
            log: None,
            keys: vec![KeyConfig::default()],
            secrets: vec![SecretConfig::default()],
            limits: Limits::default(),
            turn: None,
            sdk: None,
        }
    }
}

/// A configuration that cannot be read.
///
/// ```
/// use metered_dev_server::{Config, ConfigError};
/// let error: ConfigError = Config::from_toml("[limits]\nsubscription = 3").unwrap_err();
/// assert_eq!(error.code(), "invalid_config");
/// println!("{error}"); // names the line and the fields that there are
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be read: {0}")]
pub struct ConfigError(#[from] toml::de::Error);

impl ConfigError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        "invalid_config"
    }
}

impl Config {
    /// Reads a TOML text.
    ///
    /// # Errors
    /// [`ConfigError`] with the line: no TOML, a field that there is none of, or one of another type.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Ok(toml::from_str(text)?)
    }

    /// A commented file with every default.
    ///
    /// ```
    /// use metered_dev_server::Config;
    /// assert_eq!(Config::from_toml(Config::default_toml())?, Config::default());
    /// # Ok::<(), metered_dev_server::ConfigError>(())
    /// ```
    pub const fn default_toml() -> &'static str {
        include_str!("../dev-server.toml")
    }
}

/// A publishable key.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use metered_dev_server::{Action, DevServer, KeyConfig};
/// use metered_realtime::signalling::{SignallingClient, SignallingOptions};
/// let spectator = KeyConfig {
///     id: "pk_live_spectator".into(),
///     channels: vec!["match/*".into()],
///     actions: vec![Action::Subscribe],
///     ..KeyConfig::default()
/// };
/// let server = DevServer::builder().keys(vec![spectator]).start().await?;
/// let mut options = SignallingOptions::with_api_key("pk_live_spectator")?;
/// options.url = server.url();
/// let client = SignallingClient::new(options)?;
/// client.connect().await?;
/// client.subscribe("match/7").await?;
/// let refused = client.publish("match/7", "goal").await.unwrap_err();
/// assert_eq!(refused.code(), "action_not_permitted");
/// client.close().await;
/// server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyConfig {
    /// The key itself.
    pub id: String,
    /// Patterns of channels.
    pub channels: Vec<String>,
    /// What it may do.
    pub actions: Vec<Action>,
    /// Web origins; empty for any. Clients without an `Origin` header are let in.
    pub allowed_origins: Vec<String>,
    /// Whether welcomes carry ICE servers.
    pub inject_turn: bool,
}

impl Default for KeyConfig {
    fn default() -> Self {
        Self {
            id: DEV_API_KEY.into(),
            channels: vec!["**".into()],
            actions: Action::ALL.to_vec(),
            allowed_origins: Vec::new(),
            inject_turn: true,
        }
    }
}

/// A secret key.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use metered_dev_server::{DevServer, SecretConfig, TokenClaims};
/// let backend = SecretConfig { id: "sk_id_mine".into(), secret: "hidden".into(), ..SecretConfig::default() };
/// assert!(!format!("{backend:?}").contains("hidden"));
/// let server = DevServer::builder().secrets(vec![backend]).start().await?;
/// let token = server.mint(&TokenClaims::new("alice"))?; // signed with the first of them
/// # let _ = token;
/// server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretConfig {
    /// Its public half, a token's `kid`.
    pub id: String,
    /// The secret that signs.
    pub secret: String,
    /// Patterns of channels.
    pub channels: Vec<String>,
    /// What its tokens may do.
    pub actions: Vec<Action>,
    /// Whether welcomes carry ICE servers.
    pub inject_turn: bool,
}

impl Default for SecretConfig {
    fn default() -> Self {
        Self {
            id: DEV_SECRET_ID.into(),
            secret: DEV_SECRET.into(),
            channels: vec!["**".into()],
            actions: Action::ALL.to_vec(),
            inject_turn: true,
        }
    }
}

impl std::fmt::Debug for SecretConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretConfig").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a credential may do.
///
/// ```
/// use metered_dev_server::Action;
/// assert_eq!(Action::parse("send"), Some(Action::Send));
/// assert_eq!(Action::parse("administer"), None);
/// assert_eq!(Action::ALL.len(), 4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Receive a channel.
    Subscribe,
    /// Broadcast on a channel.
    Publish,
    /// See who is on a channel.
    Presence,
    /// Write to one peer.
    Send,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Subscribe, Self::Publish, Self::Presence, Self::Send];

    /// By its name in a token.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "subscribe" => Self::Subscribe,
            "publish" => Self::Publish,
            "presence" => Self::Presence,
            "send" => Self::Send,
            _ => return None,
        })
    }
}

/// The service's limits; 0 switches one off.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use metered_dev_server::{DEV_API_KEY, DevServer, Limits};
/// use metered_realtime::signalling::{SignallingClient, SignallingOptions};
/// let limits = Limits { subscriptions: 1, ..Limits::default() };
/// let server = DevServer::builder().limits(limits).start().await?;
/// let mut options = SignallingOptions::with_api_key(DEV_API_KEY)?;
/// options.url = server.url();
/// let client = SignallingClient::new(options)?;
/// client.connect().await?;
/// client.subscribe("one").await?;
/// assert_eq!(client.subscribe("two").await.unwrap_err().code(), "channel_limit_exceeded");
/// client.close().await;
/// server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a frame; beyond, close 1009.
    pub max_message_size: usize,
    /// Channels per connection; beyond, `channel_limit_exceeded`.
    pub subscriptions: usize,
    /// Requests per second and connection; beyond, close 4011.
    pub messages_per_second: f64,
    /// Requests at once.
    pub message_burst: f64,
    /// Connects per address and window; beyond, HTTP 429.
    pub connects_per_window: usize,
    /// The window, in seconds.
    pub connect_window_seconds: u64,
    /// Connections in all; beyond, close 4010.
    pub concurrent_connections: usize,
    /// `publish` and `send` in all; beyond, `over_message_quota`.
    pub messages_per_period: u64,
    /// Bytes of a REST request; beyond, HTTP 413.
    pub rest_body_size: usize,
    /// Seconds between WebSocket pings.
    pub ping_interval_seconds: f64,
    /// Seconds within which a pong must come.
    pub ping_grace_seconds: f64,
    /// Frames that wait for a slow reader; beyond, close 1008.
    pub send_queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_size: 65_536,
            subscriptions: 100,
            messages_per_second: 100.0,
            message_burst: 200.0,
            connects_per_window: 0,
            connect_window_seconds: 60,
            concurrent_connections: 0,
            messages_per_period: 0,
            rest_body_size: 32_768,
            ping_interval_seconds: 30.0,
            ping_grace_seconds: 10.0,
            send_queue: 4_096,
        }
    }
}

/// ICE servers in welcomes.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use metered_dev_server::{DEV_API_KEY, DevServer, TurnConfig};
/// use metered_realtime::signalling::{SignallingClient, SignallingOptions};
/// let turn = TurnConfig {
///     urls: vec!["turn:127.0.0.1:3478".into()],
///     shared_secret: Some("coturn's static-auth-secret".into()),
///     ..TurnConfig::default()
/// };
/// let server = DevServer::builder().turn(turn).start().await?;
/// let mut options = SignallingOptions::with_api_key(DEV_API_KEY)?;
/// options.url = server.url();
/// let client = SignallingClient::new(options)?;
/// client.connect().await?;
/// let servers = client.connected().and_then(|it| it.ice_servers.clone()).ok_or("no ICE servers")?;
/// assert!(servers[0].credential.is_some()); // a password that ends
/// client.close().await;
/// server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnConfig {
    /// STUN and TURN URLs.
    pub urls: Vec<String>,
    /// Static user.
    pub username: Option<String>,
    /// Static password.
    pub credential: Option<String>,
    /// Shared with coturn (`use-auth-secret`): passwords are made from it and end.
    pub shared_secret: Option<String>,
    /// Life of such a password, in seconds.
    pub ttl_seconds: u64,
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            username: None,
            credential: None,
            shared_secret: None,
            ttl_seconds: 3_600,
        }
    }
}

impl std::fmt::Debug for TurnConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnConfig").field("urls", &self.urls).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_file_says_the_defaults() {
        assert_eq!(Config::from_toml(Config::default_toml()).unwrap(), Config::default());
        // Uncommented, the limits and the keys are the defaults too; the port is the command's.
        let uncommented: String = Config::default_toml()
            .lines()
            .filter(|line| !["tls_", "sdk = ", "log = "].iter().any(|path| line.contains(path)))
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| line.starts_with('[') || line.split(' ').nth(1) == Some("="))
            .map(|line| format!("{line}\n"))
            .collect();
        let mut config = Config::from_toml(&uncommented).unwrap();
        assert!(config.turn.take().is_some_and(|turn| turn.ttl_seconds == 3_600));
        assert_eq!(config.port.take(), Some(8787));
        assert_eq!(config, Config::default());
    }

    #[test]
    fn a_port_that_is_not_named_is_told_from_any_that_is_free() {
        assert_eq!(Config::from_toml("insecure_lan = true").unwrap().port, None);
        assert_eq!(Config::from_toml("port = 0").unwrap().port, Some(0));
        assert!(Config::from_toml("port = 65536").is_err());
    }

    #[test]
    fn a_typing_error_is_not_overlooked() {
        assert!(Config::from_toml("[limits]\nsubscription = 3").is_err());
    }
}
