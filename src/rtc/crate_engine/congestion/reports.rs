//! What receiver reports say of the streams that we send (RFC 3550 section 6.4), and our retransmissions.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use rtc::rtcp::reception_report::ReceptionReport;

/// Sender reports that may still be answered.
const MOST_SENT: usize = 64;

/// Figures of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::rtc::crate_engine) struct StreamFigures {
    pub(in crate::rtc::crate_engine) retransmitted_packets: u64,
    pub(in crate::rtc::crate_engine) retransmitted_bytes: u64,
    /// `None` before the first report.
    pub(in crate::rtc::crate_engine) remote: Option<RemoteFigures>,
}

/// What the remote says of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::rtc::crate_engine) struct RemoteFigures {
    /// Between its last two reports, 0 to 1.
    pub(in crate::rtc::crate_engine) fraction_lost: f64,
    /// Negative if it got more than was sent: duplicates count.
    pub(in crate::rtc::crate_engine) packets_lost: i64,
    pub(in crate::rtc::crate_engine) jitter_ms: f64,
    /// `None` if it has not seen a sender report of ours yet.
    pub(in crate::rtc::crate_engine) round_trip: Option<Duration>,
}

/// Our latest sender reports: the middle of their NTP time, and when they left.
#[derive(Default)]
pub(super) struct SentReports(VecDeque<(u32, Instant)>);

impl SentReports {
    pub(super) fn note(&mut self, now: Instant, ntp_time: u64) {
        if self.0.len() >= MOST_SENT {
            self.0.pop_front();
        }
        self.0.push_back(((ntp_time >> 16) as u32, now));
    }

    fn round_trip(&self, now: Instant, report: &ReceptionReport) -> Option<Duration> {
        if report.last_sender_report == 0 {
            return None;
        }
        let known = |(middle, _): &&(u32, Instant)| *middle == report.last_sender_report;
        let (_, left) = self.0.iter().rev().find(known)?;
        // The remote's pause, in 1/65,536 s.
        let pause = Duration::from_secs_f64(f64::from(report.delay) / 65_536.0);
        now.saturating_duration_since(*left).checked_sub(pause)
    }

    pub(super) fn read(
        &self,
        now: Instant,
        report: &ReceptionReport,
        clock_rate: u32,
    ) -> RemoteFigures {
        // 24 bits with a sign.
        let lost = ((report.total_lost << 8) as i32) >> 8;
        RemoteFigures {
            fraction_lost: f64::from(report.fraction_lost) / 256.0,
            packets_lost: lost.into(),
            jitter_ms: f64::from(report.jitter) * 1_000.0 / f64::from(clock_rate.max(1)),
            round_trip: self.round_trip(now, report),
        }
    }
}

pub(super) type Figures = HashMap<u32, StreamFigures>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reception_report_is_read_in_its_units() {
        let (mut sent, left) = (SentReports::default(), Instant::now());
        sent.note(left, 0x1234_5678_9abc_def0);
        let report = ReceptionReport {
            fraction_lost: 64,
            total_lost: 0xff_ffff,
            jitter: 900,
            last_sender_report: 0x5678_9abc,
            // Half a second.
            delay: 32_768,
            ..ReceptionReport::default()
        };
        let figures = sent.read(left + Duration::from_millis(620), &report, 90_000);
        assert_eq!((figures.fraction_lost, figures.packets_lost), (0.25, -1));
        assert_eq!(figures.jitter_ms, 10.0);
        assert_eq!(figures.round_trip, Some(Duration::from_millis(120)));
        let unknown = ReceptionReport { last_sender_report: 7, ..report };
        assert_eq!(sent.read(left, &unknown, 0).round_trip, None);
    }
}
