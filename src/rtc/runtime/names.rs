//! The addresses behind the name of an ICE server.
//!
//! They are looked up when the server becomes known, and again when sockets are bound anew if that is some time
//! ago or found nothing: a network that was just joined may answer only later, and the next one may need addresses
//! of another family. What was known serves until there is something better.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// So long what was found is taken as it is.
const FRESH: Duration = Duration::from_secs(10);

#[cfg(test)]
type Lookup = dyn Fn(&str) -> Vec<SocketAddr> + Send + Sync;

/// Who knows the addresses of a name.
#[derive(Clone, Default)]
pub(crate) enum NameSource {
    /// The system.
    #[default]
    System,
    /// A test; nothing if the lookup failed.
    #[cfg(test)]
    Given(std::sync::Arc<Lookup>),
}

impl fmt::Debug for NameSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            #[cfg(test)]
            Self::Given(_) => "Given",
        })
    }
}

impl NameSource {
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => tokio::net::lookup_host((host, port)).await.map(Iterator::collect),
            #[cfg(test)]
            Self::Given(lookup) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(lookup(host))
            }
        }
    }
}

#[derive(Debug, Default)]
struct Found {
    /// None if there are none, or not yet.
    addresses: Vec<SocketAddr>,
    under_way: bool,
    /// When something was found.
    at: Option<Instant>,
}

/// A server's name, or its address.
#[derive(Debug)]
pub(super) struct Name {
    host: String,
    port: u16,
    /// Whether it is an address: nothing to look up.
    is_address: bool,
    found: watch::Sender<Found>,
}

impl Name {
    pub(super) fn new(host: &str, port: u16) -> Self {
        let mut found = Found::default();
        let address = host.parse::<IpAddr>();
        found.addresses.extend(address.iter().map(|ip| SocketAddr::new(*ip, port)));
        Self {
            host: host.to_owned(),
            port,
            is_address: address.is_ok(),
            found: watch::Sender::new(found),
        }
    }

    /// Whether it is to be looked up now. If so, call [`look_up`](Self::look_up).
    pub(super) fn begin(&self, now: Instant) -> bool {
        let is_fresh = |found: &Found| {
            let age = found.at.map(|at| now.saturating_duration_since(at));
            age.is_some_and(|age| age < FRESH)
        };
        self.found.send_if_modified(|found| {
            let begins = !self.is_address && !found.under_way && !is_fresh(found);
            found.under_way |= begins;
            begins
        })
    }

    pub(super) async fn look_up(&self, source: &NameSource) {
        let result = source.look_up(&self.host, self.port).await;
        if let Err(error) = &result {
            tracing::debug!(kind = ?error.kind(), "the name of an ICE server was not found");
        }
        self.found.send_modify(|found| {
            found.under_way = false;
            if let Some(addresses) = result.ok().filter(|addresses| !addresses.is_empty()) {
                found.addresses = addresses;
                found.at = Some(Instant::now());
            }
        });
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.found.borrow().under_way
    }

    /// Waits for a lookup that is under way.
    pub(super) async fn settled(&self) {
        // The sender is ours and stays.
        drop(self.found.subscribe().wait_for(|found| !found.under_way).await);
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.found.borrow().addresses.clone()
    }

    /// The first known address of a family.
    pub(super) fn address(&self, ipv4: bool) -> Option<SocketAddr> {
        let found = self.found.borrow();
        found.addresses.iter().copied().find(|address| address.is_ipv4() == ipv4)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::sync::{Arc, Mutex};

    use webrtc::runtime::{AsyncUdpSocket, Runtime};

    use super::super::simulated::{Path, SimulatedNetwork};
    use super::super::{ConnectionRuntime, NetworkContext};
    use super::*;
    use crate::wire::{IceServer, IceUrls};

    fn v4(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 3478))
    }

    fn v6(n: u16) -> SocketAddr {
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 3478))
    }

    /// Answers one after the other; then the name is not found.
    fn answers(answers: &[&[SocketAddr]]) -> NameSource {
        let answers: Vec<_> = answers.iter().rev().map(|answer| answer.to_vec()).collect();
        let answers = Mutex::new(answers);
        NameSource::Given(Arc::new(move |_| answers.lock().unwrap().pop().unwrap_or_default()))
    }

    /// Binds sockets: whether that looked the name up.
    async fn bound(name: &Name, source: &NameSource) -> bool {
        let begins = name.begin(Instant::now());
        if begins {
            assert!(!name.begin(Instant::now()), "one lookup at a time");
            assert!(name.is_under_way());
            tokio::join!(name.settled(), name.look_up(source));
        }
        begins
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_kept() {
        let (name, source) = (Name::new("turn.example.org", 3478), answers(&[&[], &[v4(1)]]));
        assert!(bound(&name, &source).await);
        assert!(name.addresses().is_empty());
        assert!(bound(&name, &source).await);
        assert_eq!(name.addresses(), [v4(1)]);
        assert!(!bound(&name, &source).await, "that is fresh");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_is_looked_up_again_and_serves_meanwhile() {
        let source = answers(&[&[v4(1)], &[], &[v4(2), v6(2)]]);
        let name = Name::new("turn.example.org", 3478);
        assert!(bound(&name, &source).await);
        assert_eq!((name.address(true), name.address(false)), (Some(v4(1)), None));
        tokio::time::advance(FRESH).await;
        assert!(bound(&name, &source).await);
        assert_eq!(name.addresses(), [v4(1)], "a failure takes nothing away");
        assert!(bound(&name, &source).await);
        assert_eq!((name.address(true), name.address(false)), (Some(v4(2)), Some(v6(2))));
    }

    /// Binds a socket on this address, as the crate does for each gathering.
    fn bind(runtime: &ConnectionRuntime, last: u8) -> Arc<dyn AsyncUdpSocket> {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, last), 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        runtime.wrap_udp_socket(socket).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_reaches_a_server_whose_name_was_not_found_before() {
        let simulation = SimulatedNetwork::new(Path::default(), 1);
        let server = simulation.socket(([127, 0, 0, 9], 3478).into());
        let other = simulation.socket(([127, 0, 0, 10], 3478).into());
        let [at, later_at] = [&server, &other].map(|socket| socket.local_addr().unwrap());
        let network = NetworkContext {
            names: answers(&[&[], &[at], &[later_at]]),
            simulation: Some(simulation),
            ..NetworkContext::default()
        };
        let runtime = ConnectionRuntime::new(&Arc::new(network), |_| {}, || {});
        let urls = IceUrls::One("stun:stun.example.org".into());
        runtime.set_servers(&[IceServer { urls, username: None, credential: None }]);
        let made_up = ([240, 0, 0, 1], 3478).into();
        let mut buffer = [0; 8];

        let first = bind(&runtime, 1);
        first.send_to(b"lost", made_up).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let second = bind(&runtime, 1);
        // Held until the name is found.
        second.send_to(b"held", made_up).await.unwrap();
        let (length, _) = server.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"held");

        tokio::time::sleep(FRESH).await;
        let third = bind(&runtime, 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        third.send_to(b"new", made_up).await.unwrap();
        let (length, _) = other.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"new");
        // A socket stays with the server that it began with: what it allocated is there.
        second.send_to(b"same", made_up).await.unwrap();
        let (length, _) = server.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"same");
        runtime.shutdown().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_no_name() {
        let name = Name::new("192.0.2.1", 3478);
        assert!(!bound(&name, &answers(&[&[v4(2)]])).await);
        assert_eq!(name.addresses(), [v4(1)]);
    }
}
