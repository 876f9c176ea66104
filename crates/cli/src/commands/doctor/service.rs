//! From the name to the welcome, the clocks, and the round trip.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metered_realtime::signalling::{
    Attempt, AttemptStep, ConnectError, ConnectStep, Connected, SignallingClient,
};
use metered_realtime::wire::CloseCode;

use super::Ready;
use super::report::{Problem, Report, Told, id, milliseconds};
use crate::output::{Failure, printable};

/// The service tells whole seconds, and the way takes some time.
const CLOCK_TOLERANCE_S: f64 = 5.0;
/// A clock that is so far off makes tokens fail.
const CLOCK_FAILURE_S: f64 = 60.0;
const CLOCK_FIX: &str = "Let the system set date and time by itself (NTP); if it does, look at the clock of the backend or of the server.";
/// Round trips that are measured; the best counts.
const PROBES: u32 = 3;
/// Signals take their time beyond this.
const SLOW: Duration = Duration::from_secs(1);

/// The steps of an attempt, with the check of each.
const STEPS: [(ConnectStep, &str); 5] = [
    (ConnectStep::Resolving, id::NAME),
    (ConnectStep::Connecting, id::REACH),
    (ConnectStep::Proxy, id::PROXY),
    (ConnectStep::Tls, id::TLS),
    (ConnectStep::Upgrading, id::UPGRADE),
];

/// Connects, and tells of each step. `None` without a welcome.
pub(super) async fn connect(
    report: &mut Report,
    ready: &Ready,
    limit: Duration,
) -> Result<Option<Arc<Connected>>, Failure> {
    let client = &ready.client;
    let began = Instant::now();
    let result = tokio::time::timeout(limit, client.connect()).await;
    let (took, device) = (began.elapsed(), SystemTime::now());
    let attempt = client.last_attempt().unwrap_or_default();
    let welcome = client.connected();
    let failed = match result {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(Broken::new(&attempt, error)),
        Err(_) => Some(Broken::late(&attempt, limit)),
    };
    let mut before = None;
    for (step, id) in STEPS {
        let known = attempt.steps.iter().find(|known| known.step == step);
        match (known, &failed) {
            (Some(known), _) if known.done => {
                let (told, detail) = well(step, known, &attempt);
                report.ok(id, told, &detail)?;
            }
            (known, Some(broken)) if broken.at == id => {
                let told = known.map_or_else(Told::default, |known| Told::took(known.took));
                report.fail(id, broken.tell(told), broken.problem.clone())?;
                before = Some(id);
            }
            _ => match (before, step, &attempt.proxy) {
                (_, ConnectStep::Proxy, None) if before != Some(id::PROXY) => {
                    report.needless(id, "no proxy is in use")?;
                }
                (_, ConnectStep::Tls, _) if ready.options.url.starts_with("ws:") => {
                    report.needless(id, "ws:// has none")?;
                }
                _ => report.skip(id, failed.as_ref().map_or(id::WELCOME, |broken| broken.at))?,
            },
        }
    }
    let dialled = attempt.steps.iter().map(|step| step.took).sum();
    let told = Told::took(took.saturating_sub(dialled));
    match (&failed, before, &welcome) {
        (None, _, Some(welcome)) => {
            let told = told
                .with("peerId", printable(&welcome.peer_id))
                .with("maxMessageSize", welcome.max_message_size);
            report.ok(id::WELCOME, told, &format!("we are {}", welcome.peer_id))?;
        }
        (Some(broken), None, _) => {
            report.fail(id::WELCOME, broken.tell(told), broken.problem.clone())?;
        }
        (_, before, _) => report.skip(id::WELCOME, before.unwrap_or(id::UPGRADE))?,
    }
    let ended = matches!(&failed, Some(Broken { error: Some(error), .. }) if says_expired(error));
    if ended && !ready.expired {
        ended_elsewhere(report)?;
    } else {
        clock(report, welcome.as_deref(), &attempt, device, ready.expired)?;
    }
    Ok(welcome)
}

/// An attempt that failed.
struct Broken {
    /// The check that it failed at.
    at: &'static str,
    problem: Problem,
    error: Option<ConnectError>,
}

impl Broken {
    fn new(attempt: &Attempt, error: ConnectError) -> Self {
        let problem = Problem::from(error.clone());
        // A proxy of the environment that cannot be used fails before the first step.
        let unstarted = attempt.steps.is_empty() && problem.code == "proxy_failed";
        let at = if unstarted { id::PROXY } else { place(attempt) };
        Self { at, problem, error: Some(error) }
    }

    fn late(attempt: &Attempt, limit: Duration) -> Self {
        Self { at: place(attempt), problem: Problem::timed_out(limit), error: None }
    }

    fn tell(&self, told: Told) -> Told {
        let Some(error) = &self.error else { return told };
        let mut told = match error {
            ConnectError::Closed { code, .. } => told.with("closeCode", code.get()),
            _ => told,
        };
        if let Some(status) = error.http_status() {
            told = told.with("httpStatus", status);
        }
        if let Some(code) = error.http_code() {
            told = told.with("httpCode", printable(code));
        }
        told
    }
}

