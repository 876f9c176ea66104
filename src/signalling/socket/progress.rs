//! What a dial is doing and what it has done, readable while it does it and afterwards.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::time::Instant;

/// A step on the way to an open WebSocket, in their order.
///
/// ```
/// use metered_realtime::signalling::ConnectStep;
///
/// // What to look at, for who asks why nothing connects.
/// let culprit = |failed: ConnectStep| match failed {
///     ConnectStep::Resolving => "the name server",
///     ConnectStep::Connecting => "the network, or a firewall",
///     ConnectStep::Proxy => "the proxy",
///     ConnectStep::Tls => "the certificate, or who changes it on the way",
///     ConnectStep::Upgrading => "the service",
/// };
/// assert_eq!(culprit(ConnectStep::Proxy), "the proxy");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
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

impl ConnectStep {
    /// One word for it, for logs.
    ///
    /// ```
    /// use metered_realtime::signalling::ConnectStep;
    ///
    /// assert_eq!(ConnectStep::Upgrading.as_str(), "upgrading");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolving => "resolving",
            Self::Connecting => "connecting",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Upgrading => "upgrading",
        }
    }

    /// In words that complete "time ran out while …".
    pub(crate) const fn phrase(self) -> &'static str {
        match self {
            Self::Resolving => "looking up the server's name",
            Self::Connecting => "connecting to the server's address",
            Self::Proxy => "asking the proxy for a tunnel",
            Self::Tls => "agreeing on encryption",
            Self::Upgrading => "waiting for the answer to the upgrade",
        }
    }
}

/// A step of an attempt and what became of it.
///
/// ```
/// use metered_realtime::signalling::AttemptStep;
///
/// fn line(step: &AttemptStep) -> String {
///     let end = if step.done { "done" } else { "not done" };
///     format!("{}: {end} after {} ms", step.step.as_str(), step.took.as_millis())
/// }
/// # use metered_realtime::signalling::ConnectStep;
/// # let took = std::time::Duration::from_millis(7);
/// # let step = AttemptStep { step: ConnectStep::Tls, took, done: true };
/// assert_eq!(line(&step), "tls: done after 7 ms");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptStep {
    /// Which.
    pub step: ConnectStep,
    /// How long it took, or has taken so far.
    pub took: Duration,
    /// Whether it succeeded. The last step of an attempt that failed did not.
    pub done: bool,
}

/// An attempt to connect, step by step. Without anything secret.
///
/// ```
/// # metered_scenes::run(async {
/// use metered_realtime::signalling::{Attempt, ConnectStep, SignallingClient, SignallingOptions};
///
/// /// The step at which it ended.
/// fn failed(attempt: &Attempt) -> Option<ConnectStep> {
///     attempt.steps.last().filter(|step| !step.done).map(|step| step.step)
/// }
///
/// let mut options = SignallingOptions::with_api_key("pk_live_dev")?;
/// options.url = "ws://127.0.0.1:9".into();
/// options.reconnect = None;
/// let client = SignallingClient::new(options)?;
/// client.connect().await.unwrap_err();
/// let attempt = client.last_attempt().expect("there was one");
/// assert_eq!(failed(&attempt), Some(ConnectStep::Connecting));
/// # client.close().await;
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// `host:port` of the proxy, if there is one: then it is its name that is looked up and its address that
    /// is connected to.
    pub proxy: Option<String>,
    /// What the name stands for.
    pub addresses: Vec<SocketAddr>,
    /// The address that the connection goes to.
    pub address: Option<SocketAddr>,
    /// The steps that were begun.
    pub steps: Vec<AttemptStep>,
    /// The clock of whoever answered the upgrade, from the answer's `Date`, and our clock at that moment.
    pub clocks: Option<(SystemTime, SystemTime)>,
}

#[derive(Debug, Default)]
struct Log {
    attempt: Attempt,
    /// When the last step began, while it goes on.
    since: Option<Instant>,
}

impl Log {
    fn end(&mut self, done: bool) {
        if let (Some(since), Some(last)) = (self.since.take(), self.attempt.steps.last_mut()) {
            (last.took, last.done) = (since.elapsed(), done);
        }
    }
}

/// Shared between a dial and whoever wants to know of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct DialProgress(Arc<Mutex<Log>>);

impl DialProgress {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The step before succeeded, and this one begins.
    pub(crate) fn enter(&self, step: ConnectStep) {
        let mut log = self.lock();
        log.end(true);
        log.attempt.steps.push(AttemptStep { step, took: Duration::ZERO, done: false });
        log.since = Some(Instant::now());
    }

    /// The dial is over. Said twice, the first counts.
    pub(crate) fn end(&self, done: bool) {
        self.lock().end(done);
    }

    pub(crate) fn note(&self, fact: impl FnOnce(&mut Attempt)) {
        fact(&mut self.lock().attempt);
    }

    /// In words that complete "time ran out while …".
    pub(crate) fn phrase(&self) -> &'static str {
        self.lock().attempt.steps.last().map_or("starting", |last| last.step.phrase())
    }

    pub(crate) fn attempt(&self) -> Attempt {
        let log = self.lock();
        let mut attempt = log.attempt.clone();
        if let (Some(since), Some(last)) = (log.since, attempt.steps.last_mut()) {
            last.took = since.elapsed();
        }
        attempt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_step_has_its_time_and_the_last_says_whether_it_went_well() {
        let (progress, second) = (DialProgress::default(), Duration::from_secs(1));
        assert_eq!(progress.phrase(), "starting");
        progress.enter(ConnectStep::Resolving);
        tokio::time::advance(second).await;
        progress.enter(ConnectStep::Connecting);
        tokio::time::advance(2 * second).await;
        let step = |step, took, done| AttemptStep { step, took, done };
        let first = step(ConnectStep::Resolving, second, true);
        let so_far = step(ConnectStep::Connecting, 2 * second, false);
        assert_eq!(progress.attempt().steps, [first, so_far]);
        progress.end(false);
        progress.end(true);
        tokio::time::advance(second).await;
        assert_eq!(progress.attempt().steps, [first, so_far]);
        assert_eq!(progress.phrase(), "connecting to the server's address");
    }
}
