//! From a source's time to RTP's, and the numbers of a sender's packets: one row, whatever the source does.

use std::time::Duration;

use tokio::time::Instant;

use crate::media::sync::CaptureClock;
use crate::rtc::engine::MediaKind;

/// A source whose time falls back by that much has begun anew: a camera that was opened again.
const BEGINS_ANEW_US: u64 = 1_000_000;

/// From a source's time to RTP's.
pub(super) struct Clock {
    /// Ticks in a millisecond.
    rate: u64,
    sequence: u16,
    /// The timestamp that stands for the source's `origin`.
    base: u32,
    origin: Option<u64>,
    /// The source's latest time.
    latest: u64,
    last: Option<(u32, Instant)>,
    /// Our clock begins here.
    began: Instant,
    capture: CaptureClock,
}

impl Clock {
    pub(super) fn new(kind: MediaKind) -> Self {
        let rate = if kind == MediaKind::Video { 90 } else { 48 };
        // Below the half, so that the first packets of a receiver do not wrap (RFC 3711 section 3.3.1).
        Self {
            rate,
            sequence: fastrand::u16(..0x8000),
            base: fastrand::u32(..),
            origin: None,
            latest: 0,
            last: None,
            began: Instant::now(),
            capture: CaptureClock::default(),
        }
    }

    /// The source is another one: its time begins where the last one's is by now.
    pub(super) fn rebase(&mut self, now: Instant) {
        if let Some((timestamp, at)) = self.last {
            let elapsed = now.saturating_duration_since(at).as_micros() as u64;
            self.base = timestamp.wrapping_add(self.ticks(elapsed).max(1));
        }
        self.origin = None;
        self.capture = CaptureClock::default();
    }

    /// Wraps, as the wire's does.
    const fn ticks(&self, us: u64) -> u32 {
        (us as u128 * self.rate as u128 / 1_000) as u32
    }

    pub(super) fn timestamp(&mut self, now: Instant, us: u64) -> u32 {
        if self.origin.is_some() && us.saturating_add(BEGINS_ANEW_US) < self.latest {
            self.rebase(now);
        }
        self.latest = if self.origin.is_some() { self.latest.max(us) } else { us };
        let origin = *self.origin.get_or_insert(us);
        let since = match us.checked_sub(origin) {
            Some(after) => self.ticks(after),
            None => self.ticks(origin - us).wrapping_neg(),
        };
        let timestamp = self.base.wrapping_add(since);
        self.last = Some((timestamp, now));
        timestamp
    }

    /// When what has a time of the source was recorded, as far as what came lately tells.
    pub(super) fn captured(&mut self, at: Instant, us: u64) -> Instant {
        let after = at.saturating_duration_since(self.began).as_micros() as i64;
        let before = self.began.saturating_duration_since(at).as_micros() as i64;
        let captured = self.capture.captured_us(after - before, us);
        let span = Duration::from_micros(captured.unsigned_abs());
        let recorded = match captured < 0 {
            true => self.began.checked_sub(span),
            false => self.began.checked_add(span),
        };
        recorded.unwrap_or(at)
    }

    pub(super) fn next_sequence(&mut self) -> u16 {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_goes_on_when_the_source_is_swapped() {
        let mut clock = Clock::new(MediaKind::Video);
        let begun = Instant::now();
        let first = clock.timestamp(begun, 5_000_000);
        assert_eq!(clock.timestamp(begun, 5_100_000).wrapping_sub(first), 9_000);
        let now = begun + Duration::from_millis(40);
        clock.rebase(now);
        // 40 ms after the last one, whatever the other source's clock says.
        assert_eq!(clock.timestamp(now, 77).wrapping_sub(first), 9_000 + 3_600);
    }

    #[tokio::test(start_paused = true)]
    async fn time_goes_on_when_the_sources_clock_begins_anew() {
        let mut clock = Clock::new(MediaKind::Video);
        let begun = Instant::now();
        let first = clock.timestamp(begun, 5_000_000);
        // Pictures may come out of order, before the first one as well.
        assert_eq!(first.wrapping_sub(clock.timestamp(begun, 4_900_000)), 9_000);
        let hour = begun + Duration::from_secs(3_600);
        let last = clock.timestamp(hour, 3_605_000_000);
        assert_eq!(last.wrapping_sub(first), 324_000_000);
        // Behind its origin, and ahead of it but behind what was.
        for us in [77, 10_000_000] {
            let mut clock = Clock { capture: CaptureClock::default(), ..clock };
            let anew = clock.timestamp(hour + Duration::from_millis(40), us);
            assert_eq!(anew.wrapping_sub(last), 3_600);
            let next = clock.timestamp(hour + Duration::from_millis(80), us + 40_000);
            assert_eq!(next.wrapping_sub(anew), 3_600);
        }
    }
}
