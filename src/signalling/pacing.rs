//! How fast requests leave: a token bucket and two lanes of waiting requests. Pure.
//!
//! The server closes a connection with 4011 when its own bucket (100 a second, 200 at once) is empty;
//! ours stays below it, so that no request is lost to that. Call set-up goes before the app's data, and
//! within a lane the order of the calls is kept.

use std::collections::VecDeque;
use std::time::Duration;

/// Requests that may wait in both lanes together.
pub(crate) const MAX_WAITING: usize = 2_048;

/// The token bucket of a client.
///
/// The service closes with 4011 beyond 100 per second and 200 at once; the defaults stay within.
///
/// ```
/// use metered_realtime::signalling::{PacingOptions, SignallingOptions};
/// let mut options = SignallingOptions::with_api_key("pk_live_example")?;
/// // A server of one's own that allows less.
/// options.pacing = Some(PacingOptions { per_second: 20.0, burst: 40 });
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PacingOptions {
    /// Requests per second in the long run; more than 0.
    pub per_second: f64,
    /// Requests at once after a pause; 1 or more.
    pub burst: u32,
}

impl Default for PacingOptions {
    fn default() -> Self {
        // Below the service's 100/s and 200, with room for pings.
        Self { per_second: 100.0, burst: 150 }
    }
}

/// Which requests go first.
///
/// ```
/// use metered_realtime::signalling::SendPriority;
/// /// What makes somebody's phone ring must not wait behind a backlog of cursor positions.
/// fn priority(message: &str) -> SendPriority {
///     if message == "ring" { SendPriority::Signalling } else { SendPriority::default() }
/// }
/// assert_eq!(priority("cursor"), SendPriority::App);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SendPriority {
    /// Call set-up: before anything of the app.
    Signalling,
    /// The app's own data.
    #[default]
    App,
}

/// A token bucket; `None` options let everything through.
#[derive(Debug)]
pub(crate) struct Bucket {
    options: Option<PacingOptions>,
    tokens: f64,
    filled_at: Duration,
}

impl Bucket {
    pub(crate) fn new(options: Option<PacingOptions>, now: Duration) -> Self {
        let tokens = options.map_or(0.0, |options| f64::from(options.burst));
        Self { options, tokens, filled_at: now }
    }

    fn fill(&mut self, now: Duration, options: PacingOptions) {
        let passed = now.saturating_sub(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        self.tokens = (self.tokens + passed * options.per_second).min(f64::from(options.burst));
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        let Some(options) = self.options else { return true };
        self.fill(now, options);
        let there = self.tokens >= 1.0 - 1e-6;
        if there {
            self.tokens = (self.tokens - 1.0).max(0.0);
        }
        there
    }

    /// Takes a token even if that leaves a debt of up to one burst: for frames that must not wait.
    pub(crate) fn take_anyway(&mut self, now: Duration) {
        if let Some(options) = self.options {
            self.fill(now, options);
            self.tokens = (self.tokens - 1.0).max(-f64::from(options.burst));
        }
    }

    /// When the next token is there.
    pub(crate) fn next_at(&self) -> Duration {
        let Some(options) = self.options else { return self.filled_at };
        let missing = (1.0 - self.tokens).max(0.0) / options.per_second;
        // Rounded up to the microsecond: waking early would find no token.
        self.filled_at + Duration::from_micros((missing * 1e6).ceil() as u64)
    }
}

/// Two first-in-first-out lanes with one bound.
#[derive(Debug)]
pub(crate) struct Lanes<T> {
    signalling: VecDeque<T>,
    app: VecDeque<T>,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { signalling: VecDeque::new(), app: VecDeque::new() }
    }
}

impl<T> Lanes<T> {
    /// Puts an item at the end of its lane, or gives it back when the lanes are full.
    pub(crate) fn push(&mut self, priority: SendPriority, item: T) -> Result<(), T> {
        if self.len() >= MAX_WAITING {
            return Err(item);
        }
        match priority {
            SendPriority::Signalling => self.signalling.push_back(item),
            SendPriority::App => self.app.push_back(item),
        }
        Ok(())
    }

    /// The next item to leave.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.signalling.pop_front().or_else(|| self.app.pop_front())
    }

    pub(crate) fn len(&self) -> usize {
        self.signalling.len() + self.app.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.signalling.is_empty() && self.app.is_empty()
    }

    /// Items per lane: signalling, app.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.signalling.len(), self.app.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_leaves_at_once_and_the_rest_every_ten_milliseconds() {
        let mut bucket = Bucket::new(Some(PacingOptions::default()), ms(0));
        assert_eq!((0..151).filter(|_| bucket.take(ms(0))).count(), 150);
        assert_eq!(bucket.next_at(), ms(10));
        assert!(!bucket.take(ms(9)));
        assert!(bucket.take(ms(10)));
        assert_eq!(bucket.next_at(), ms(20));
    }

    #[test]
    fn a_pause_refills_no_more_than_a_burst() {
        let mut bucket = Bucket::new(Some(PacingOptions { per_second: 10.0, burst: 3 }), ms(0));
        assert_eq!((0..9).filter(|_| bucket.take(ms(3_600_000))).count(), 3);
    }

    #[test]
    fn what_must_not_wait_is_paid_back() {
        let mut bucket = Bucket::new(Some(PacingOptions { per_second: 10.0, burst: 1 }), ms(0));
        bucket.take_anyway(ms(0));
        bucket.take_anyway(ms(0));
        assert_eq!(bucket.next_at(), ms(200));
    }

    #[test]
    fn call_set_up_goes_first_and_lanes_keep_their_order() {
        let mut lanes = Lanes::default();
        for (priority, item) in [
            (SendPriority::App, 1),
            (SendPriority::Signalling, 2),
            (SendPriority::App, 3),
            (SendPriority::Signalling, 4),
        ] {
            lanes.push(priority, item).unwrap();
        }
        let order: Vec<_> = std::iter::from_fn(|| lanes.pop()).collect();
        assert_eq!(order, [2, 4, 1, 3]);
    }

    #[test]
    fn lanes_are_bounded() {
        let mut lanes = Lanes::default();
        for n in 0..MAX_WAITING {
            lanes.push(SendPriority::App, n).unwrap();
        }
        assert_eq!(lanes.push(SendPriority::Signalling, 7), Err(7));
    }
}
