//! The options that every command which connects has.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use metered_dev_server::DEV_API_KEY;
use metered_realtime::credential::TokenProviderError;
use metered_realtime::peer::{LocalAddresses, MeteredPeer, PeerOptions};
use metered_realtime::signalling::{DEFAULT_URL, ProxySetting, SignallingOptions};

use crate::output::Failure;
use crate::token_command::token_command;

/// Where to connect, and as whom.
///
/// A credential on the command line can be seen by other users of this machine; the environment or a file
/// cannot.
#[derive(Args)]
pub(crate) struct Connection {
    /// The service: wss://host or wss://host:port, or ws:// for this machine.
    #[arg(long, env = "METERED_URL", default_value = DEFAULT_URL)]
    url: String,
    /// A publishable key, pk_live_… Without any credential here it is METERED_API_KEY.
    #[arg(long, group = "credential")]
    key: Option<String>,
    /// A token for all connections. Without any credential here it is METERED_TOKEN.
    #[arg(long, group = "credential")]
    token: Option<String>,
    /// A file with a token, read anew for each connection.
    #[arg(long, value_name = "FILE", group = "credential")]
    token_file: Option<PathBuf>,
    /// A shell command that prints a token and asks nobody, run for each connection.
    #[arg(long, value_name = "COMMAND", group = "credential")]
    token_command: Option<String>,
    /// The Origin header; none by default.
    #[arg(long)]
    origin: Option<String>,
    /// An HTTP proxy, or "none"; by default as https_proxy and no_proxy say.
    #[arg(long, env = "METERED_PROXY", hide_env_values = true)]
    proxy: Option<String>,
    /// A PEM file of a further root to trust; may be repeated.
    #[arg(long, value_name = "FILE")]
    extra_root: Vec<PathBuf>,
    /// By the environment, for those who give no credential on the command line.
    #[arg(skip = Environment::read())]
    environment: Environment,
}

/// What the environment says.
struct Environment {
    key: Option<String>,
    token: Option<String>,
}

/// It holds credentials.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Environment {
    fn read() -> Self {
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self { key: read("METERED_API_KEY"), token: read("METERED_TOKEN") }
    }
}

