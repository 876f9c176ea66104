//! How an attempt to connect went, as the core has it.

use std::time::Duration;

use super::remote_peer::unix_ms;
use crate::signalling::{self, ConnectStep};

/// A step on the way to an open WebSocket, in their order.
#[uniffi::remote(Enum)]
pub enum ConnectStep {
    /// Looking up the name of the server, or of the proxy.
    Resolving,
    /// Connecting to one of its addresses.
    Connecting,
    /// Asking the proxy for a tunnel.
    Proxy,
    /// Agreeing on encryption with the server.
    Tls,
    /// Asking the server for a WebSocket.
    Upgrading,
}

/// A step of an attempt and what became of it.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct AttemptStep {
    /// Which.
    pub step: ConnectStep,
    /// How long it took, or has taken so far.
    pub took_ms: f64,
    /// Whether it succeeded. The last step of an attempt that failed did not.
    pub done: bool,
}

/// Two clocks at one moment, in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct AttemptClocks {
    /// The clock of whoever answered the upgrade, in whole seconds.
    pub server_unix_ms: u64,
    /// The device's clock.
    pub device_unix_ms: u64,
}

/// An attempt to connect, step by step. Without anything secret.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Attempt {
    /// `host:port` of the proxy, if there is one: then it is its name that is looked up and its address that
    /// is connected to.
    pub proxy: Option<String>,
    /// What the name stands for, each as `address:port`.
    pub addresses: Vec<String>,
    /// The address that the connection goes to, as `address:port`.
    pub address: Option<String>,
    /// The steps that were begun.
    pub steps: Vec<AttemptStep>,
    /// The clocks at the answer to the upgrade, if it had a `Date`.
    pub clocks: Option<AttemptClocks>,
}

pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

impl From<signalling::Attempt> for Attempt {
    fn from(attempt: signalling::Attempt) -> Self {
        let signalling::Attempt { proxy, addresses, address, steps, clocks } = attempt;
        let step = |step: signalling::AttemptStep| {
            let signalling::AttemptStep { step, took, done } = step;
            AttemptStep { step, took_ms: ms(took), done }
        };
        Self {
            proxy,
            addresses: addresses.iter().map(ToString::to_string).collect(),
            address: address.map(|address| address.to_string()),
            steps: steps.into_iter().map(step).collect(),
            clocks: clocks.map(|(server, device)| AttemptClocks {
                server_unix_ms: unix_ms(server),
                device_unix_ms: unix_ms(device),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn an_attempt_keeps_its_figures() {
        let second = Duration::from_secs(1);
        let step = signalling::AttemptStep { step: ConnectStep::Tls, took: 2 * second, done: true };
        let made = Attempt::from(signalling::Attempt {
            proxy: Some("proxy.example:3128".into()),
            addresses: vec![([192, 0, 2, 1], 443).into()],
            address: Some((std::net::Ipv6Addr::LOCALHOST, 443).into()),
            steps: vec![step],
            clocks: Some((UNIX_EPOCH + second, UNIX_EPOCH - second)),
        });
        let expected = Attempt {
            proxy: Some("proxy.example:3128".into()),
            addresses: vec!["192.0.2.1:443".into()],
            address: Some("[::1]:443".into()),
            steps: vec![AttemptStep { step: ConnectStep::Tls, took_ms: 2_000.0, done: true }],
            clocks: Some(AttemptClocks { server_unix_ms: 1_000, device_unix_ms: 0 }),
        };
        assert_eq!(made, expected);
    }
}
