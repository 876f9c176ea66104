//! What comes of a stream of packets, played or not. Pure.

use std::time::Duration;

use super::MOST_DROPOUT;
use super::sequence::{Received, Unwrapper};
use crate::media::audio::OPUS_CLOCK_HZ;

/// Counts the packets of one stream of Opus.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PacketCounter {
    sequence: Unwrapper<u16>,
    received: Received,
    /// The first of the present stretch, and how many different ones came of it.
    stretch: Option<(i64, u64)>,
    /// Lost in the stretches before.
    lost: u64,
    packets: u64,
    bytes: u64,
    /// The last packet's way, in ticks of the media clock, wrapping.
    transit: Option<u32>,
    /// In ticks, times 16 (RFC 3550 appendix A.8).
    jitter: u64,
}

impl PacketCounter {
    /// A packet came.
    pub(crate) fn note(&mut self, now: Duration, sequence: u16, timestamp: u32, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
        let count = self.sequence.peek(sequence);
        if self.received.highest().is_some_and(|highest| (count - highest).abs() > MOST_DROPOUT) {
            // The sender began anew (RFC 3550 appendix A.1).
            self.lost = self.lost();
            self.received = Received::default();
            self.stretch = None;
            self.transit = None;
        }
        self.sequence.advance(count);
        if self.received.insert(count) {
            let (first, came) = self.stretch.unwrap_or((count, 0));
            self.stretch = Some((first.min(count), came + 1));
        }
        let arrival = (now.as_micros() * u128::from(OPUS_CLOCK_HZ) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let change = transit.wrapping_sub(last).cast_signed().unsigned_abs();
            self.jitter = self.jitter + u64::from(change) - ((self.jitter + 8) >> 4);
        }
    }

    pub(crate) const fn packets(&self) -> u64 {
        self.packets
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets that did not come, or not yet.
    pub(crate) fn lost(&self) -> u64 {
        let (Some((first, came)), Some(highest)) = (self.stretch, self.received.highest()) else {
            return self.lost;
        };
        let expected = u64::try_from(highest - first + 1).unwrap_or(0);
        self.lost + expected.saturating_sub(came)
    }

    /// Variation of the transit time.
    pub(crate) fn jitter(&self) -> Duration {
        Duration::from_micros((self.jitter >> 4) * 1_000_000 / u64::from(OPUS_CLOCK_HZ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(counter: &mut PacketCounter, packets: impl IntoIterator<Item = u16>) {
        for n in packets {
            let now = Duration::from_millis(20 * u64::from(n));
            counter.note(now, n, u32::from(n) * 960, 10);
        }
    }

    #[test]
    fn lost_is_what_did_not_come_at_all() {
        let mut counter = PacketCounter::default();
        note(&mut counter, [65_533, 65_534]);
        assert_eq!(counter.lost(), 0);
        note(&mut counter, [3, 2, 2]);
        assert_eq!((counter.packets(), counter.bytes(), counter.lost()), (5, 50, 3));
        note(&mut counter, [0]);
        assert_eq!(counter.lost(), 2, "late is not lost");
        note(&mut counter, [20_000, 20_002]);
        assert_eq!(counter.lost(), 3, "a jump is a new beginning");
    }

    #[test]
    fn jitter_is_the_mean_change_of_the_way() {
        let mut counter = PacketCounter::default();
        for n in 0..400_u16 {
            let late = if n % 2 == 0 { 0 } else { 8 };
            let now = Duration::from_millis(20 * u64::from(n) + late);
            counter.note(now, n, u32::from(n) * 960, 1);
        }
        let jitter = counter.jitter().as_secs_f64();
        assert!((jitter - 0.008).abs() < 0.000_5, "{jitter}");
    }
}
