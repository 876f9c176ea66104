//! Asks a STUN or TURN server whether it serves, without a remote: addresses are gathered as for a call, and the
//! connection is closed again.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::IceCandidateError;
use super::options::{IceTransportPolicy, PeerOptions};
use crate::rtc::crate_engine::CrateEngine;
use crate::rtc::engine::{
    ChannelInit, Connection, ConnectionConfig, ConnectionEvent, Engine, IceServerError,
};
use crate::rtc::stats::CandidateType;
use crate::wire::IceServer;

/// A failure over one address of the device is not the end so early: the answer over another may be under way.
const EARLY: Duration = Duration::from_secs(2);
/// Later it is, but for what comes at the same time.
const GRACE: Duration = Duration::from_millis(200);
/// Instead of a limit that the clock cannot hold.
const FAR: Duration = Duration::from_secs(86_400);
/// What the farewell may take; the server forgets us without it.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// W3C WebRTC section 4.8.2: the server could not be reached.
const UNREACHABLE: u16 = 701;

/// What a STUN or TURN server answered.
///
/// ```
/// use metered_realtime::peer::{CandidateType, IceServerAnswer};
///
/// fn line(answer: &IceServerAnswer) -> String {
///     let what = match answer.candidate_type {
///         CandidateType::Relay => "relays for us",
///         _ => "sees us",
///     };
///     let at = answer.address.map_or_else(|| "as we are".into(), |address| format!("at {address}"));
///     format!("{what} {at}, after {} ms", answer.took.as_millis())
/// }
/// # let answer = IceServerAnswer {
/// #     candidate_type: CandidateType::Relay,
/// #     address: Some(([192, 0, 2, 1], 50_000).into()),
/// #     took: std::time::Duration::from_millis(31),
/// # };
/// assert_eq!(line(&answer), "relays for us at 192.0.2.1:50000, after 31 ms");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IceServerAnswer {
    /// What it gave: [`Srflx`](CandidateType::Srflx) is our address as a STUN server sees it,
    /// [`Relay`](CandidateType::Relay) an address of a TURN server that it relays for us.
    pub candidate_type: CandidateType,
    /// That address; `None` if it is the one that the device has itself.
    pub address: Option<SocketAddr>,
    /// From the beginning to the answer: name, connection, encryption and credentials included.
    pub took: Duration,
}

/// Asks one server of one URL for an address, over the network and with the TLS options of a peer. At most
/// `limit`; a server over UDP that does not answer is known after 5 s, one over TLS after 20 s at the latest.
/// Dropping the future does not end the attempt, which ends by itself.
///
/// # Errors
/// As [`RemoteEvent::IceCandidateError`](super::RemoteEvent::IceCandidateError) would tell it during a call.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::time::Duration;
///
/// use metered_realtime::peer::{PeerOptions, ask_ice_server};
/// use metered_realtime::wire::{IceServer, IceUrls};
///
/// let options = PeerOptions::with_api_key("pk_live_example")?;
/// let server = IceServer {
///     urls: IceUrls::One("turn:127.0.0.1:9?transport=tcp".into()),
///     username: Some("user".into()),
///     credential: Some("password".into()),
/// };
/// let refused = ask_ice_server(&options, &server, Duration::from_secs(10)).await.unwrap_err();
/// assert_eq!((refused.code, refused.error_code), ("turn_unreachable", 701));
/// println!("{}", refused.diagnosis);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub async fn ask_ice_server(
    options: &PeerOptions,
    server: &IceServer,
    limit: Duration,
) -> Result<IceServerAnswer, IceCandidateError> {
    let url = server.urls.as_slice().first().cloned().unwrap_or_default();
    let network = options.network().map_err(|error| IceCandidateError {
        url: url.clone(),
        code: error.code(),
        error_code: UNREACHABLE,
        reason: error.to_string(),
        diagnosis: error.diagnosis(),
    })?;
    let engine = CrateEngine::new(network.into());
    // A task of its own: a connection must be closed, also when nobody waits for the answer any more.
    let asking = tokio::spawn(ask(engine, server.clone(), url.clone(), limit));
    let outcome = asking.await.unwrap_or_else(|error| Err(failed(&url, error.to_string())));
    outcome.map_err(IceCandidateError::from)
}

async fn ask(
    engine: CrateEngine,
    server: IceServer,
    url: String,
    limit: Duration,
) -> Result<IceServerAnswer, IceServerError> {
    let (wanted, policy) = match url.starts_with("turn") {
        true => (CandidateType::Relay, IceTransportPolicy::Relay),
        false => (CandidateType::Srflx, IceTransportPolicy::All),
    };
    let config = ConnectionConfig {
        ice_servers: vec![server],
        ice_transport_policy: policy,
        answers_actively: false,
        certificate: None,
    };
    let (sender, mut events) = mpsc::unbounded_channel();
    let began = Instant::now();
    let connection = match engine.connect(&config, sender).await {
        Ok(connection) => connection,
        Err(error) => {
            return Err(told(&mut events).unwrap_or_else(|| failed(&url, error.to_string())));
        }
    };
    let outcome = match gather(&*connection).await {
        Ok(()) => {
            let until = began.checked_add(limit).unwrap_or(began + FAR);
            hear(&mut events, wanted, began, until).await
        }
        Err(reason) => Err(Some(failed(&url, reason))),
    };
    if timeout(CLOSE_LIMIT, connection.close(true)).await.is_err() {
        tracing::debug!("a connection to an ICE server took long to close");
    }
    outcome.map_err(|error| error.unwrap_or_else(|| silent(&url, limit)))
}

async fn gather(connection: &dyn Connection) -> Result<(), String> {
    let init = ChannelInit::reliable("");
    connection.open_channel(&init).await.map_err(|error| error.to_string())?;
    connection.offer(false).await.map(drop).map_err(|error| error.to_string())
}

