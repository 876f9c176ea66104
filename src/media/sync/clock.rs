//! Between a stream's own time and its sender's clock, both ways: what sender reports say (RFC 3550 section
//! 6.4.1), and what ours have to say.

use std::time::Duration;

/// A report is worth nothing after so long: clocks drift.
const STALE: Duration = Duration::from_secs(30);
/// A report that says otherwise than the one before it by so much tells of a clock that was set.
const STEP_US: i64 = 100_000;

/// A sender report: the stream's time and the sender's clock at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) received: Duration,
    /// 32 bits of seconds, 32 of their fraction.
    pub(crate) ntp: u64,
    pub(crate) rtp: u32,
}

/// The clock behind one stream that comes.
#[derive(Debug)]
pub(super) struct StreamClock {
    rate: u32,
    last: Option<Report>,
    /// When a report said that the sender's clock was set.
    stepped: Option<Duration>,
}

impl StreamClock {
    pub(super) const fn new(rate: u32) -> Self {
        Self { rate, last: None, stepped: None }
    }

    /// Takes the latest report, again and again the same one.
    pub(super) fn reported(&mut self, report: Report) {
        let Some(last) = self.last.replace(report).filter(|last| *last != report) else { return };
        let said = span_us(last.ntp, report.ntp);
        let counted = self.ticks_us(last.rtp, report.rtp);
        if said.abs_diff(counted) > STEP_US.unsigned_abs() {
            self.stepped = Some(report.received);
        }
    }

    /// Another stream of packets follows.
    pub(super) const fn forget(&mut self) {
        *self = Self::new(self.rate);
    }

    /// The sender's clock at a time of the stream, in microseconds since `zero`.
    pub(super) fn captured_us(&self, zero: u64, rtp: u32) -> Option<i64> {
        let last = self.last?;
        Some(span_us(zero, last.ntp) + self.ticks_us(last.rtp, rtp))
    }

    /// From one time of the stream to another less than half its circle away.
    pub(super) fn ticks_us(&self, from: u32, to: u32) -> i64 {
        i64::from(to.wrapping_sub(from).cast_signed()) * 1_000_000 / i64::from(self.rate)
    }
}

/// Whether two streams tell of one clock: both reported lately, and since either said that it was set.
pub(super) fn agree(now: Duration, clocks: [&StreamClock; 2]) -> bool {
    let stepped = clocks.iter().filter_map(|clock| clock.stepped).max();
    clocks.iter().all(|clock| {
        clock.last.is_some_and(|last| {
            now.saturating_sub(last.received) <= STALE
                && stepped.is_none_or(|stepped| last.received >= stepped)
        })
    })
}

/// From one time of NTP to another less than 68 years away.
fn span_us(from: u64, to: u64) -> i64 {
    let span = to.wrapping_sub(from).cast_signed();
    ((i128::from(span) * 1_000_000) >> 32) as i64
}

/// What a sender's clock is set by. An age that is beyond this is a source that began anew.
const MOST_LATE_US: i64 = 1_000_000;
/// The fastest of so long counts, and that of as long before it: sources' clocks drift.
const WINDOW_US: i64 = 2_000_000;

/// From the times that a source gives to ours. What it gives comes late or in heaps, so the fastest counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CaptureClock {
    /// Our time less the source's, the least of this window and of the one before it.
    least: Option<(i64, i64)>,
    since: i64,
}

impl CaptureClock {
    /// Something of the source's time `media_us` came; it was recorded at `at_us` at the latest. When that was, on
    /// our clock.
    pub(crate) fn captured_us(&mut self, at_us: i64, media_us: u64) -> i64 {
        let media = media_us.cast_signed();
        let late = at_us.wrapping_sub(media);
        let (recent, before) = match self.least {
            Some((recent, before)) if late.abs_diff(recent.min(before)) < MOST_LATE_US as u64 => {
                (recent, before)
            }
            _ => {
                self.since = at_us;
                (late, late)
            }
        };
        let (recent, before) = if at_us.saturating_sub(self.since) > WINDOW_US {
            self.since = at_us;
            (late, recent)
        } else {
            (recent.min(late), before)
        };
        self.least = Some((recent, before));
        media.wrapping_add(recent.min(before))
    }
}
