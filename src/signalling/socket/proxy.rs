//! HTTP proxies: which one, if any, and the tunnel through it (CONNECT, RFC 9110 section 9.3.6).

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

use super::error::{DialError, ProxyFailure, TargetError};
use super::stream::Stream;

/// Bytes of a proxy's answer.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// Which way out a client takes.
///
/// ```
/// use metered_realtime::signalling::ProxySetting;
/// let proxy = ProxySetting::url("http://user:password@proxy.example:3128");
/// assert_eq!(format!("{proxy:?}"), "ProxySetting::Url(…)");
/// ```
#[derive(Clone, Default)]
pub enum ProxySetting {
    /// As the environment says: `https_proxy` (or `HTTPS_PROXY`) for wss, `http_proxy` for ws, `all_proxy`,
    /// but not for the hosts in `no_proxy` and never for this machine.
    #[default]
    Environment,
    /// Straight.
    None,
    /// Through this proxy, always: `http://[user:password@]host[:port]`, or `https://…` for TLS to the proxy.
    Url(SecretString),
}

impl ProxySetting {
    /// A proxy by its URL.
    pub fn url(url: impl Into<String>) -> Self {
        Self::Url(SecretString::from(url.into()))
    }

    /// The proxy for a host. One from the environment that cannot be used is an error of the dial, since
    /// it is not this client's options that are wrong.
    pub(super) fn resolve(
        &self,
        secure: bool,
        host: &str,
    ) -> Result<Option<Result<Proxy, TargetError>>, TargetError> {
        match self {
            Self::None => Ok(None),
            Self::Url(url) => Ok(Some(Ok(Proxy::parse(url.expose_secret())?))),
            Self::Environment => {
                let read = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
                Ok(from_environment(&read, secure, host).map(|url| Proxy::parse(&url)))
            }
        }
    }
}

impl fmt::Debug for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "ProxySetting::Environment",
            Self::None => "ProxySetting::None",
            Self::Url(_) => "ProxySetting::Url(…)",
        })
    }
}

/// A proxy that can be used.
pub(crate) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// TLS to the proxy itself.
    pub(super) secure: bool,
    authorization: Option<SecretString>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

impl Proxy {
    fn parse(text: &str) -> Result<Self, TargetError> {
        let with_scheme =
            if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&with_scheme).map_err(|_| TargetError::Proxy)?;
        let secure = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(TargetError::Proxy),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(TargetError::Proxy)?;
        let port = url.port_or_known_default().ok_or(TargetError::Proxy)?;
        let authorization = (!url.username().is_empty()).then(|| {
            let decode = |part: &str| percent_decode(part);
            let pair =
                format!("{}:{}", decode(url.username()), decode(url.password().unwrap_or("")));
            SecretString::from(format!("Basic {}", STANDARD.encode(pair)))
        });
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port, secure, authorization })
    }

    /// `host:port`, without user and password.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Asks for a tunnel to `host:port` on a stream to the proxy.
    pub(super) async fn tunnel(
        &self,
        mut stream: Stream,
        host: &str,
        port: u16,
    ) -> Result<Stream, DialError> {
        let name = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut request = format!("CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str("Proxy-Authorization: ");
            request.push_str(authorization.expose_secret());
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.map_err(DialError::Broken)?;
        stream.flush().await.map_err(DialError::Broken)?;
        let mut answer = Vec::new();
        loop {
            // Byte by byte to the end of the head: what follows it is the tunnel's.
            let byte = stream.read_u8().await.map_err(DialError::Broken)?;
            answer.push(byte);
            if answer.ends_with(b"\r\n\r\n") {
                break;
            }
            if answer.len() >= MAX_ANSWER_BYTES {
                return Err(DialError::Proxy(ProxyFailure::BadAnswer));
            }
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&answer).ok().and(response.code) {
            Some(200..=299) => Ok(stream),
            Some(status) => Err(DialError::Proxy(ProxyFailure::Status(status))),
            None => Err(DialError::Proxy(ProxyFailure::BadAnswer)),
        }
    }
}

