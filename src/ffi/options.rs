//! Options, with the core's own defaults where one is left out. The core checks them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::error::SdkError;
use crate::credential;
use crate::peer::{self, IceTransportPolicy};
use crate::platform::tls::TlsOptions;
use crate::signalling::{self, PacingOptions};
use crate::wire::{self, IceUrls};

/// How a client proves who it is. A provider of tokens is given to a constructor of its own.
#[derive(Clone, uniffi::Enum)]
pub enum Credential {
    /// A publishable key, `pk_live_…`.
    ApiKey {
        /// The key.
        key: String,
    },
    /// One token for all connections; when it ends, so does the client.
    Token {
        /// The token.
        token: String,
    },
}

impl TryFrom<Credential> for credential::Credential {
    type Error = SdkError;

    fn try_from(given: Credential) -> Result<Self, SdkError> {
        Ok(match given {
            Credential::ApiKey { key } => Self::ApiKey(credential::ApiKey::new(key)?),
            Credential::Token { token } => Self::Token(credential::Token::new(token)?),
        })
    }
}

/// How often to try again.
#[derive(Clone, Debug, uniffi::Record)]
pub struct ReconnectOptions {
    /// Whether to try at all. Without, the first drop ends the client.
    #[uniffi(default = true)]
    pub enabled: bool,
    /// Wait before the first attempt; 500 by default.
    #[uniffi(default)]
    pub initial_delay_ms: Option<u64>,
    /// Factor from one wait to the next, 1 or more; 2 by default.
    #[uniffi(default)]
    pub multiplier: Option<f64>,
    /// Longest wait; 30,000 by default.
    #[uniffi(default)]
    pub max_delay_ms: Option<u64>,
    /// Share of the wait that chance adds or takes, 0 to 1; 0.2 by default.
    #[uniffi(default)]
    pub jitter_ratio: Option<f64>,
    /// Attempts after one drop; 100 by default.
    #[uniffi(default)]
    pub max_attempts: Option<u32>,
    /// Whether attempts never end, whatever `max_attempts` says.
    #[uniffi(default = false)]
    pub unlimited_attempts: bool,
}

impl ReconnectOptions {
    fn into_core(self) -> Option<signalling::ReconnectOptions> {
        if !self.enabled {
            return None;
        }
        let default = signalling::ReconnectOptions::default();
        let ms = Duration::from_millis;
        Some(signalling::ReconnectOptions {
            initial_delay: self.initial_delay_ms.map_or(default.initial_delay, ms),
            multiplier: self.multiplier.unwrap_or(default.multiplier),
            max_delay: self.max_delay_ms.map_or(default.max_delay, ms),
            jitter_ratio: self.jitter_ratio.unwrap_or(default.jitter_ratio),
            max_attempts: match self.unlimited_attempts {
                true => None,
                false => self.max_attempts.or(default.max_attempts),
            },
        })
    }
}

/// A header of the upgrade request.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The way out.
#[derive(Clone, uniffi::Enum)]
pub enum ProxySetting {
    /// As the environment says.
    Environment,
    /// Straight.
    Direct,
    /// Through this proxy, always.
    Url {
        /// `http://[user:password@]host[:port]`, or `https://…`.
        url: String,
    },
}

/// Options of a signalling client. What is left out is as in the JavaScript SDK.
#[derive(Clone, uniffi::Record)]
pub struct SignallingOptions {
    /// Base address: `wss://host[:port]` without a path; `ws://` for this machine only.
    #[uniffi(default)]
    pub url: Option<String>,
    /// How often to try again.
    #[uniffi(default)]
    pub reconnect: Option<ReconnectOptions>,
    /// Silence after which the connection is given up, 60,000 by default; 0 for never.
    #[uniffi(default)]
    pub inactivity_timeout_ms: Option<u64>,
    /// How long a token provider may take; 10,000 by default.
    #[uniffi(default)]
    pub token_provider_timeout_ms: Option<u64>,
    /// Whether subscriptions are made anew on each new connection.
    #[uniffi(default = true)]
    pub auto_resubscribe: bool,
    /// Whether tokens are looked into before they are sent.
    #[uniffi(default = true)]
    pub preflight: bool,
    /// The rate at which requests leave; 100 a second and 150 at once by default.
    #[uniffi(default)]
    pub pacing: Option<PacingOptions>,
    /// Whether requests leave as they come, at the risk of close code 4011.
    #[uniffi(default = false)]
    pub unpaced: bool,
    /// The `Origin` header; none by default.
    #[uniffi(default)]
    pub origin: Option<String>,
    /// Further headers of the upgrade request.
    #[uniffi(default)]
    pub headers: Vec<Header>,
    /// The way out; as the environment says by default.
    #[uniffi(default)]
    pub proxy: Option<ProxySetting>,
    /// Further roots of trust as PEM texts; for test servers and company proxies.
    #[uniffi(default)]
    pub extra_roots_pem: Vec<String>,
    /// Public keys, one of which the server's chain must have: `sha256/BASE64`, as in RFC 7469.
    #[uniffi(default)]
    pub pins: Vec<String>,
}

