//! The times of pictures in a file: as the sender has them, and never back or far ahead. Pure.

use std::time::Duration;

/// What a clock may be wrong by, in microseconds; more is another stream.
const SLACK_US: u64 = 1_000_000;
/// How much later the first picture of another stream is.
const STEP_US: u64 = 33_333;

#[derive(Debug, Default)]
pub(super) struct Times {
    /// The last picture's time as it was told, in the file, and when it came.
    last: Option<(u64, u64, Duration)>,
}

impl Times {
    /// The time in the file, in microseconds, of a picture that came now.
    pub(super) fn place(&mut self, told_us: u64, now: Duration) -> u64 {
        let at = match self.last {
            None => 0,
            Some((told, at, came)) => {
                let passed =
                    u64::try_from(now.saturating_sub(came).as_micros()).unwrap_or(u64::MAX);
                match told_us.checked_sub(told) {
                    Some(step @ 1..) if step <= passed.saturating_add(SLACK_US) => at + step,
                    _ => at + STEP_US,
                }
            }
        };
        self.last = Some((told_us, at, now));
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_rise_and_follow_the_sender() {
        let mut times = Times::default();
        let ms = Duration::from_millis;
        let placed = [(500, 0), (40_500, 1), (40_500, 2), (0, 3), (10_000, 4), (u64::MAX, 5)]
            .map(|(told, at)| times.place(told, ms(at)));
        assert_eq!(placed, [0, 40_000, 73_333, 106_666, 116_666, 149_999]);
        assert_eq!(times.place(u64::MAX, ms(60_000)), 183_332);
    }

    #[test]
    fn a_long_pause_stays_long() {
        let mut times = Times::default();
        times.place(0, Duration::ZERO);
        assert_eq!(times.place(60_000_000, Duration::from_secs(60)), 60_000_000);
    }
}