/// Reads the customary variables (curl's rules). `HTTP_PROXY` in capitals is not read: under CGI a request
/// could set it.
fn from_environment(
    read: &dyn Fn(&str) -> Option<String>,
    secure: bool,
    host: &str,
) -> Option<String> {
    let any = |names: [&str; 2]| names.iter().find_map(|name| read(name));
    let scheme = match secure {
        true => any(["https_proxy", "HTTPS_PROXY"]),
        false => read("http_proxy"),
    };
    let url = scheme.or_else(|| any(["all_proxy", "ALL_PROXY"]))?;
    let exempt = any(["no_proxy", "NO_PROXY"]).unwrap_or_default();
    (!is_loopback(host) && !is_exempt(host, &exempt)).then_some(url)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_exempt(host: &str, list: &str) -> bool {
    let host = host.to_ascii_lowercase();
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
        if entry == "*" || entry == host {
            return true;
        }
        if let Some((network, bits)) = entry.split_once('/') {
            return in_network(&host, network, bits);
        }
        let suffix = entry.trim_start_matches("*.").trim_start_matches('.');
        !suffix.is_empty()
            && (host == suffix || host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')))
    })
}

fn in_network(host: &str, network: &str, bits: &str) -> bool {
    let (Ok(host), Ok(network), Ok(bits)) =
        (host.parse::<IpAddr>(), network.parse::<IpAddr>(), bits.parse::<u32>())
    else {
        return false;
    };
    let same = |a: &[u8], b: &[u8]| {
        (0..bits as usize).all(|bit| {
            let mask = 0x80 >> (bit % 8);
            a.get(bit / 8).map(|byte| byte & mask) == b.get(bit / 8).map(|byte| byte & mask)
        })
    };
    match (host, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => bits <= 32 && same(&a.octets(), &b.octets()),
        (IpAddr::V6(a), IpAddr::V6(b)) => bits <= 128 && same(&a.octets(), &b.octets()),
        _ => false,
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = (byte == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &tail[2..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)], secure: bool, host: &str) -> Option<String> {
        let read = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        from_environment(&read, secure, host)
    }

    #[test]
    fn the_environment_is_read_as_curl_reads_it() {
        let both = [("https_proxy", "http://a:1"), ("http_proxy", "http://b:2")];
        assert_eq!(chosen(&both, true, "example.org").unwrap(), "http://a:1");
        assert_eq!(chosen(&both, false, "example.org").unwrap(), "http://b:2");
        assert_eq!(chosen(&both, true, "localhost"), None);
        assert_eq!(chosen(&both, true, "127.0.0.9"), None);
        assert_eq!(chosen(&[("HTTP_PROXY", "http://c:3")], false, "example.org"), None);
        let all = [("ALL_PROXY", "http://d:4")];
        assert_eq!(chosen(&all, true, "example.org").unwrap(), "http://d:4");
        for exempt in ["*", "example.org", ".example.org", "x, EXAMPLE.org", "*.org"] {
            let list = [("https_proxy", "http://a:1"), ("no_proxy", exempt)];
            assert_eq!(chosen(&list, true, "example.org"), None, "{exempt}");
        }
        let near = [("https_proxy", "http://a:1"), ("no_proxy", "ample.org,10.0.0.0/8")];
        assert!(chosen(&near, true, "example.org").is_some());
        assert_eq!(chosen(&near, true, "10.1.2.3"), None);
        assert!(chosen(&near, true, "11.1.2.3").is_some());
    }

    #[test]
    fn a_proxys_password_is_decoded_and_hidden() {
        let proxy = Proxy::parse("http://u%40x:p%3Aw@proxy:3128").unwrap();
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy:3128)");
        let expected = format!("Basic {}", STANDARD.encode("u@x:p:w"));
        assert_eq!(proxy.authorization.unwrap().expose_secret(), expected);
        assert_eq!(Proxy::parse("proxy:3128").unwrap().port, 3128);
        assert!(Proxy::parse("socks5://proxy").is_err());
    }
}
