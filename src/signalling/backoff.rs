//! When the next attempt to connect is due. Pure: the jitter comes from the caller.

use std::time::Duration;

/// First wait after a drop.
pub(crate) const INITIAL_DELAY: Duration = Duration::from_millis(500);
/// Longest ordinary wait.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(30);
/// After 4010 a place must become free first.
pub(crate) const OVER_LIMIT_FLOOR: Duration = Duration::from_secs(30);
/// After HTTP 429 without `Retry-After`: the service counts connects per minute.
pub(crate) const RATE_LIMITED_FLOOR: Duration = Duration::from_secs(10);
/// No server makes us wait longer than this after `going_away`.
pub(crate) const MAX_GOING_AWAY: Duration = Duration::from_secs(300);
/// No server makes us wait longer than this with `Retry-After`.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// How often to try again. Defaults are those of the official SDKs: about 50 minutes in all.
///
/// ```
/// use metered_realtime::signalling::{ReconnectOptions, SignallingOptions};
/// use std::time::Duration;
/// let mut options = SignallingOptions::with_api_key("pk_live_example")?;
/// // For a game: sooner, and over after half a minute, so that the app can say so.
/// options.reconnect = Some(ReconnectOptions {
///     max_delay: Duration::from_secs(4),
///     max_attempts: Some(10),
///     ..ReconnectOptions::default()
/// });
/// # Ok::<(), metered_realtime::credential::CredentialError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ReconnectOptions {
    /// Wait before the first attempt.
    pub initial_delay: Duration,
    /// Factor from one wait to the next; 1 or more.
    pub multiplier: f64,
    /// Longest wait.
    pub max_delay: Duration,
    /// Share of the wait that chance adds or takes, 0 to 1.
    pub jitter_ratio: f64,
    /// Attempts after one drop; `None` for no end.
    pub max_attempts: Option<u32>,
}

impl Default for ReconnectOptions {
    fn default() -> Self {
        Self {
            initial_delay: INITIAL_DELAY,
            multiplier: 2.0,
            max_delay: MAX_DELAY,
            jitter_ratio: 0.2,
            max_attempts: Some(100),
        }
    }
}

/// A wait that the server asked for; chance only adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Floor {
    /// Shortest wait.
    pub(crate) at_least: Duration,
    /// Longest wait, chance included.
    pub(crate) at_most: Duration,
}

impl ReconnectOptions {
    /// The wait before attempt number `attempt` (from 1), for a chance drawn evenly from 0 to 1.
    pub(crate) fn delay(&self, attempt: u32, floor: Option<Floor>, chance: f64) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.initial_delay.as_secs_f64() * self.multiplier.powi(exponent);
        let base = grown.min(self.max_delay.as_secs_f64());
        let seconds = match floor {
            None => base * (1.0 + self.jitter_ratio * (2.0 * chance - 1.0)),
            Some(floor) => {
                let wait = base.max(floor.at_least.as_secs_f64());
                let jittered = wait * (1.0 + self.jitter_ratio * chance);
                jittered.min(floor.at_most.as_secs_f64().max(floor.at_least.as_secs_f64()))
            }
        };
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(self.max_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(options: &ReconnectOptions, attempt: u32, floor: Option<Floor>, chance: f64) -> u128 {
        options.delay(attempt, floor, chance).as_millis()
    }

    #[test]
    fn waits_double_up_to_thirty_seconds_with_a_fifth_of_chance() {
        let options = ReconnectOptions::default();
        let middle: Vec<_> = (1..=9).map(|n| ms(&options, n, None, 0.5)).collect();
        assert_eq!(middle, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(ms(&options, 1, None, 0.0), 400);
        assert_eq!(ms(&options, 1, None, 1.0), 600);
        assert_eq!(ms(&options, u32::MAX, None, 1.0), 36_000);
    }

    #[test]
    fn chance_only_adds_to_what_the_server_asked_for() {
        let options = ReconnectOptions::default();
        let over = Floor { at_least: OVER_LIMIT_FLOOR, at_most: Duration::MAX };
        assert_eq!(ms(&options, 1, Some(over), 0.0), 30_000);
        assert_eq!(ms(&options, 1, Some(over), 1.0), 36_000);
        let away = Floor { at_least: Duration::from_secs(290), at_most: MAX_GOING_AWAY };
        assert_eq!(ms(&options, 1, Some(away), 1.0), 300_000);
    }
}
