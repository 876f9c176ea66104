//! The options of `signalling.create` and `peer.create`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metered_realtime::peer::{IceTransportPolicy, LocalAddresses, PeerOptions};
use metered_realtime::signalling::{ReconnectOptions, SignallingOptions};
use metered_realtime::wire::IceServer;
use serde::Deserialize;
use serde_json::Value;

use super::error::RpcError;
use crate::connection::token_file;
use crate::token_command::token_command;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {
    url: Option<String>,
    api_key: Option<String>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    token_command: Option<String>,
    token_provider_timeout_ms: Option<f64>,
    reconnect: Option<Reconnect>,
    inactivity_timeout_ms: Option<f64>,
    auto_resubscribe: Option<bool>,
    origin: Option<String>,
    log_level: Option<LogLevel>,
    /// PEM files of further roots to trust, for the service and for TURN over TLS.
    #[serde(default)]
    extra_roots: Vec<PathBuf>,
    /// For peers, as all that follows; a signalling client takes and does not need them.
    #[serde(default)]
    ice_servers: Vec<IceServer>,
    #[serde(default)]
    ice_transport_policy: IceTransportPolicy,
    no_rtc: Option<bool>,
    local_addresses: Option<Vec<IpAddr>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reconnect {
    Switch(bool),
    Options(ReconnectFields),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReconnectFields {
    initial_delay_ms: Option<f64>,
    multiplier: Option<f64>,
    max_delay_ms: Option<f64>,
    jitter_ratio: Option<f64>,
    max_attempts: Option<Value>,
}

fn ms(name: &str, value: f64) -> Result<Duration, RpcError> {
    Duration::try_from_secs_f64(value / 1e3)
        .map_err(|_| RpcError::params(format_args!("{name} must be a number of milliseconds")))
}

impl Options {
    fn read(params: Value) -> Result<Self, RpcError> {
        serde_path_to_error::deserialize(params).map_err(|error| RpcError::shape(&error))
    }

    pub(super) fn signalling(params: Value) -> Result<SignallingOptions, RpcError> {
        let given = Self::read(params)?;
        if given.no_rtc.is_some() || given.local_addresses.is_some() {
            return Err(RpcError::params("noRtc and localAddresses are options of peers"));
        }
        given.build()
    }

    pub(super) fn peer(params: Value) -> Result<PeerOptions, RpcError> {
        let mut given = Self::read(params)?;
        let ice_servers = std::mem::take(&mut given.ice_servers);
        let (ice_transport_policy, rtc) =
            (given.ice_transport_policy, !given.no_rtc.unwrap_or_default());
        let local_addresses = given.local_addresses.take();
        let mut options = PeerOptions::new(given.build()?);
        options.ice_servers = ice_servers;
        options.ice_transport_policy = ice_transport_policy;
        options.rtc = rtc;
        options.local_addresses =
            local_addresses.map(|all| Arc::new(move || all.clone()) as Arc<dyn LocalAddresses>);
        Ok(options)
    }

    fn build(self) -> Result<SignallingOptions, RpcError> {
        let mut options = match (self.api_key, self.token, self.token_file, self.token_command) {
            (Some(key), None, None, None) => SignallingOptions::with_api_key(key)?,
            (None, Some(token), None, None) => SignallingOptions::with_token(token)?,
            (None, None, Some(file), None) => token_file(file),
            (None, None, None, Some(command)) => token_command(command),
            _ => {
                let message =
                    "exactly one of apiKey, token, tokenFile and tokenCommand is required";
                return Err(RpcError::params(message));
            }
        };
        if let Some(url) = self.url {
            options.url = url;
        }
        if let Some(limit) = self.token_provider_timeout_ms {
            options.token_provider_timeout = ms("tokenProviderTimeoutMs", limit)?;
        }
        if let Some(limit) = self.inactivity_timeout_ms {
            options.inactivity_timeout = match limit > 0.0 {
                true => Some(ms("inactivityTimeoutMs", limit)?),
                false => None,
            };
        }
        match self.reconnect {
            None | Some(Reconnect::Switch(true)) => {}
            Some(Reconnect::Switch(false)) => options.reconnect = None,
            Some(Reconnect::Options(fields)) => options.reconnect = Some(fields.build()?),
        }
        options.auto_resubscribe = self.auto_resubscribe.unwrap_or(true);
        options.origin = self.origin;
        for path in &self.extra_roots {
            let pem = std::fs::read_to_string(path).map_err(|error| {
                RpcError::params(format_args!("extraRoots: {}: {error}", path.display()))
            })?;
            options.tls.extra_roots_pem.push(pem);
        }
        if let Some(level) = self.log_level {
            crate::output::set_trace_level(match level {
                LogLevel::Off => "off",
                LogLevel::Error => "error",
                LogLevel::Warn => "warn",
                LogLevel::Info => "info",
                LogLevel::Debug => "debug",
                LogLevel::Trace => "trace",
            });
        }
        Ok(options)
    }
}

impl ReconnectFields {
    fn build(self) -> Result<ReconnectOptions, RpcError> {
        let mut made = ReconnectOptions::default();
        if let Some(value) = self.initial_delay_ms {
            made.initial_delay = ms("initialDelayMs", value)?;
        }
        if let Some(value) = self.max_delay_ms {
            made.max_delay = ms("maxDelayMs", value)?;
        }
        made.multiplier = self.multiplier.unwrap_or(made.multiplier);
        made.jitter_ratio = self.jitter_ratio.unwrap_or(made.jitter_ratio);
        match self.max_attempts {
            None => {}
            Some(Value::String(word)) if word == "infinite" => made.max_attempts = None,
            Some(value) => {
                let most = value.as_u64().and_then(|most| u32::try_from(most).ok());
                let most = most.filter(|most| *most >= 1).ok_or_else(|| {
                    RpcError::params(
                        "maxAttempts must be a whole number from 1 on, or \"infinite\"",
                    )
                })?;
                made.max_attempts = Some(most);
            }
        }
        Ok(made)
    }
}
