//! What sender reports say of clocks (RFC 3550 section 6.4.1): theirs as they come, ours as the tracks know it.
//!
//! The crate takes for a packet's time of recording when it leaves: sound leaves a packet's length after its
//! first sample, and a picture when the pacer lets it. A remote would part them by as much.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::rtc::engine::SenderReport;

/// Streams of a remote whose reports are kept.
const MOST_STREAMS: usize = 128;
/// Seconds from NTP's first day to Unix's.
const NTP_EPOCH: Duration = Duration::from_secs(2_208_988_800);

#[derive(Default)]
pub(super) struct Clocks {
    /// By stream of ours: a time of it, and when what has that time was recorded.
    captured: HashMap<u32, (u32, Instant)>,
    /// By stream of the remote.
    reported: HashMap<u32, SenderReport>,
    /// One clock for all that we send: the system's at one moment, and never set again.
    origin: Option<(Instant, Duration)>,
}

impl Clocks {
    pub(super) fn captured(&mut self, ssrc: u32, timestamp: u32, at: Instant) {
        self.captured.insert(ssrc, (timestamp, at));
    }

    pub(super) fn forget(&mut self, ssrc: u32) {
        self.captured.remove(&ssrc);
    }

    pub(super) fn heard(&mut self, ssrc: u32, report: SenderReport) {
        if self.reported.len() >= MOST_STREAMS && !self.reported.contains_key(&ssrc) {
            let oldest = self.reported.iter().min_by_key(|(_, report)| report.received);
            if let Some(oldest) = oldest.map(|(ssrc, _)| *ssrc) {
                self.reported.remove(&oldest);
            }
        }
        self.reported.insert(ssrc, report);
    }

    pub(super) fn of(&self, ssrc: u32) -> Option<SenderReport> {
        self.reported.get(&ssrc).copied()
    }

    /// What a report of ours that leaves now says: the time of NTP, and the stream's if a track has told it.
    pub(super) fn report(&mut self, now: Instant, ssrc: u32, rate: u32) -> (u64, Option<u32>) {
        let system = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (origin, then) = *self.origin.get_or_insert_with(|| (now, system() + NTP_EPOCH));
        let ntp = ntp(then + now.saturating_duration_since(origin));
        let rtp = self.captured.get(&ssrc).map(|(timestamp, at)| {
            let after = ticks(now.saturating_duration_since(*at), rate);
            let before = ticks(at.saturating_duration_since(now), rate);
            timestamp.wrapping_add(after).wrapping_sub(before)
        });
        (ntp, rtp)
    }
}

/// 32 bits of seconds, 32 of their fraction.
fn ntp(time: Duration) -> u64 {
    (time.as_secs() << 32) | ((u64::from(time.subsec_nanos()) << 32) / 1_000_000_000)
}

/// They wrap.
fn ticks(span: Duration, rate: u32) -> u32 {
    (span.as_micros() * u128::from(rate) / 1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_is_recorded_as_it_leaves() {
        let (mut clocks, start) = (Clocks::default(), Instant::now());
        let (first, none) = clocks.report(start, 7, 48_000);
        assert_eq!(none, None);
        // 20 ms of sound since its first sample; and a picture that comes from the future.
        let ms = Duration::from_millis;
        clocks.captured(7, u32::MAX, start);
        clocks.captured(8, 50, start + ms(2));
        assert_eq!(clocks.report(start + ms(20), 7, 48_000).1, Some(959));
        assert_eq!(clocks.report(start, 8, 90_000).1, Some(50_u32.wrapping_sub(180)));
        // One clock behind both.
        let (ntp, _) = clocks.report(start + ms(1_500), 8, 90_000);
        assert!((ntp - first).abs_diff((3 << 32) / 2) < 10);
        clocks.forget(7);
        assert_eq!(clocks.report(start, 7, 48_000).1, None);
    }

    #[test]
    fn a_remote_with_any_number_of_streams_is_remembered_in_part() {
        let (mut clocks, start) = (Clocks::default(), tokio::time::Instant::now());
        for n in 0..10_000 {
            let received = start + Duration::from_millis(n.into());
            clocks.heard(n, SenderReport { received, ntp: u64::MAX, rtp: n });
        }
        assert_eq!((clocks.reported.len(), clocks.of(0)), (MOST_STREAMS, None));
        assert_eq!(clocks.of(9_999).map(|report| report.rtp), Some(9_999));
    }
}
