//! Where to connect to and how, checked once.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use url::{Host, Url};

use super::error::TargetError;
use super::proxy::{Proxy, ProxySetting};
use crate::platform::tls::{TlsOptions, client_config};

/// Headers that the handshake sets itself.
const OWN_HEADERS: [&str; 4] = ["host", "connection", "upgrade", "origin"];

/// A server and the way to it.
#[derive(Debug)]
pub(crate) struct Target {
    /// Name or address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The name that the certificate must have; `None` without TLS.
    pub(super) server_name: Option<ServerName<'static>>,
    /// For the request: host, and the port if it is not the scheme's.
    pub(super) authority: String,
    pub(super) origin: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) proxy: Option<Result<Proxy, TargetError>>,
    /// For the server, the proxy, or both; `None` if neither speaks TLS.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl Target {
    pub(crate) fn new(
        url: &str,
        origin: Option<String>,
        headers: &[(String, String)],
        proxy: &ProxySetting,
        tls: &TlsOptions,
    ) -> Result<Self, TargetError> {
        let bad = |what| TargetError::Url { what };
        let parsed = Url::parse(url).map_err(|_| bad("it is not a URL"))?;
        let secure = match parsed.scheme() {
            "wss" => true,
            "ws" => false,
            _ => return Err(bad("its scheme is not wss")),
        };
        let host = parsed.host().ok_or_else(|| bad("it has no host"))?;
        if !secure && !is_this_machine(&host) {
            return Err(bad("ws without TLS is for this machine only"));
        }
        if !matches!(parsed.path(), "" | "/") {
            return Err(bad("it has a path"));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(bad("it has a query or a fragment"));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(bad("it has a user"));
        }
        let port = parsed.port_or_known_default().ok_or_else(|| bad("it has no port"))?;
        let authority = match parsed.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let host = match host {
            Host::Ipv6(address) => address.to_string(),
            other => other.to_string(),
        };
        let server_name = match secure {
            true => Some(ServerName::try_from(host.clone()).map_err(|_| bad("its host"))?),
            false => None,
        };
        if let Some(origin) = &origin {
            check_header("Origin", origin)?;
        }
        for (name, value) in headers {
            let lower = name.to_ascii_lowercase();
            if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("sec-websocket-") {
                return Err(TargetError::Header { name: name.clone() });
            }
            check_header(name, value)?;
        }
        let proxy = proxy.resolve(secure, &host)?;
        let tls_to_proxy = matches!(&proxy, Some(Ok(proxy)) if proxy.secure);
        let tls = match secure || tls_to_proxy {
            true => Some(client_config(tls)?),
            // Options that cannot be are an error all the same.
            false if *tls != TlsOptions::default() => client_config(tls).map(|_| None)?,
            false => None,
        };
        let headers = headers.to_vec();
        Ok(Self { host, port, server_name, authority, origin, headers, proxy, tls })
    }
}

/// `localhost`, 127.0.0.1 and ::1, as the JavaScript SDK has it.
fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.octets() == [127, 0, 0, 1],
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// RFC 9110 section 5: a token as the name, visible ASCII and blanks as the value.
fn check_header(name: &str, value: &str) -> Result<(), TargetError> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let visible = |b: u8| b == b' ' || b == b'\t' || b.is_ascii_graphic();
    if name.is_empty() || !name.bytes().all(token) || !value.bytes().all(visible) {
        return Err(TargetError::Header {
            name: name.chars().filter(|c| !c.is_control()).collect(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, TargetError> {
        Target::new(url, None, &[], &ProxySetting::None, &TlsOptions::default())
    }

    #[test]
    fn addresses_follow_the_official_rule() {
        for good in ["wss://rms.metered.ca", "wss://h:8443/", "ws://localhost:1", "ws://[::1]:2"] {
            assert!(target(good).is_ok(), "{good}");
        }
        for bad in [
            "rms.metered.ca",
            "https://h",
            "ws://example.org",
            "ws://127.0.0.2",
            "ws://localhost.example.org",
            "wss://h/v1",
            "wss://h?x=1",
            "wss://h/#f",
            "wss://user@h",
            "wss://",
        ] {
            assert_eq!(target(bad).unwrap_err().code(), "invalid_url", "{bad}");
        }
    }

    #[test]
    fn host_and_authority_are_told_apart() {
        let v6 = target("ws://[::1]:80").unwrap();
        assert_eq!((v6.host.as_str(), v6.authority.as_str(), v6.port), ("::1", "[::1]", 80));
        let named = target("wss://h:8443").unwrap();
        assert_eq!((named.authority.as_str(), named.port), ("h:8443", 8443));
    }

    #[test]
    fn headers_cannot_break_out_of_their_line_or_replace_the_handshakes_own() {
        for (name, value) in [
            ("X", "a\r\nEvil: 1"),
            ("X Y", "a"),
            ("", "a"),
            ("Host", "h"),
            ("Sec-WebSocket-Key", "k"),
            ("ORIGIN", "o"),
        ] {
            let headers = [(name.to_owned(), value.to_owned())];
            let tls = TlsOptions::default();
            let made = Target::new("ws://localhost", None, &headers, &ProxySetting::None, &tls);
            assert_eq!(made.unwrap_err().code(), "invalid_header", "{name}");
        }
    }
}
