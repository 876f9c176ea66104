//! The app's STUN and TURN servers under made-up names.
//!
//! The crate knows `sN.invalid` (RFC 6761 section 6.4), which resolves at once to one address of the
//! reserved block 240.0.0.0/4 and one of the discard prefix 100::/64 (RFC 6666). Nothing is ever sent to
//! these: [`super::sockets`] sends it to the real server instead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::Instant;
use webrtc::peer_connection::RTCIceServer;

use super::NetworkContext;
use super::names::Name;
use crate::rtc::engine::IceServerError;
use crate::wire::IceServer;

/// Servers of one connection.
const MAX_SERVERS: usize = 64;
/// W3C WebRTC section 4.8.2: the server could not be reached.
pub(super) const UNREACHABLE: u16 = 701;
const DEFAULT_PORT: u16 = 3478;
const DEFAULT_TLS_PORT: u16 = 5349;

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// An ICE server's URL (RFC 7064, RFC 7065).
#[derive(Clone, Debug, PartialEq, Eq)]
struct ServerUrl {
    relay: bool,
    host: String,
    port: u16,
    transport: Transport,
}

impl ServerUrl {
    fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once(':').ok_or("it has no scheme")?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (relay, transport, default_port) = match (scheme, query) {
            ("stun", _) => (false, Transport::Udp, DEFAULT_PORT),
            ("turn", "" | "transport=udp") => (true, Transport::Udp, DEFAULT_PORT),
            ("turn", "transport=tcp") => (true, Transport::Tcp, DEFAULT_PORT),
            ("turns", "" | "transport=tcp") => (true, Transport::Tls, DEFAULT_TLS_PORT),
            ("stuns", _) => return Err("STUN over TLS finds no address for UDP"),
            ("turns", "transport=udp") => return Err("TURN over DTLS is not supported"),
            ("turn" | "turns", _) => return Err("its query is unknown"),
            _ => return Err("its scheme is none of stun, turn, turns"),
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("its address lacks a bracket")?;
                (host, port.strip_prefix(':'))
            }
            None => match address.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (address, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or("its port is none")?,
            None => default_port,
        };
        if host.is_empty() {
            return Err("it has no host");
        }
        Ok(Self { relay, host: host.to_owned(), port, transport })
    }
}

/// One server, however many URLs and credentials name it.
#[derive(Debug)]
pub(super) struct Server {
    number: u16,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) transport: Transport,
    /// The app's URL that named it first.
    url: String,
    /// The first that named it as a relay: one server may be both, and as a relay it can refuse.
    relay_url: OnceLock<String>,
    pub(super) name: Name,
}

impl Server {
    /// The app's URL, for events and figures.
    pub(super) fn url(&self) -> &str {
        self.relay_url.get().unwrap_or(&self.url)
    }

    fn crate_name(&self) -> String {
        format!("s{}.invalid:{}", self.number, self.port)
    }

    pub(super) fn made_up(&self, ipv4: bool) -> SocketAddr {
        let [high, low] = self.number.to_be_bytes();
        let ip = match ipv4 {
            true => IpAddr::from(Ipv4Addr::new(240, 0, high, low)),
            false => IpAddr::from(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, self.number)),
        };
        SocketAddr::new(ip, self.port)
    }
}

type OnError = Box<dyn Fn(IceServerError) + Send + Sync>;

