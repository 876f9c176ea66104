//! Why a target cannot be, and why a dial failed.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::diagnosis::Diagnosis;
use crate::platform::tls::{PIN_MISMATCH, TlsConfigError};
use crate::signalling::error::{ConnectError, HttpRefusal, NetworkFailure};

/// An address, header, proxy or TLS option that cannot be.
///
/// ```
/// use metered_realtime::signalling::{OptionsError, SignallingClient, SignallingOptions, TargetError};
/// let mut options = SignallingOptions::with_api_key("pk_live_example")?;
/// options.url = "https://rms.metered.ca/v1".into();
/// let Err(OptionsError::Target(error)) = SignallingClient::new(options) else { panic!() };
/// assert!(matches!(error, TargetError::Url { .. }));
/// assert_eq!(error.code(), "invalid_url");
/// println!("{error}. {}", error.diagnosis());
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Not `wss://host[:port]`, or `ws://` to this machine.
    #[error("the url cannot be used: {what}")]
    Url {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A header with characters that HTTP does not allow, or one of the handshake's own.
    #[error("the header {name} cannot be sent")]
    Header {
        /// Its name.
        name: String,
    },
    /// Not `http://[user:password@]host[:port]` or `https://…`.
    #[error("the proxy's url cannot be used")]
    Proxy,
    /// TLS options.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
}

impl TargetError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } => "invalid_url",
            Self::Header { .. } => "invalid_header",
            Self::Proxy => "invalid_proxy",
            Self::Tls(error) => error.code(),
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Url { what } => Diagnosis::new(
                format!("The url option cannot be used: {what}."),
                "Give wss://host or wss://host:port without a path; leave it out for the service itself. ws:// works for localhost, 127.0.0.1 and [::1] only, as the credential would travel readable.",
            ),
            Self::Header { .. } => Diagnosis::new(
                "A header's name or value has characters that HTTP does not allow, or it is one that the handshake sets itself.",
                "Leave out line breaks, Host, Connection, Upgrade, Origin (it has its own option) and Sec-WebSocket-….",
            ),
            Self::Proxy => Diagnosis::new(
                "The proxy option, or a proxy variable of the environment, is not a URL of an HTTP proxy.",
                "Give http://host:port or https://host:port, with user:password@ before the host if it asks for them.",
            ),
            Self::Tls(error) => error.diagnosis(),
        }
    }
}

/// Why there is no socket.
#[derive(Debug)]
pub(crate) enum DialError {
    /// The name has no address, or none could be asked for.
    Dns(io::Error),
    /// No address could be connected to.
    Connect(Vec<(SocketAddr, io::Error)>),
    /// The proxy would not.
    Proxy(ProxyFailure),
    /// TLS could not be agreed on.
    Tls(io::Error),
    /// The server answered with something other than a WebSocket.
    Refused(HttpRefusal),
    /// The answer to the upgrade is no proper HTTP, or no proper upgrade.
    BadAnswer(&'static str),
    /// The connection broke on the way.
    Broken(io::Error),
    /// The name or the addresses of the proxy failed.
    OfProxy(Box<DialError>),
}

#[derive(Debug)]
pub(crate) enum ProxyFailure {
    Status(u16),
    BadAnswer,
    Url,
}

impl From<DialError> for ConnectError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Refused(refusal) => Self::Http(refusal),
            other => Self::Network(other.describe()),
        }
    }
}

impl DialError {
    /// What failed on the way to the server failed on the way to its proxy.
    pub(super) fn of_proxy(self) -> Self {
        Self::OfProxy(Box::new(self))
    }