/// Where an attempt that failed had come to.
fn place(attempt: &Attempt) -> &'static str {
    let last = attempt.steps.last().filter(|last| !last.done);
    let known = last.and_then(|last| STEPS.iter().find(|(step, _)| *step == last.step));
    known.map_or(id::WELCOME, |(_, id)| *id)
}

fn well(step: ConnectStep, known: &AttemptStep, attempt: &Attempt) -> (Told, String) {
    let told = Told::took(known.took);
    let way = if attempt.proxy.is_some() { "the proxy is at" } else { "at" };
    match step {
        ConnectStep::Resolving => {
            let addresses: BTreeSet<_> = attempt.addresses.iter().map(|at| at.ip()).collect();
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            let detail = format!("{way} {}", addresses.join(", "));
            (told.with("addresses", addresses), detail)
        }
        ConnectStep::Connecting => {
            let address = attempt.address.map(|address| address.to_string());
            let detail = format!("connected to {}", address.as_deref().unwrap_or("the server"));
            (told.with("address", address), detail)
        }
        ConnectStep::Proxy => {
            let proxy = attempt.proxy.clone().unwrap_or_default();
            let detail = format!("a tunnel through {proxy}");
            (told.with("proxy", proxy), detail)
        }
        ConnectStep::Tls => (told, "the certificate is trusted".to_owned()),
        ConnectStep::Upgrading => (told, "the server speaks WebSocket".to_owned()),
    }
}

/// Whether the service takes the token for one that has ended.
fn says_expired(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Closed { code, .. } if *code == CloseCode::TOKEN_EXPIRED)
}

/// The service closed because the token has ended, and by this device's clock it has not.
fn ended_elsewhere(report: &mut Report) -> Result<(), Failure> {
    let problem = Problem::new(
        "clock_off",
        "by the service's clock the token has ended, by this device's it has not",
        "The clock of this device, or of the backend that minted the token, is behind the service's.",
        CLOCK_FIX,
    );
    report.fail(id::CLOCK, Told::default(), problem)
}

/// Compares this device's clock with the service's, as the welcome or the answer to the upgrade told it.
fn clock(
    report: &mut Report,
    welcome: Option<&Connected>,
    attempt: &Attempt,
    device: SystemTime,
    expired: bool,
) -> Result<(), Failure> {
    let seconds =
        |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let from_welcome = welcome.and_then(|welcome| Some((welcome.server_time?.0, seconds(device))));
    let from_answer = attempt.clocks.map(|(theirs, ours)| (seconds(theirs), seconds(ours)));
    let Some((theirs, ours)) = from_welcome.or(from_answer) else {
        return match welcome {
            Some(_) => report.needless(id::CLOCK, "the service did not tell the time"),
            None => report.skip(id::CLOCK, id::WELCOME),
        };
    };
    // Whole seconds are told: on average half a second has passed since.
    let ahead = ours - theirs - 0.5;
    let told = Told::default().with("deviceAheadSeconds", (ahead * 10.0).round() / 10.0);
    if ahead.abs() <= CLOCK_TOLERANCE_S {
        return report.ok(id::CLOCK, told, "as the service's, within 5 s");
    }
    let direction = if ahead > 0.0 { "ahead of" } else { "behind" };
    let message = format!("this device's clock is {:.0} s {direction} the service's", ahead.abs());
    let refused = expired && welcome.is_some();
    let cause = match (refused, ahead > 0.0) {
        (true, _) => {
            "The clock of this device is wrong. By the service's clock the token has not ended: only this device takes it for old, and refuses it before it is sent."
        }
        (_, true) => {
            "The clock of this device is ahead, so that tokens look old before they are, and certificates too."
        }
        (_, false) => {
            "The clock of this device is behind, so that a token may end sooner than this device believes, and new certificates are not valid yet."
        }
    };
    let problem = Problem::new("clock_off", &message, cause, CLOCK_FIX);
    match refused || ahead.abs() > CLOCK_FAILURE_S {
        true => report.fail(id::CLOCK, told, problem),
        false => report.warn(id::CLOCK, told, problem),
    }
}

/// How long the service takes to answer.
pub(super) async fn round_trip(
    report: &mut Report,
    client: &SignallingClient,
) -> Result<(), Failure> {
    let mut all = Vec::new();
    for _ in 0..PROBES {
        all.extend(client.round_trip().await);
    }
    let Some(best) = all.iter().min().copied() else {
        let problem = Problem::new(
            "no_answer",
            "the service does not answer any more",
            "The connection was made, and then a ping got no answer within 2 s: something in between swallows data, or the server hangs.",
            "Try another network; if it repeats there, look at the service's status page.",
        );
        return report.fail(id::ROUND_TRIP, Told::default(), problem);
    };
    let times: Vec<_> = all.iter().map(|time| milliseconds(*time)).collect();
    let told = Told::took(best).with("roundTripsMs", times);
    if best > SLOW {
        let problem = Problem::new(
            "slow_round_trip",
            "the service answers slowly",
            "The network between here and the service is slow or full, or a proxy holds data back.",
            "Connecting takes several round trips; try another network to compare.",
        );
        return report.warn(id::ROUND_TRIP, told, problem);
    }
    report.ok(id::ROUND_TRIP, told, &format!("the best of {}", all.len()))
}