/// All servers of a connection, and the tasks that reach them.
pub(super) struct Servers {
    pub(super) network: Arc<NetworkContext>,
    on_error: OnError,
    known: Mutex<Vec<Arc<Server>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Servers {
    pub(super) fn new(network: Arc<NetworkContext>, on_error: OnError) -> Self {
        let (known, tasks) = (Mutex::default(), Mutex::default());
        Self { network, on_error, known, tasks }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Server>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, servers: &[IceServer]) -> Vec<RTCIceServer> {
        let mut told = Vec::new();
        for server in servers {
            let mut urls = Vec::new();
            for url in server.urls.as_slice() {
                match ServerUrl::parse(url) {
                    Ok(parsed) => {
                        let Some(known) = self.intern(&parsed, url) else { break };
                        let scheme = if parsed.relay { "turn" } else { "stun" };
                        let query = if parsed.relay { "?transport=udp" } else { "" };
                        urls.push(format!("{scheme}:{}{query}", known.crate_name()));
                    }
                    Err(reason) => self.report(url, "ice_url_unusable", UNREACHABLE, reason),
                }
            }
            let secret = |text: &Option<String>| text.clone().unwrap_or_default();
            let (username, credential) = (secret(&server.username), secret(&server.credential));
            if urls.iter().any(|url| url.starts_with("turn"))
                && (username.is_empty() || credential.is_empty())
            {
                // The crate would refuse the whole list.
                let url = server.urls.as_slice().first().map_or("", String::as_str);
                self.report(
                    url,
                    "turn_credentials_missing",
                    UNREACHABLE,
                    "username or credential is missing",
                );
                urls.retain(|url| url.starts_with("stun"));
            }
            if !urls.is_empty() {
                told.push(RTCIceServer { urls, username, credential });
            }
        }
        told
    }

    fn intern(&self, parsed: &ServerUrl, url: &str) -> Option<Arc<Server>> {
        let mut known = self.lock();
        let same = |server: &&Arc<Server>| {
            (&server.host, server.port, server.transport)
                == (&parsed.host, parsed.port, parsed.transport)
        };
        if let Some(server) = known.iter().find(same) {
            if parsed.relay {
                server.relay_url.get_or_init(|| url.to_owned());
            }
            return Some(Arc::clone(server));
        }
        if known.len() >= MAX_SERVERS {
            return None;
        }
        let number = u16::try_from(known.len() + 1).ok()?;
        let server = Arc::new(Server {
            number,
            host: parsed.host.clone(),
            port: parsed.port,
            transport: parsed.transport,
            url: url.to_owned(),
            relay_url: parsed.relay.then(|| url.to_owned()).map_or_else(OnceLock::new, Into::into),
            name: Name::new(&parsed.host, parsed.port),
        });
        self.look_up(&server);
        known.push(Arc::clone(&server));
        Some(server)
    }

    fn look_up(&self, server: &Arc<Server>) {
        if server.name.begin(Instant::now()) {
            let (server, source) = (Arc::clone(server), self.network.names.clone());
            self.spawn(async move { server.name.look_up(&source).await });
        }
    }

    /// A socket is bound, maybe to another network than those before.
    pub(super) fn bound(&self) {
        self.lock().iter().for_each(|server| self.look_up(server));
    }

    /// The addresses that the crate shall take for a server's.
    pub(super) fn made_up_addresses(&self, host_and_port: &str) -> Option<Vec<SocketAddr>> {
        let known = self.lock();
        let server = known.iter().find(|server| server.crate_name() == host_and_port)?;
        Some(vec![server.made_up(true), server.made_up(false)])
    }

    /// The server behind a made-up address.
    pub(super) fn behind(&self, address: SocketAddr) -> Option<Arc<Server>> {
        let number = match address.ip() {
            IpAddr::V4(ip) => match ip.octets() {
                [240, 0, high, low] => u16::from_be_bytes([high, low]),
                _ => return None,
            },
            IpAddr::V6(ip) => match ip.segments() {
                [0x100, 0, 0, 0, 0, 0, 0, number] => number,
                _ => return None,
            },
        };
        self.lock().get(usize::from(number).checked_sub(1)?).cloned()
    }

    pub(super) fn url_of(&self, crate_url: &str) -> Option<String> {
        let known = self.lock();
        let server = known.iter().find(|server| {
            let name = server.crate_name();
            crate_url.contains(&format!(":{name}"))
        })?;
        Some(server.url().to_owned())
    }

    pub(super) fn report(&self, url: &str, code: &'static str, error_code: u16, reason: &str) {
        (self.on_error)(IceServerError {
            url: url.to_owned(),
            code,
            error_code,
            reason: reason.to_owned(),
        });
    }

    /// Runs something that `shutdown` shall end.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task.boxed());
    }

