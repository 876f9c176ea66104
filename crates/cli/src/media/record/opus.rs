//! Opus packets as they arrive, brought into order, with silence where there was none. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use metered_realtime::media::audio::{OPUS_CLOCK_HZ, OpusPacketInfo};

/// Packets that wait for an earlier one.
const MAX_WAITING: usize = 10;
/// What a clock may be wrong by; more is another stream.
const SLACK: i64 = OPUS_CLOCK_HZ as i64;
/// Silence of 2.5, 5, 10 and 20 ms in samples: a CELT frame with its flag of silence set (RFC 6716 section 4.3).
const SILENCE: [(u64, [u8; 3]); 4] = [
    (960, [0xf8, 0xff, 0xfe]),
    (480, [0xf0, 0xff, 0xfe]),
    (240, [0xe8, 0xff, 0xfe]),
    (120, [0xe0, 0xff, 0xfe]),
];

/// Puts packets on one line of time.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// The last packet's time on the wire, on the line, and when it came.
    last: Option<(u32, i64, Duration)>,
    waiting: BTreeMap<i64, (i64, Bytes)>,
    /// Where the next packet belongs.
    next: i64,
}

impl Timeline {
    /// Takes a packet that came now; calls back with what is in order. What is no Opus is left out.
    pub(super) fn push<E>(
        &mut self,
        timestamp: u32,
        payload: Bytes,
        now: Duration,
        write: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Ok(info) = OpusPacketInfo::of(&payload) else { return Ok(()) };
        let at = match self.last {
            None => 0,
            Some((wire, line, came)) => {
                let step = i64::from(timestamp.wrapping_sub(wire).cast_signed());
                let passed =
                    now.saturating_sub(came).as_millis() * u128::from(OPUS_CLOCK_HZ) / 1_000;
                let most = i64::try_from(passed).unwrap_or(i64::MAX).saturating_add(SLACK);
                if (-SLACK..=most).contains(&step) {
                    line + step
                } else {
                    // Another stream: it follows at once, whatever its clock says.
                    self.flush(write)?;
                    self.next
                }
            }
        };
        self.last = Some((timestamp, at, now));
        if at >= self.next {
            self.waiting.entry(at).or_insert((i64::from(info.samples), payload));
        }
        while let Some((at, _)) = self.waiting.first_key_value()
            && (*at <= self.next || self.waiting.len() > MAX_WAITING)
        {
            self.write_first(write)?;
        }
        Ok(())
    }

    /// Gives what still waits.
    pub(super) fn flush<E>(
        &mut self,
        write: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !self.waiting.is_empty() {
            self.write_first(write)?;
        }
        Ok(())
    }

    fn write_first<E>(&mut self, write: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Some((at, (samples, payload))) = self.waiting.pop_first() else { return Ok(()) };
        if at < self.next {
            return Ok(()); // overlaps with what was written
        }
        let mut gap = u64::try_from(at - self.next).unwrap_or_default();
        for (samples, packet) in SILENCE {
            while gap >= samples {
                write(&packet)?;
                gap -= samples;
            }
        }
        write(&payload)?;
        self.next = at + samples;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of packets with their times in ms: first bytes, and the samples of all.
    fn line(packets: &[(u64, u32, u8)]) -> (Vec<u8>, u32) {
        let (mut timeline, mut marks, mut samples) = (Timeline::default(), Vec::new(), 0);
        let mut write = |packet: &[u8]| {
            marks.push(packet[1]);
            samples += OpusPacketInfo::of(packet).unwrap().samples;
            Ok::<(), ()>(())
        };
        for (ms, timestamp, mark) in packets {
            let payload = Bytes::copy_from_slice(&[0x78, *mark, 0]);
            timeline.push(*timestamp, payload, Duration::from_millis(*ms), &mut write).unwrap();
        }
        timeline.flush(&mut write).unwrap();
        (marks, samples)
    }

    #[test]
    fn late_ones_take_their_place_and_duplicates_none() {
        let (marks, samples) =
            line(&[(0, 100, 1), (20, 2_020, 3), (21, 1_060, 2), (22, 1_060, 2), (60, 2_980, 4)]);
        assert_eq!((marks.as_slice(), samples), (&[1, 2, 3, 4][..], 4 * 960));
    }

    #[test]
    fn a_pause_is_as_long_as_it_was() {
        let wrap = u32::MAX - 959;
        let (marks, samples) = line(&[(0, wrap, 1), (1_000, wrap.wrapping_add(48_000), 2)]);
        assert_eq!((marks[0], *marks.last().unwrap()), (1, 2));
        assert_eq!(samples, 48_000 + 960);
        assert!(marks[1..marks.len() - 1].iter().all(|mark| *mark == 0xff));
    }

    #[test]
    fn another_streams_clock_makes_no_hours_of_silence() {
        let (marks, samples) =
            line(&[(0, 0, 1), (20, 2_000_000_000, 2), (40, 7, 3), (60, 967, 4), (61, 1 << 30, 5)]);
        assert_eq!((marks.as_slice(), samples), (&[1, 2, 3, 4, 5][..], 5 * 960));
    }
}