/// Waits for an address. `Err(None)` if nothing came in time.
async fn hear(
    events: &mut mpsc::UnboundedReceiver<ConnectionEvent>,
    wanted: CandidateType,
    began: Instant,
    mut until: Instant,
) -> Result<IceServerAnswer, Option<IceServerError>> {
    let mut error = None;
    let mut complete = false;
    loop {
        let Ok(Some(event)) = timeout_at(until, events.recv()).await else {
            // A STUN server that sees the address that we have ourselves gives no candidate of its own.
            let same = complete && error.is_none() && wanted == CandidateType::Srflx;
            let answer =
                IceServerAnswer { candidate_type: wanted, address: None, took: began.elapsed() };
            return if same { Ok(answer) } else { Err(error) };
        };
        match event {
            ConnectionEvent::Candidate(candidate) => {
                if let Some(address) = address_of(&candidate.candidate, wanted) {
                    let (candidate_type, address) = (wanted, Some(address));
                    let took = began.elapsed();
                    return Ok(IceServerAnswer { candidate_type, address, took });
                }
            }
            ConnectionEvent::IceServerError(told) => {
                error.get_or_insert(told);
                until = until.min((Instant::now() + GRACE).max(began + EARLY));
            }
            ConnectionEvent::GatheringComplete => complete = true,
            _ => {}
        }
    }
}

fn told(events: &mut mpsc::UnboundedReceiver<ConnectionEvent>) -> Option<IceServerError> {
    while let Ok(event) = events.try_recv() {
        if let ConnectionEvent::IceServerError(error) = event {
            return Some(error);
        }
    }
    None
}

fn failed(url: &str, reason: String) -> IceServerError {
    IceServerError {
        url: url.to_owned(),
        code: "ice_probe_failed",
        error_code: UNREACHABLE,
        reason,
    }
}

fn silent(url: &str, limit: Duration) -> IceServerError {
    let reason = format!("no answer within {} s", limit.as_secs());
    IceServerError {
        url: url.to_owned(),
        code: "ice_server_timeout",
        error_code: UNREACHABLE,
        reason,
    }
}

/// The address of a candidate (RFC 8839 section 5.1), if it is of this type.
fn address_of(candidate: &str, wanted: CandidateType) -> Option<SocketAddr> {
    let words: Vec<&str> = candidate.split_ascii_whitespace().collect();
    let name = match wanted {
        CandidateType::Host => "host",
        CandidateType::Srflx => "srflx",
        CandidateType::Prflx => "prflx",
        CandidateType::Relay => "relay",
    };
    let [_, _, _, _, address, port, "typ", kind, ..] = words.as_slice() else { return None };
    let (address, port) = (address.parse::<IpAddr>().ok()?, port.parse().ok()?);
    (*kind == name).then_some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_read_if_it_is_of_the_type() {
        let relay = "candidate:1 1 udp 16777215 192.0.2.1 50000 typ relay raddr 0.0.0.0 rport 0";
        let address = SocketAddr::from(([192, 0, 2, 1], 50_000));
        assert_eq!(address_of(relay, CandidateType::Relay), Some(address));
        assert_eq!(address_of(relay, CandidateType::Srflx), None);
        for odd in ["", "candidate:1", "candidate:1 1 udp 1 x.local 1 typ relay"] {
            assert_eq!(address_of(odd, CandidateType::Relay), None, "{odd}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_over_one_address_outweighs_a_failure_over_another() {
        let (sender, mut events) = mpsc::unbounded_channel();
        let began = Instant::now();
        let error = |code| IceServerError { code, ..failed("turn:x", String::new()) };
        let candidate = "candidate:1 1 udp 1 192.0.2.1 5 typ relay".to_owned();
        sender.send(ConnectionEvent::IceServerError(error("turn_tls"))).unwrap();
        let late = tokio::spawn(async move {
            tokio::time::sleep(EARLY / 2).await;
            let candidate = crate::wire::IceCandidate { candidate, ..Default::default() };
            sender.send(ConnectionEvent::Candidate(candidate)).unwrap();
            sender
        });
        let until = began + 10 * EARLY;
        let answer = hear(&mut events, CandidateType::Relay, began, until).await.unwrap();
        assert_eq!(answer.took, EARLY / 2);
        let sender = late.await.unwrap();
        for code in ["turn_tls", "turn_closed"] {
            sender.send(ConnectionEvent::IceServerError(error(code))).unwrap();
        }
        let again = Instant::now();
        let refused = hear(&mut events, CandidateType::Relay, again, again + 10 * EARLY).await;
        assert_eq!(refused.unwrap_err().unwrap().code, "turn_tls");
        assert_eq!(again.elapsed(), EARLY);
        tokio::time::advance(EARLY).await;
        sender.send(ConnectionEvent::IceServerError(error("ice_server_timeout"))).unwrap();
        let late = Instant::now();
        let silent = hear(&mut events, CandidateType::Relay, again, again + 10 * EARLY).await;
        assert_eq!(silent.unwrap_err().unwrap().code, "ice_server_timeout");
        assert_eq!(late.elapsed(), GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stun_server_that_sees_our_own_address_serves_all_the_same() {
        let (sender, mut events) = mpsc::unbounded_channel();
        sender.send(ConnectionEvent::GatheringComplete).unwrap();
        let began = Instant::now();
        let until = began + Duration::from_secs(7);
        let answer = hear(&mut events, CandidateType::Srflx, began, until).await.unwrap();
        assert_eq!(answer.address, None);
        let nothing = hear(&mut events, CandidateType::Relay, began, until).await;
        assert_eq!(nothing.unwrap_err(), None);
    }
}
