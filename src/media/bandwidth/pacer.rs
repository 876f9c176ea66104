//! When the next packet of a picture may leave. Pure: told the time, as a duration since any origin.
//!
//! One budget for all tracks of a connection. Sound takes from it and never waits; what it takes pictures wait
//! for. A picture of the usual size leaves at once, a larger one in steps of 5 ms.

use std::time::Duration;

/// Of the estimate, so that a key frame is not held longer than the path would hold it.
const FACTOR: u64 = 5;
const PER: u64 = 2;
/// Before the path has shown a limit: a key frame of 100 KiB takes 0.1 s.
const UNLIMITED: u64 = 8_000_000;
/// At any estimate, so that a key frame of 16 KiB takes a quarter of a second.
const LEAST: u64 = 500_000;
/// Packets leave in steps of so much.
pub(crate) const STEP: Duration = Duration::from_millis(5);
/// What was not used is kept for so long: a picture of the usual size leaves at once.
const KEPT: Duration = Duration::from_millis(40);
/// Bytes that leave at once at most: 48 packets, the queue of the connection holds 256.
const MOST_AT_ONCE: f64 = 57_600.0;

#[derive(Debug)]
pub(crate) struct Pacer {
    /// Bytes per second.
    rate: f64,
    /// Bytes that may leave; below zero if more left.
    budget: f64,
    at: Duration,
    sent: u64,
}

impl Default for Pacer {
    fn default() -> Self {
        let rate = UNLIMITED as f64 / 8.0;
        Self { rate, budget: rate * KEPT.as_secs_f64(), at: Duration::ZERO, sent: 0 }
    }
}

impl Pacer {
    /// Another estimate, in bits per second.
    pub(crate) fn set(&mut self, now: Duration, estimate: u64, limit_seen: bool) {
        self.refill(now);
        let least = if limit_seen { LEAST } else { UNLIMITED };
        self.rate = (estimate.saturating_mul(FACTOR) / PER).max(least) as f64 / 8.0;
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        let most = (self.rate * KEPT.as_secs_f64()).min(MOST_AT_ONCE);
        self.budget = passed.mul_add(self.rate, self.budget).min(most);
        self.at = self.at.max(now);
    }

    /// A packet left.
    pub(crate) fn spend(&mut self, now: Duration, bytes: usize) {
        self.refill(now);
        self.budget -= bytes as f64;
        self.sent += bytes as u64;
    }

    /// When the next packet of a picture may leave; `None` for now.
    pub(crate) fn wait(&mut self, now: Duration) -> Option<Duration> {
        self.refill(now);
        if self.budget > 0.0 {
            return None;
        }
        let missing = Duration::from_secs_f64(-self.budget / self.rate);
        let steps = missing.as_micros() / STEP.as_micros() + 1;
        Some(now + STEP * u32::try_from(steps).unwrap_or(u32::MAX))
    }

    /// Bytes that left since the beginning.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1_200;

    /// When each packet of a picture leaves.
    fn picture(pacer: &mut Pacer, bytes: usize) -> Vec<Duration> {
        let mut now = pacer.at;
        let mut left = Vec::new();
        for _ in 0..bytes.div_ceil(PACKET) {
            while let Some(due) = pacer.wait(now) {
                assert!(due > now && due <= now + Duration::from_millis(30), "{due:?}");
                now = due;
            }
            pacer.spend(now, PACKET);
            left.push(now);
        }
        left
    }

    #[test]
    fn a_key_frame_of_100_kib_leaves_in_small_steps() {
        let mut pacer = Pacer::default();
        let left = picture(&mut pacer, 100 << 10);
        let took = *left.last().unwrap() - left[0];
        assert!(took < Duration::from_millis(100), "{took:?}");
        for burst in left.chunk_by(|a, b| a == b) {
            assert!(burst.len() <= 48, "{}", burst.len());
        }
        // At 1 Mbit/s it is 2.5 Mbit/s: 330 ms, less what was kept.
        pacer.set(Duration::from_secs(10), 1_000_000, true);
        let left = picture(&mut pacer, 100 << 10);
        let took = *left.last().unwrap() - left[0];
        assert!(took > Duration::from_millis(250) && took < Duration::from_millis(350), "{took:?}");
        assert!(left.chunk_by(|a, b| a == b).all(|burst| burst.len() <= 12));
    }

    #[test]
    fn a_picture_of_the_usual_size_leaves_at_once() {
        for rate in [300_000, 1_000_000, 2_000_000, 5_000_000] {
            let mut pacer = Pacer::default();
            pacer.set(Duration::from_secs(1), rate, true);
            for n in 0..100 {
                pacer.refill(Duration::from_secs(2) + Duration::from_millis(n * 34));
                let left = picture(&mut pacer, rate as usize / 8 / 30);
                assert_eq!(left[0], *left.last().unwrap(), "picture {n} at {rate}");
            }
        }
    }

    #[test]
    fn sound_is_never_held_and_pictures_wait_for_it() {
        let mut pacer = Pacer::default();
        pacer.set(Duration::ZERO, 100_000, true);
        let now = Duration::from_secs(1);
        while pacer.wait(now).is_none() {
            pacer.spend(now, PACKET);
        }
        let before = pacer.wait(now).unwrap();
        pacer.spend(now, 2_000);
        assert!(pacer.wait(now).unwrap() > before);
        assert!(pacer.sent() > 2_000);
    }
}
