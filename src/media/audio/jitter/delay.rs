//! How much later than on the fastest way packets come, and the delay that nearly all of them keep. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::opus::OPUS_CLOCK_HZ;
use super::JitterOptions;

/// The fastest way is that of the last seconds, so that it follows clocks that drift and ways that change.
const BASE_WINDOW: Duration = Duration::from_secs(2);
/// Width of a class of the histogram.
const CLASS: Duration = Duration::from_millis(5);
/// Packets that the target keeps.
const KEPT: f64 = 0.98;
/// What a packet's weight is worth at the next: half after 400 packets, 8 s.
const FORGET: f64 = 0.998_3;

/// Measures the arrivals.
#[derive(Debug)]
pub(super) struct DelayEstimator {
    options: JitterOptions,
    /// Arrival and transit, the fastest first; transits rise, so that the first is the minimum.
    fastest: VecDeque<(Duration, i64)>,
    /// Weight per class of delay.
    classes: Vec<f64>,
    weight: f64,
    last_transit: Option<i64>,
    /// In microseconds (RFC 3550 section 6.4.1).
    jitter: f64,
}

impl DelayEstimator {
    pub(super) fn new(options: JitterOptions) -> Self {
        let last = (options.max_delay.as_micros() / CLASS.as_micros()) as usize;
        let mut classes = vec![0.0; last + 1];
        // The start counts as much as one packet: enough to hold for the first second.
        let start = options.start_delay.as_micros().div_ceil(CLASS.as_micros()) as usize;
        classes[start.saturating_sub(1).min(last)] = 1.0;
        Self {
            options,
            fastest: VecDeque::new(),
            classes,
            weight: 1.0,
            last_transit: None,
            jitter: 0.0,
        }
    }

    pub(super) fn arrived(&mut self, now: Duration, timestamp: i64) {
        let transit = transit(now, timestamp);
        if let Some(last) = self.last_transit.replace(transit) {
            self.jitter += (transit.abs_diff(last) as f64 - self.jitter) / 16.0;
        }
        while self.fastest.back().is_some_and(|(_, slower)| *slower >= transit) {
            self.fastest.pop_back();
        }
        self.fastest.push_back((now, transit));
        while self.fastest.front().is_some_and(|(at, _)| now.saturating_sub(*at) > BASE_WINDOW) {
            self.fastest.pop_front();
        }
        let late = self.delay(now, timestamp);
        // What no delay could have kept says nothing about the right one.
        let class = (late.as_micros() / CLASS.as_micros()) as usize;
        if let Some(count) = self.classes.get_mut(class) {
            // Forgetting all by growing the new: the sum is scaled back before it overflows.
            self.weight /= FORGET;
            *count += self.weight;
            if self.weight > 1e100 {
                self.classes.iter_mut().for_each(|count| *count /= self.weight);
                self.weight = 1.0;
            }
        }
    }

    /// How much later than on the fastest way a time of the stream is.
    pub(super) fn delay(&self, now: Duration, timestamp: i64) -> Duration {
        let fastest = self.fastest.front().map_or(0, |(_, transit)| *transit);
        Duration::from_micros(u64::try_from(transit(now, timestamp) - fastest).unwrap_or(0))
    }

    /// The delay to keep.
    pub(super) fn target(&self) -> Duration {
        let total: f64 = self.classes.iter().sum();
        let mut seen = 0.0;
        let mut class = 0;
        for (n, count) in self.classes.iter().enumerate() {
            seen += count;
            class = n;
            if seen >= KEPT * total {
                break;
            }
        }
        let measured = CLASS * u32::try_from(class + 1).unwrap_or(u32::MAX);
        measured.clamp(self.options.min_delay, self.options.max_delay)
    }

    pub(super) fn jitter(&self) -> Duration {
        Duration::from_micros(self.jitter as u64)
    }
}

/// Arrival less the stream's own time, in microseconds.
fn transit(now: Duration, timestamp: i64) -> i64 {
    let now = i64::try_from(now.as_micros()).unwrap_or(i64::MAX / 2);
    now - timestamp * 1_000_000 / i64::from(OPUS_CLOCK_HZ)
}
