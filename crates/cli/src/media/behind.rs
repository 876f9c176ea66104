//! How a track keeps time: what comes against when it came, since the first.

use tokio::time::Instant;

/// A longer step is another beginning, in seconds.
const LONGEST_STEP: u64 = 10;

/// Compares a track's own times with the clock on the wall.
#[derive(Debug)]
pub(super) struct Behind {
    /// Ticks of the track in a second.
    rate: u64,
    /// When the first came, and its time.
    first: Option<(Instant, u64)>,
    last: u64,
    /// Seconds that the fastest since the last look was late.
    least: Option<f64>,
}

impl Behind {
    pub(super) const fn new(rate: u64) -> Self {
        Self { rate, first: None, last: 0, least: None }
    }

    /// Something with this time came now.
    pub(super) fn note(&mut self, time: u64) {
        self.note_at(Instant::now(), time);
    }

    fn note_at(&mut self, now: Instant, time: u64) {
        if time.abs_diff(self.last) > LONGEST_STEP * self.rate {
            self.first = None;
        }
        self.last = time;
        let (began, first) = *self.first.get_or_insert((now, time));
        let ticks = time as f64 - first as f64;
        let behind = now.duration_since(began).as_secs_f64() - ticks / self.rate as f64;
        self.least = Some(self.least.map_or(behind, |least| least.min(behind)));
    }

    /// Milliseconds that the fastest was late since the last call; `None` if nothing came.
    pub(super) fn take(&mut self) -> Option<f64> {
        self.least.take().map(|seconds| seconds * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_fastest_counts_and_a_jump_begins_anew() {
        let (began, mut behind) = (Instant::now(), Behind::new(1_000));
        let at = |ms| began + Duration::from_millis(ms);
        behind.note_at(at(0), 5_000);
        behind.note_at(at(130), 5_100);
        behind.note_at(at(210), 5_200);
        assert!(behind.take().is_some_and(|ms| ms.abs() < 1e-6));
        assert_eq!(behind.take(), None);
        behind.note_at(at(350), 5_300);
        behind.note_at(at(420), 5_400);
        assert!(behind.take().is_some_and(|ms| (ms - 20.0).abs() < 1e-6));
        behind.note_at(at(500), 90_000);
        assert!(behind.take().is_some_and(|ms| ms.abs() < 1e-6));
    }
}