    fn describe(&self) -> NetworkFailure {
        let (code, message, diagnosis) = match self {
            Self::Dns(error) => (
                "dns_failed",
                format!("the server's name could not be looked up: {error}"),
                Diagnosis::new(
                    "The system could not find an address for the server's name: there is no network, its DNS fails, or the url option has a typing error.",
                    "Check that the device is online and the url option; the client tries again by itself after a first connection.",
                ),
            ),
            Self::Connect(attempts) => (
                "connect_failed",
                format!("no address of the server could be reached: {}", Attempts(attempts)),
                Diagnosis::new(
                    "The server's name has addresses, and none of them accepted a connection: a firewall in between, no route, or nothing listens there.",
                    "Check the url option's host and port, and whether the network blocks the port; set a proxy if the network asks for one.",
                ),
            ),
            Self::Proxy(failure) => (
                "proxy_failed",
                match failure {
                    ProxyFailure::Status(status) => {
                        format!("the proxy answered with HTTP status {status}")
                    }
                    ProxyFailure::BadAnswer => "the proxy's answer is no HTTP".into(),
                    ProxyFailure::Url => "the proxy's url in the environment cannot be used".into(),
                },
                Diagnosis::new(
                    "The proxy did not open a tunnel to the server.",
                    "Check the proxy option or the variables https_proxy and no_proxy: address, user and password; 407 asks for the latter, 403 says that the proxy forbids this server.",
                ),
            ),
            Self::Tls(error) => tls(error),
            Self::BadAnswer(what) => (
                "bad_upgrade",
                format!("the answer to the upgrade is no WebSocket: {what}"),
                Diagnosis::new(
                    "What answered at this address does not speak WebSocket, or something in between changed the answer.",
                    "Check the url option; on a public network, sign in to its portal first; let proxies pass WebSocket connections.",
                ),
            ),
            Self::Broken(error) => (
                "connection_broken",
                format!("the connection broke before it was open: {}", error.kind()),
                Diagnosis::new(
                    "The server, or something in between, cut the connection before the WebSocket was open.",
                    "Look at what stands between app and service; a firewall that inspects TLS is a frequent reason.",
                ),
            ),
            Self::OfProxy(error) => return error.describe().of_proxy(),
            Self::Refused(_) => ("http_refused", String::new(), Diagnosis::new("", "")),
        };
        NetworkFailure { code, message, diagnosis }
    }
}

impl NetworkFailure {
    fn of_proxy(self) -> Self {
        let diagnosis = Diagnosis::new(
            "Connections to the server go by an HTTP proxy, and this machine did not get as far as that.",
            "Check host and port in the proxy option or in the variable https_proxy; if the network has no proxy, unset both.",
        );
        let message = self.message.replace("the server", "the proxy");
        Self { message, diagnosis, ..self }
    }
}

fn tls(error: &io::Error) -> (&'static str, String, Diagnosis) {
    use rustls::{CertificateError, Error};
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let (code, message, cause, fix) = match reason {
        Some(Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => (
            "tls_expired",
            "the server's certificate has expired",
            "The server's certificate has expired, or this device's clock is wrong.",
            "Check the device's date; if it is right, renew the server's certificate.",
        ),
        Some(Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => (
            "tls_not_valid_yet",
            "the server's certificate is not valid yet",
            "The server's certificate is not valid yet: usually this device's clock is behind.",
            "Check the device's date.",
        ),
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => (
            "tls_wrong_name",
            "the server's certificate is for another name",
            "The server's certificate is for another name than the url option has.",
            "Use the name in the certificate, or renew it with this name.",
        ),
        Some(Error::InvalidCertificate(_)) => (
            "tls_untrusted",
            "the server's certificate is not trusted",
            "The server's certificate does not come from a root that this device trusts: a test server, or a proxy that inspects TLS.",
            "Add the root to the client's extra roots, or to the device. A certificate that is its own root must be replaced by one that a root has signed.",
        ),
        Some(Error::General(what)) if what == PIN_MISMATCH => (
            "tls_pin_mismatch",
            PIN_MISMATCH,
            "No certificate that the server presented has one of the pinned keys: its key was changed, or somebody stands in between.",
            "If the key was changed on purpose, ship its pin; ship a backup pin with every release.",
        ),
        _ => (
            "tls_failed",
            "TLS could not be agreed on",
            "The server, or something in between, does not speak TLS 1.2 or 1.3 on this port.",
            "Check the url option's scheme and port: wss:// needs TLS, ws:// has none.",
        ),
    };
    (code, message.to_owned(), Diagnosis::new(cause, fix))
}

struct Attempts<'a>(&'a [(SocketAddr, io::Error)]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (address, error)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{address} {}", error.kind())?;
        }
        Ok(())
    }
}