    pub(super) async fn shutdown(&self) {
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::IceUrls;

    fn parsed(url: &str) -> Option<(bool, String, u16, Transport)> {
        let url = ServerUrl::parse(url).ok()?;
        Some((url.relay, url.host, url.port, url.transport))
    }

    #[test]
    fn urls_are_read_as_the_rfcs_say() {
        let host = || "example.org".to_owned();
        let cases = [
            ("stun:example.org", (false, host(), 3478, Transport::Udp)),
            ("stun:example.org:80", (false, host(), 80, Transport::Udp)),
            ("turn:example.org", (true, host(), 3478, Transport::Udp)),
            ("turn:example.org:80?transport=tcp", (true, host(), 80, Transport::Tcp)),
            ("turns:example.org", (true, host(), 5349, Transport::Tls)),
            ("turns:example.org:443?transport=tcp", (true, host(), 443, Transport::Tls)),
            ("turn:[::1]:9", (true, "::1".to_owned(), 9, Transport::Udp)),
        ];
        for (url, wanted) in cases {
            assert_eq!(parsed(url), Some(wanted), "{url}");
        }
        for url in [
            "",
            "turn:",
            "turn",
            "http:x",
            "turn:x:0",
            "turn:[::1",
            "stuns:x",
            "turns:x?transport=udp",
            "turn:x?y",
        ] {
            assert_eq!(parsed(url), None, "{url}");
        }
    }

    fn server(url: &str, credential: &str) -> IceServer {
        IceServer {
            urls: IceUrls::One(url.into()),
            username: Some("user".into()),
            credential: Some(credential.into()),
        }
    }

    fn servers() -> (Servers, Arc<Mutex<Vec<IceServerError>>>) {
        let errors = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&errors);
        let on_error = Box::new(move |error| told.lock().unwrap().push(error));
        (Servers::new(Arc::default(), on_error), errors)
    }

    #[test]
    fn a_url_that_stays_keeps_its_name_when_the_credentials_change() {
        let (servers, _) = servers();
        let first = servers.set(&[server("turn:127.0.0.1:9", "one")]);
        let second = servers.set(&[server("turn:127.0.0.1:9", "two")]);
        assert_eq!(first[0].urls, second[0].urls);
        assert_eq!(second[0].credential, "two");
        let name = first[0].urls[0].clone();
        assert_eq!(servers.url_of(&name).as_deref(), Some("turn:127.0.0.1:9"));
        let host = name.trim_start_matches("turn:").trim_end_matches("?transport=udp");
        for address in servers.made_up_addresses(host).unwrap() {
            let server = servers.behind(address).unwrap();
            assert_eq!(server.name.address(true), Some(([127, 0, 0, 1], 9).into()));
        }
    }

    #[test]
    fn a_server_for_both_is_named_by_its_relay() {
        let (servers, _) = servers();
        let told = servers.set(&[server("stun:127.0.0.1", ""), server("turn:127.0.0.1", "x")]);
        assert_eq!(servers.url_of(&told[0].urls[0]).as_deref(), Some("turn:127.0.0.1"));
        assert_eq!(servers.lock().len(), 1);
    }

    #[test]
    fn what_cannot_be_used_is_told_and_left_out() {
        let (servers, errors) = servers();
        let mut bare = server("turn:127.0.0.1", "");
        bare.username = None;
        assert!(servers.set(&[server("stuns:127.0.0.1", ""), bare]).is_empty());
        let codes: Vec<_> = errors.lock().unwrap().iter().map(|error| error.code).collect();
        assert_eq!(codes, ["ice_url_unusable", "turn_credentials_missing"]);
    }
}