impl SignallingOptions {
    pub(super) fn into_core(
        self,
        credential: credential::Credential,
    ) -> signalling::SignallingOptions {
        let mut options = signalling::SignallingOptions::new(credential);
        let ms = Duration::from_millis;
        if let Some(url) = self.url {
            options.url = url;
        }
        if let Some(reconnect) = self.reconnect {
            options.reconnect = reconnect.into_core();
        }
        if let Some(limit) = self.inactivity_timeout_ms {
            options.inactivity_timeout = Some(ms(limit)).filter(|limit| !limit.is_zero());
        }
        if let Some(limit) = self.token_provider_timeout_ms {
            options.token_provider_timeout = ms(limit);
        }
        options.auto_resubscribe = self.auto_resubscribe;
        options.preflight = self.preflight;
        options.pacing = if self.unpaced { None } else { self.pacing.or(options.pacing) };
        options.origin = self.origin;
        options.headers =
            self.headers.into_iter().map(|header| (header.name, header.value)).collect();
        options.proxy = match self.proxy {
            None | Some(ProxySetting::Environment) => signalling::ProxySetting::Environment,
            Some(ProxySetting::Direct) => signalling::ProxySetting::None,
            Some(ProxySetting::Url { url }) => signalling::ProxySetting::url(url),
        };
        options.tls = TlsOptions { extra_roots_pem: self.extra_roots_pem, pins: self.pins };
        options
    }
}

/// A STUN or TURN server (W3C `RTCIceServer`).
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
pub struct IceServer {
    /// `stun:`, `stuns:`, `turn:` or `turns:` URLs.
    pub urls: Vec<String>,
    /// For TURN.
    #[uniffi(default)]
    pub username: Option<String>,
    /// For TURN. Secret.
    #[uniffi(default)]
    pub credential: Option<String>,
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

impl From<&wire::IceServer> for IceServer {
    fn from(server: &wire::IceServer) -> Self {
        Self {
            urls: server.urls.as_slice().to_vec(),
            username: server.username.clone(),
            credential: server.credential.clone(),
        }
    }
}

impl From<IceServer> for wire::IceServer {
    fn from(server: IceServer) -> Self {
        let IceServer { urls, username, credential } = server;
        Self { urls: IceUrls::Many(urls), username, credential }
    }
}

/// Options of a peer.
#[derive(Clone, uniffi::Record)]
pub struct PeerOptions {
    /// Those of its signalling client.
    pub signalling: SignallingOptions,
    /// ICE servers besides those that the service gives.
    #[uniffi(default)]
    pub ice_servers: Vec<IceServer>,
    /// Which candidates may be used; all by default.
    #[uniffi(default)]
    pub ice_transport_policy: Option<IceTransportPolicy>,
    /// Whether connections are made at all. Off: the roster and messages alone.
    #[uniffi(default = true)]
    pub rtc: bool,
    /// Local IP addresses to use; those of all interfaces by default.
    #[uniffi(default)]
    pub local_addresses: Option<Vec<String>>,
}

impl PeerOptions {
    pub(super) fn into_core(
        self,
        credential: credential::Credential,
    ) -> Result<peer::PeerOptions, SdkError> {
        let mut options = peer::PeerOptions::new(self.signalling.into_core(credential));
        options.ice_servers = self.ice_servers.into_iter().map(Into::into).collect();
        options.ice_transport_policy = self.ice_transport_policy.unwrap_or_default();
        options.rtc = self.rtc;
        if let Some(given) = self.local_addresses {
            let parsed: Result<Vec<IpAddr>, _> = given.iter().map(|text| text.parse()).collect();
            let Ok(addresses) = parsed else {
                return Err(SdkError::invalid_argument(
                    "a local address is not an IP address",
                    "Give addresses such as 192.0.2.7 or 2001:db8::7, without a port.",
                ));
            };
            options.local_addresses = Some(Arc::new(move || addresses.clone()));
        }
        Ok(options)
    }
}

/// How a data channel shall be. Reliable and ordered by default.
#[derive(Clone, Debug, uniffi::Record)]
pub struct DataChannelOptions {
    /// Whether messages arrive in the order of their sending.
    #[uniffi(default = true)]
    pub ordered: bool,
    /// How often a lost message is sent again; until it arrives by default. Not with
    /// `max_packet_life_time_ms`.
    #[uniffi(default)]
    pub max_retransmits: Option<u16>,
    /// How long a lost message is sent again, up to 65,535; until it arrives by default.
    #[uniffi(default)]
    pub max_packet_life_time_ms: Option<u64>,
    /// The subprotocol's name.
    #[uniffi(default = "")]
    pub protocol: String,
    /// The stream, if both sides open the channel with the same one by agreement: 0 to 65,534.
    #[uniffi(default)]
    pub negotiated_id: Option<u16>,
    /// Whether the channel outlives the connection.
    #[uniffi(default = false)]
    pub durable: bool,
    /// Bytes that may wait in the transport before a send waits; 1 MiB by default.
    #[uniffi(default)]
    pub max_buffered_amount: Option<u64>,
    /// `BufferedAmountLow` comes at so many bytes; half of `max_buffered_amount` by default.
    #[uniffi(default)]
    pub buffered_amount_low_threshold: Option<u64>,
    /// Sends that may wait; 256 by default.
    #[uniffi(default)]
    pub max_queued_sends: Option<u64>,
}

/// More than the address space holds is no smaller limit than all of it.
fn size(given: u64) -> usize {
    usize::try_from(given).unwrap_or(usize::MAX)
}

impl From<DataChannelOptions> for peer::DataChannelOptions {
    fn from(given: DataChannelOptions) -> Self {
        let default = Self::default();
        Self {
            ordered: given.ordered,
            max_retransmits: given.max_retransmits,
            max_packet_life_time: given.max_packet_life_time_ms.map(Duration::from_millis),
            protocol: given.protocol,
            negotiated_id: given.negotiated_id,
            durable: given.durable,
            max_buffered_amount: given
                .max_buffered_amount
                .map_or(default.max_buffered_amount, size),
            buffered_amount_low_threshold: given.buffered_amount_low_threshold.map(size),
            max_queued_sends: given.max_queued_sends.map_or(default.max_queued_sends, size),
        }
    }
}
