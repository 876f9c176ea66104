//! STUN and TURN servers: given or not, and whether each serves from here.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use metered_realtime::peer::{IceCandidateError, IceServerAnswer, PeerOptions, ask_ice_server};
use metered_realtime::signalling::Connected;
use metered_realtime::wire::{IceServer, IceUrls};

use super::report::{Problem, Report, Told, id};
use crate::output::Failure;

/// Failures that a network causes as well as a server: harmless if another TURN server answers.
const OF_NETWORK: [&str; 3] = ["ice_server_timeout", "turn_unreachable", "turn_closed"];

/// TURN servers that a connection can go by.
pub(super) struct Relays {
    pub(super) servers: Vec<IceServer>,
    /// If there is none: the check that tells why.
    pub(super) because: &'static str,
}

impl Relays {
    pub(super) const fn none(because: &'static str) -> Self {
        Self { servers: Vec::new(), because }
    }
}

/// How a server is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    fn of(url: &str) -> Self {
        match url {
            tls if tls.starts_with("turns:") || tls.starts_with("stuns:") => Self::Tls,
            tcp if tcp.ends_with("transport=tcp") => Self::Tcp,
            _ => Self::Udp,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// A server with one URL, and what came of asking it.
struct Asked {
    server: IceServer,
    url: String,
    took: Duration,
    result: Result<IceServerAnswer, IceCandidateError>,
}

impl Asked {
    fn transport(&self) -> Transport {
        Transport::of(&self.url)
    }

    fn relays(&self) -> bool {
        self.url.starts_with("turn")
    }

    fn told(&self) -> Told {
        let kind = if self.relays() { "turn" } else { "stun" };
        let told = Told::took(self.took)
            .of(&shown(&self.url))
            .with("kind", kind)
            .with("transport", self.transport().as_str());
        match &self.result {
            Ok(answer) => told.with("address", answer.address.map(|address| address.to_string())),
            Err(error) => told.with("errorCode", error.error_code),
        }
    }
}

/// A URL as RFC 7064 and RFC 7065 have it: what somebody wrote into it besides, such as a password, is not shown.
fn shown(url: &str) -> String {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, address) = address.split_once(':').unwrap_or(("", address));
    let host = address.rsplit('@').next().unwrap_or_default();
    let query = match query {
        "transport=udp" | "transport=tcp" => format!("?{query}"),
        _ => String::new(),
    };
    format!("{scheme}:{host}{query}")
}

/// Asks every server for an address, all at once.
pub(super) async fn check(
    report: &mut Report,
    options: &PeerOptions,
    welcome: &Connected,
    limit: Duration,
) -> Result<Relays, Failure> {
    let given = welcome.ice_servers.as_deref().unwrap_or_default();
    let servers: Vec<_> = given.iter().flat_map(one_each).collect();
    received(report, &servers)?;
    let mut asking: FuturesUnordered<_> = servers
        .into_iter()
        .map(|(url, server)| async move {
            let began = Instant::now();
            let result = ask_ice_server(options, &server, limit).await;
            Asked { server, url, took: began.elapsed(), result }
        })
        .collect();
    let mut asked = Vec::new();
    while let Some(one) = asking.next().await {
        if let Ok(answer) = &one.result {
            let detail = match (one.relays(), answer.address) {
                (true, Some(address)) => format!("relays at {address}"),
                (false, Some(address)) => format!("sees us at {address}"),
                (_, None) => "answers".to_owned(),
            };
            report.ok(id::ICE_SERVER, one.told(), &detail)?;
        }
        asked.push(one);
    }
    let relayed = asked.iter().any(|one| one.relays() && one.result.is_ok());
    for one in &asked {
        // How bad a silent server is depends on the others.
        if let Err(error) = &one.result {
            let problem = Problem::of_ice(error);
            match relayed && OF_NETWORK.contains(&error.code) {
                true => report.warn(id::ICE_SERVER, one.told(), problem)?,
                false => report.fail(id::ICE_SERVER, one.told(), problem)?,
            }
        }
    }
    udp(report, &asked)?;
    let because = match asked.iter().any(Asked::relays) {
        true => id::ICE_SERVER,
        false => id::ICE_SERVERS,
    };
    let usable = asked.into_iter().filter(|one| one.relays() && one.result.is_ok());
    Ok(Relays { servers: usable.map(|one| one.server).collect(), because })
}