/// A credential as it was given, for a look at its shape. Not to be shown.
#[derive(Clone, Copy)]
pub(crate) enum Given<'a> {
    Key(&'a str),
    Token(&'a str),
    /// By a file or a command.
    Elsewhere,
}

impl Connection {
    pub(crate) fn options(&self) -> Result<SignallingOptions, Failure> {
        let mut options = self.credential()?;
        self.way(&mut options)?;
        Ok(options)
    }

    /// Key and token: those of the command line, or those of the environment if it names no credential.
    fn key_and_token(&self) -> (Option<&str>, Option<&str>) {
        let named = self.key.is_some()
            || self.token.is_some()
            || self.token_file.is_some()
            || self.token_command.is_some();
        let Environment { key, token } = &self.environment;
        let (key, token) = if named { (&self.key, &self.token) } else { (key, token) };
        (key.as_deref(), token.as_deref())
    }

    pub(crate) fn given(&self) -> Given<'_> {
        match self.key_and_token() {
            (Some(key), _) => Given::Key(key),
            (None, Some(token)) => Given::Token(token),
            (None, None) => Given::Elsewhere,
        }
    }

    /// Defaults with the credential.
    pub(crate) fn credential(&self) -> Result<SignallingOptions, Failure> {
        let (key, token) = self.key_and_token();
        Ok(match (key, token, &self.token_file, &self.token_command) {
            (Some(_), Some(_), ..) => {
                return Err(Failure::new(
                    "two_credentials",
                    "METERED_API_KEY and METERED_TOKEN are both set",
                    "The service must know which of the two connects.",
                    "Unset one of them, or give --key, --token, --token-file or --token-command.",
                ));
            }
            (Some(DEV_API_KEY), ..) if self.url == DEFAULT_URL => {
                return Err(Failure::new(
                    "local_key",
                    format_args!(
                        "{DEV_API_KEY} is the key of the local server, and this would go to the service"
                    ),
                    "Without --url and METERED_URL a command connects to the service, which does not know that key.",
                    "For the local server add --url ws://127.0.0.1:8787, with metered serve running; for the service give a key of your app.",
                ));
            }
            (Some(key), ..) => SignallingOptions::with_api_key(key)?,
            (_, Some(token), ..) => SignallingOptions::with_token(token)?,
            (.., Some(file), _) => token_file(file.clone()),
            (.., Some(command)) => token_command(command.clone()),
            (None, None, None, None) => {
                return Err(Failure::new(
                    "no_credential",
                    "there is no credential",
                    "The service must know who connects.",
                    "Give --key, --token, --token-file or --token-command, or set METERED_API_KEY or METERED_TOKEN. For a local server: --key pk_live_dev.",
                ));
            }
        })
    }

    /// Where to, and how.
    pub(crate) fn way(&self, options: &mut SignallingOptions) -> Result<(), Failure> {
        options.url.clone_from(&self.url);
        options.origin.clone_from(&self.origin);
        options.proxy = match self.proxy.as_deref() {
            None => ProxySetting::Environment,
            Some("none") => ProxySetting::None,
            Some(url) => ProxySetting::url(url),
        };
        for path in &self.extra_root {
            let pem = std::fs::read_to_string(path).map_err(|error| {
                let message = format!("{}: {error}", path.display());
                let cause = "A root to trust is read from a file of text.";
                Failure::new("unreadable_file", message, cause, "Give the path of a PEM file.")
            })?;
            options.tls.extra_roots_pem.push(pem);
        }
        Ok(())
    }
}

/// The options of a command that connects to peers.
#[derive(Debug, Args)]
pub(crate) struct PeerConnection {
    #[command(flatten)]
    connection: Connection,
    /// A local address that connections to peers may use; may be repeated. By default those of all interfaces.
    #[arg(long, value_name = "IP")]
    local_address: Vec<IpAddr>,
}

impl PeerConnection {
    pub(crate) fn peer(&self) -> Result<MeteredPeer, Failure> {
        let options = self.connection.options()?;
        self.check_addresses()?;
        Ok(MeteredPeer::new(self.with(options))?)
    }

    /// An address of another machine would be found out by the first connection alone, and in every one anew.
    pub(crate) fn check_addresses(&self) -> Result<(), Failure> {
        for address in &self.local_address {
            std::net::UdpSocket::bind((*address, 0)).map_err(|error| {
                Failure::new(
                    "local_address_unusable",
                    format_args!("--local-address {address}: {error}"),
                    "A connection leaves from an address of this machine, and this is none.",
                    "Give an address that ip addr (ifconfig, ipconfig) shows, or leave the option out.",
                )
            })?;
        }
        Ok(())
    }

    pub(crate) const fn service(&self) -> &Connection {
        &self.connection
    }

    /// Options of a peer with another way to a service, or another credential.
    pub(crate) fn with(&self, signalling: SignallingOptions) -> PeerOptions {
        let mut options = PeerOptions::new(signalling);
        if !self.local_address.is_empty() {
            let addresses = self.local_address.clone();
            options.local_addresses =
                Some(Arc::new(move || addresses.clone()) as Arc<dyn LocalAddresses>);
        }
        options
    }
}

/// Options with a file that is read whenever a token is needed.
pub(crate) fn token_file(path: PathBuf) -> SignallingOptions {
    SignallingOptions::with_token_provider(move || {
        let path = path.clone();
        async move {
            let text = tokio::fs::read_to_string(&path).await;
            let text = text.map_err(|error| {
                let path = path.display();
                TokenProviderError::new(format_args!("the file {path} cannot be read: {error}"))
            })?;
            Ok(text.trim().to_owned())
        }
    })
}
