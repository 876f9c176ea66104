//! The path as the arrivals show it: the queue on it and the rate behind it. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::estimator::Fate;

/// The fastest packet of so much time tells the queue.
const WINDOW: Duration = Duration::from_millis(200);
/// Fewer packets, or packets of less time, tell nothing.
const FEWEST: usize = 5;
const SHORTEST: Duration = Duration::from_millis(100);
/// The rate is that of so much time on the remote's clock.
const RATE_WINDOW_US: i64 = 500_000;
/// The fastest way is that of one to two such times: clocks drift, and ways change.
const FASTEST_WINDOW: Duration = Duration::from_secs(10);
/// Packets that are kept, whatever comes.
const MOST: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Observed {
    /// When each left, and how long it took, with the clocks' difference: in milliseconds.
    transits: VecDeque<(Duration, f64)>,
    /// The fastest: of the window before, and of this one with its beginning.
    fastest: (Option<f64>, Option<(Duration, f64)>),
    /// When each came, in microseconds, and its bytes.
    arrivals: VecDeque<(i64, usize)>,
    /// When packets were last told of.
    told: Duration,
}

impl Observed {
    pub(super) fn add(&mut self, now: Duration, fates: &[Fate]) {
        for fate in fates {
            let Some(arrival) = fate.arrival_us else { continue };
            let transit = arrival as f64 / 1_000.0 - fate.sent.as_secs_f64() * 1_000.0;
            self.transits.push_back((fate.sent, transit));
            self.arrivals.push_back((arrival, fate.bytes));
            self.fastest.1 = match self.fastest.1 {
                Some((since, _)) if now.saturating_sub(since) > FASTEST_WINDOW => {
                    self.fastest.0 = self.fastest.1.map(|(_, fastest)| fastest);
                    Some((now, transit))
                }
                Some((since, fastest)) => Some((since, fastest.min(transit))),
                None => Some((now, transit)),
            };
        }
        if !fates.is_empty() {
            self.told = now;
        }
        let latest = self.transits.iter().map(|(sent, _)| *sent).max().unwrap_or_default();
        self.transits.retain(|(sent, _)| *sent + WINDOW >= latest);
        let latest = self.arrivals.iter().map(|(at, _)| *at).max().unwrap_or_default();
        self.arrivals.retain(|(at, _)| at.saturating_add(RATE_WINDOW_US) > latest);
        while self.transits.len() > MOST {
            self.transits.pop_front();
        }
        while self.arrivals.len() > MOST {
            self.arrivals.pop_front();
        }
    }

    /// Milliseconds of waiting that no recent packet was spared; `None` if there are too few.
    pub(super) fn queue_ms(&self) -> Option<f64> {
        let sent = || self.transits.iter().map(|(sent, _)| *sent);
        let span = sent().max()?.saturating_sub(sent().min()?);
        if self.transits.len() < FEWEST || span < SHORTEST {
            return None;
        }
        let now = self.transits.iter().map(|(_, transit)| *transit).fold(f64::INFINITY, f64::min);
        let this = self.fastest.1.map_or(f64::INFINITY, |(_, fastest)| fastest);
        let fastest = self.fastest.0.unwrap_or(f64::INFINITY).min(this);
        Some((now - fastest).max(0.0))
    }

    /// Bits per second that arrive; `None` if nothing does.
    pub(super) fn rate(&self, now: Duration) -> Option<f64> {
        if self.arrivals.is_empty() || now.saturating_sub(self.told) > Duration::from_secs(1) {
            return None;
        }
        let bytes: usize = self.arrivals.iter().map(|(_, bytes)| bytes).sum();
        Some(bytes as f64 * 8_000_000.0 / RATE_WINDOW_US as f64)
    }

    /// The queue is none: the way itself takes so much longer than before.
    pub(super) fn longer_way(&mut self, queue_ms: f64) {
        self.fastest.0 = self.fastest.0.map(|fastest| fastest + queue_ms);
        if let Some((_, fastest)) = &mut self.fastest.1 {
            *fastest += queue_ms;
        }
    }
}