fn one_each(server: &IceServer) -> Vec<(String, IceServer)> {
    let one = |url: &String| {
        let urls = IceUrls::One(url.clone());
        (url.clone(), IceServer { urls, ..server.clone() })
    };
    server.urls.as_slice().iter().map(one).collect()
}

fn received(report: &mut Report, servers: &[(String, IceServer)]) -> Result<(), Failure> {
    let turn = servers.iter().filter(|(url, _)| url.starts_with("turn")).count();
    let stun = servers.len() - turn;
    let told = Told::default().with("stun", stun).with("turn", turn);
    let fix = "Enable TURN for the key in the dashboard, or give the app's peers iceServers of your own; a token that names iceServers in its metadata gets only those.";
    if turn > 0 {
        return report.ok(
            id::ICE_SERVERS,
            told,
            &format!("{stun} for STUN and {turn} for TURN came with the welcome"),
        );
    }
    let (code, message) = match stun {
        0 => ("no_ice_servers", "the service gave no STUN or TURN server"),
        _ => ("no_turn_server", "the service gave no TURN server"),
    };
    let cause = "TURN is not enabled for the key. Without a relay, calls fail between two networks that let no direct path through, such as mobile and company networks; on one network they work.";
    report.warn(id::ICE_SERVERS, told, Problem::new(code, message, cause, fix))
}

/// Whether the network lets UDP through.
fn udp(report: &mut Report, asked: &[Asked]) -> Result<(), Failure> {
    let over_udp = |one: &&Asked| one.transport() == Transport::Udp;
    // A refusal has come over UDP as well.
    let heard = |one: &Asked| match &one.result {
        Ok(_) => true,
        Err(error) => matches!(error.code, "turn_unauthorized" | "turn_refused"),
    };
    let of_udp: Vec<_> = asked.iter().filter(over_udp).collect();
    if of_udp.is_empty() {
        return report.needless(id::UDP, "there is no server over UDP to ask");
    }
    if of_udp.iter().any(|one| heard(one)) {
        return report.ok(id::UDP, Told::default(), "UDP passes");
    }
    if !asked.iter().any(heard) {
        return report.skip(id::UDP, id::ICE_SERVER);
    }
    let problem = Problem::new(
        "udp_blocked",
        "no server answers over UDP, others over TCP or TLS do",
        "This network blocks UDP. Calls go by the relay over TCP or TLS, with more delay when packets are lost.",
        "Nothing, if calls are good enough: keep turn:…?transport=tcp and turns: on port 443 in the list. Otherwise let the network's administrator allow UDP to the TURN servers.",
    );
    report.warn(id::UDP, Told::default(), problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_address_of_a_url_is_shown() {
        for (url, wanted) in [
            ("turn:host:80?transport=tcp", "turn:host:80?transport=tcp"),
            ("stun:[::1]:9", "stun:[::1]:9"),
            ("turn:user:hidden@host:80", "turn:host:80"),
            ("turn:host?credential=hidden", "turn:host"),
            ("", ":"),
        ] {
            assert_eq!(shown(url), wanted);
        }
    }

    #[test]
    fn the_transport_is_in_the_url() {
        for (url, wanted) in [
            ("stun:h", "udp"),
            ("turn:h", "udp"),
            ("turn:h?transport=udp", "udp"),
            ("turn:h?transport=tcp", "tcp"),
            ("turns:h:443?transport=tcp", "tls"),
        ] {
            assert_eq!(Transport::of(url).as_str(), wanted, "{url}");
        }
    }
}
