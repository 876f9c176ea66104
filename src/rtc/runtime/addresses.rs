//! Which local addresses a connection binds to.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use rtc::shared::ifaces::ifaces;

/// Addresses per connection; a device with more networks than that has been given odd ones by a VPN.
const MAX_ADDRESSES: usize = 8;

type Lookup = dyn Fn() -> Vec<IpAddr> + Send + Sync;

/// Tells the local addresses whenever sockets are bound.
#[derive(Clone, Default)]
pub(crate) enum AddressSource {
    /// Those of the interfaces: neither loopback nor link-local, unless there is no other.
    #[default]
    Interfaces,
    /// What somebody else says: a test, or a platform that knows its networks better.
    Given(Arc<Lookup>),
}

impl fmt::Debug for AddressSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interfaces => "Interfaces",
            Self::Given(_) => "Given",
        })
    }
}

impl AddressSource {
    pub(crate) fn local(&self) -> LocalAddresses {
        LocalAddresses(self.clone())
    }
}

/// What the crate binds to; asked at every bind, so that a restart sees the network of now.
#[derive(Clone, Debug)]
pub(crate) struct LocalAddresses(AddressSource);

impl ToSocketAddrs for LocalAddresses {
    type Iter = std::vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        let mut addresses = match &self.0 {
            AddressSource::Given(lookup) => lookup(),
            AddressSource::Interfaces => of_interfaces(),
        };
        addresses.truncate(MAX_ADDRESSES);
        if addresses.is_empty() {
            addresses.push(Ipv4Addr::LOCALHOST.into());
        }
        let sockets: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
        Ok(sockets.into_iter())
    }
}

fn of_interfaces() -> Vec<IpAddr> {
    let found = match ifaces() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::warn!(kind = ?error.kind(), "the local interfaces cannot be listed");
            Vec::new()
        }
    };
    let mut addresses: Vec<IpAddr> = found
        .into_iter()
        .filter_map(|interface| Some(interface.addr?.ip()))
        .filter(|ip| !ip.is_loopback() && !ip.is_unspecified() && !is_link_local(ip))
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_asked_anew_and_nothing_means_loopback() {
        use std::sync::Mutex;
        let now: Arc<Mutex<Vec<IpAddr>>> = Arc::default();
        let shared = Arc::clone(&now);
        let source = AddressSource::Given(Arc::new(move || shared.lock().unwrap().clone()));
        let local = source.local();
        let ask = || local.to_socket_addrs().unwrap().map(|socket| socket.ip()).collect::<Vec<_>>();
        assert_eq!(ask(), [IpAddr::from(Ipv4Addr::LOCALHOST)]);
        let other = IpAddr::from([127, 0, 0, 9]);
        now.lock().unwrap().push(other);
        assert_eq!(ask(), [other]);
    }

    #[test]
    fn this_machine_has_an_address() {
        assert!(AddressSource::Interfaces.local().to_socket_addrs().unwrap().next().is_some());
    }
}
