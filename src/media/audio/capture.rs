//! PCM as an app has it to Opus packets with their times, for one track. Pure.
//!
//! Samples are the clock: a packet is 20 ms after the one before it, whenever its PCM came. Only a pause in what
//! is written is a pause in the time.

use std::time::Duration;

use bytes::Bytes;

use super::error::AudioError;
use super::level::{Level, LevelWindow};
use super::opus::{MIN_BITRATE_BPS, OpusEncoder, OpusOptions};
use super::pcm::PcmFormat;

/// What a chunk may be late; beyond that the source paused.
const PAUSE: Duration = Duration::from_millis(200);
/// What one packet holds.
const PACKET_US: u64 = 20_000;
/// A packet without sound: the encoder pauses (DTX).
const PAUSE_BYTES: usize = 2;
/// Silence that follows the last sound before a mute, so that nobody goes on with that sound.
const FADE_US: u64 = 3 * PACKET_US;

/// A packet to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    pub(crate) packet: Bytes,
    /// Of its first sample, on the track's clock.
    pub(crate) timestamp_us: u64,
    /// Sound begins here after silence.
    pub(crate) begins: bool,
}

/// Encodes what a track is given.
#[derive(Debug)]
pub(crate) struct Capture {
    options: OpusOptions,
    loss_percent: u8,
    /// Of the options or less.
    bitrate_bps: u32,
    encoder: Option<OpusEncoder>,
    /// When the last chunk came.
    last: Option<Duration>,
    /// Of the first sample that is not in a packet yet.
    next_us: u64,
    /// Whether the last packet had no sound, or there was none.
    quiet: bool,
    /// Whether chunks were left out since the last one.
    resumes: bool,
    /// Time that was given to silence of our own, and that those chunks stand for; and to sound that came later
    /// than its time, which a pause stood for.
    ahead_us: u64,
    /// Whether what is written since the last pause may be what was missing in it.
    catches_up: bool,
    level: LevelWindow,
}

impl Capture {
    pub(crate) fn new(options: OpusOptions) -> Self {
        Self {
            options,
            loss_percent: 0,
            bitrate_bps: options.bitrate_bps,
            encoder: None,
            last: None,
            next_us: 0,
            quiet: true,
            resumes: false,
            ahead_us: 0,
            catches_up: false,
            level: LevelWindow::default(),
        }
    }

    /// Whether anything can be encoded: a mute shall not hide that nothing can.
    pub(crate) const fn is_built() -> Result<(), AudioError> {
        if cfg!(feature = "opus") { Ok(()) } else { Err(AudioError::NotBuilt) }
    }

    pub(crate) const fn options(&self) -> OpusOptions {
        self.options
    }

    /// How to encode from now on.
    pub(crate) fn set_options(&mut self, options: OpusOptions) -> Result<(), AudioError> {
        if options.application != self.options.application {
            // The choice is one for an encoder's life; its bitrate is checked here all the same.
            OpusEncoder::new(PcmFormat::OPUS_MONO, options)?;
            self.encoder = None;
        } else if let Some(encoder) = &mut self.encoder {
            encoder.set_bitrate(options.bitrate_bps)?;
            encoder.set_dtx(options.dtx)?;
        } else {
            OpusEncoder::new(PcmFormat::OPUS_MONO, options)?;
        }
        self.options = options;
        self.bitrate_bps = options.bitrate_bps;
        Ok(())
    }

    /// Follows what the remotes can take: the worst share of packets lost, 0 to 1, and the bits per second of
    /// the slowest, if known. Small changes are left alone.
    pub(crate) fn adapt(&mut self, loss: f64, limit_bps: Option<u64>) -> Result<(), AudioError> {
        let percent = loss_percent(loss);
        if self.loss_percent != percent {
            self.loss_percent = percent;
            if let Some(encoder) = &mut self.encoder {
                encoder.set_expected_loss(percent)?;
            }
        }
        let most = self.options.bitrate_bps;
        let limit = limit_bps.map_or(most, |limit| limit.min(most.into()) as u32);
        let wanted = limit.max(MIN_BITRATE_BPS).min(most);
        let differs = wanted.abs_diff(self.bitrate_bps) > self.bitrate_bps / 10;
        if differs || (wanted == most && self.bitrate_bps != most) {
            self.bitrate_bps = wanted;
            if let Some(encoder) = &mut self.encoder {
                encoder.set_bitrate(wanted)?;
            }
        }
        Ok(())
    }

    /// Chunks will be left out: a short silence, and a packet that says that a pause begins.
    pub(crate) fn fade_out(&mut self) -> Result<Vec<Captured>, AudioError> {
        let Some(encoder) = &mut self.encoder else { return Ok(Vec::new()) };
        let silence = vec![0.0; encoder.format().samples_in(FADE_US)];
        let packets = encoder.push(&silence)?;
        // A table of contents alone, one frame of 20 ms of the last packet's kind (RFC 6716 section 3.1).
        let pause = packets.last().map(|last| Bytes::copy_from_slice(&[last[0] & !0b11]));
        let quiet = self.quiet;
        let captured = packets.into_iter().chain(pause).map(|packet| {
            let timestamp_us = self.next_us;
            self.next_us += PACKET_US;
            self.ahead_us += PACKET_US;
            Captured { packet, timestamp_us, begins: false }
        });
        // Who is quiet already has said so.
        let captured: Vec<_> = captured.filter(|_| !quiet).collect();
        self.quiet = true;
        Ok(captured)
    }

    /// Chunks were left out until now: however few they were, their time passed.
    pub(crate) const fn resume(&mut self) {
        self.resumes = true;
    }

    /// The level of the last stretch of 100 ms; silence if nothing was written for longer than a pause.
    pub(crate) fn level(&self, now: Duration) -> Level {
        let lately = self.last.is_some_and(|last| now.saturating_sub(last) <= PAUSE);
        if lately { self.level.level() } else { Level::SILENCE }
    }

    /// Takes a chunk that ends now and gives the packets that are complete. In a pause of the encoder (DTX)
    /// its first packet is given and none of the others.
    pub(crate) fn push(
        &mut self,
        now: Duration,
        format: PcmFormat,
        pcm: &[f32],
    ) -> Result<Vec<Captured>, AudioError> {
        format.check(pcm.len())?;
        let encoder = match self.encoder.take() {
            Some(encoder) if encoder.format() == format => encoder,
            _ => {
                let mut encoder = OpusEncoder::new(format, self.options)?;
                encoder.set_bitrate(self.bitrate_bps)?;
                encoder.set_expected_loss(self.loss_percent)?;
                encoder
            }
        };
        let encoder = self.encoder.insert(encoder);
        let lasts = Duration::from_micros(format.microseconds_of(pcm.len()));
        if let Some(last) = self.last {
            let silence = now.saturating_sub(last).saturating_sub(lasts);
            if silence > PAUSE || self.resumes {
                let silence = silence.as_micros() as u64;
                self.next_us += silence.saturating_sub(self.ahead_us);
                self.ahead_us = self.ahead_us.saturating_sub(silence);
                self.quiet = true;
                self.catches_up = silence > PAUSE.as_micros() as u64;
            } else if self.catches_up {
                // A thread that was held up writes what it missed at once: that time was counted as a pause.
                let early = lasts.saturating_sub(now.saturating_sub(last));
                self.catches_up = early > lasts / 2;
                if self.catches_up {
                    self.ahead_us += early.as_micros() as u64;
                }
            }
        }
        self.resumes = false;
        self.last = Some(now);
        let mut captured = Vec::new();
        for packet in encoder.push(pcm)? {
            let timestamp_us = self.next_us;
            self.next_us += PACKET_US;
            let pauses = packet.len() <= PAUSE_BYTES;
            let paused = std::mem::replace(&mut self.quiet, pauses);
            if !(pauses && paused) {
                captured.push(Captured { packet, timestamp_us, begins: paused });
            }
        }
        self.level.push(format, pcm);
        Ok(captured)
    }
}

/// In steps, so that the encoder is not set anew with each report. At the bitrates of speech the codec has no room
/// for copies until it expects a tenth to be lost.
fn loss_percent(share: f64) -> u8 {
    if share < 0.005 { 0 } else { ((share * 20.0).ceil() * 5.0).clamp(10.0, 50.0) as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::audio::opus::tests::speech;
    use crate::media::audio::{OpusPacketInfo, Tone};

    const MONO: PcmFormat = PcmFormat::OPUS_MONO;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn times(captured: &[Captured]) -> Vec<(u64, bool)> {
        captured.iter().map(|captured| (captured.timestamp_us, captured.begins)).collect()
    }

    #[test]
    fn time_is_that_of_the_samples_and_goes_on_after_a_pause() {
        let sound = speech(2, 48_000);
        let mut capture = Capture::new(OpusOptions { dtx: false, ..OpusOptions::default() });
        // Chunks of 25 ms that come late and in twos.
        let mut captured = Vec::new();
        for (n, chunk) in (0..8).zip(sound.chunks(1_200)) {
            captured.extend(capture.push(ms(25 * (n + n % 2)), MONO, chunk).unwrap());
        }
        let wanted: Vec<_> = (0..10).map(|n| (n * 20_000, n == 0)).collect();
        assert_eq!(times(&captured), wanted);
        // 200 ms are written by now; the next 20 ms end at 1 s.
        let captured = capture.push(ms(1_000), MONO, &sound[..960]).unwrap();
        assert_eq!(times(&captured), [(980_000, true)]);
        // Three chunks were left out.
        capture.resume();
        let captured = capture.push(ms(1_080), MONO, &sound[..960]).unwrap();
        assert_eq!(times(&captured), [(1_060_000, true)]);
    }

    #[test]
    fn who_is_held_up_and_catches_up_again_and_again_does_not_leave_the_clock() {
        let sound = speech(1, 48_000);
        let mut capture = Capture::new(OpusOptions { dtx: false, ..OpusOptions::default() });
        let mut last = 0;
        for second in 1..=20 {
            // Half a second is written at once, the rest at its pace.
            for chunk in 0..50 {
                let now = ms(second * 1_000 + (20 * chunk).max(500));
                let captured = capture.push(now, MONO, &sound[..960]).unwrap();
                last = captured[0].timestamp_us;
            }
        }
        assert!((20_000_000..=20_520_000).contains(&last), "{last} us after 20 s");
    }

    #[test]
    fn in_a_pause_of_the_encoder_one_packet_says_so() {
        let mut capture = Capture::new(OpusOptions::default());
        let mut captured = Vec::new();
        let sound: Vec<f32> =
            speech(1, 48_000).into_iter().chain(std::iter::repeat_n(0.0, 96_000)).collect();
        for (n, chunk) in (1..).zip(sound.chunks(960)) {
            captured.extend(capture.push(ms(20 * n), MONO, chunk).unwrap());
        }
        let pauses: Vec<bool> =
            captured.iter().map(|captured| captured.packet.len() <= PAUSE_BYTES).collect();
        assert!(pauses.contains(&true) && captured.len() < 110, "{}", captured.len());
        assert!(!pauses.windows(2).any(|two| two == [true, true]), "one for each pause");
        for two in captured.windows(2) {
            assert_eq!(two[1].begins, two[0].packet.len() <= PAUSE_BYTES, "sound begins after one");
        }
    }

    #[test]
    fn a_mute_ends_in_silence_and_in_a_packet_that_says_so() {
        let sound = speech(1, 48_000);
        let mut capture = Capture::new(OpusOptions { dtx: false, ..OpusOptions::default() });
        assert!(capture.fade_out().unwrap().is_empty(), "nothing was heard");
        let heard = capture.push(ms(1_000), MONO, &sound).unwrap();
        let faded = capture.fade_out().unwrap();
        let last = heard.last().unwrap().timestamp_us;
        let wanted: Vec<_> = (1..=4).map(|n| (last + n * PACKET_US, false)).collect();
        assert_eq!(times(&faded), wanted);
        assert_eq!(faded[3].packet.len(), 1);
        assert!(capture.fade_out().unwrap().is_empty(), "once");
        capture.resume();
        let captured = capture.push(ms(2_020), MONO, &sound[..960]).unwrap();
        assert_eq!(
            times(&captured),
            [(2_000_000, true)],
            "time went on as if nothing had been added"
        );
    }

    #[test]
    fn the_level_is_that_of_the_last_tenth_of_a_second() {
        let mut capture = Capture::new(OpusOptions::default());
        let mut pcm = [0.0; 4_800];
        Tone::new(440.0, 48_000, 1).fill(&mut pcm);
        assert_eq!(capture.level(ms(0)), Level::SILENCE);
        capture.push(ms(100), MONO, &pcm).unwrap();
        assert!((capture.level(ms(200)).rms_dbfs + 15.0).abs() < 0.5);
        assert_eq!(capture.level(ms(900)), Level::SILENCE);
    }

    #[test]
    fn it_follows_the_slowest_path_and_the_worst_loss() {
        let sound = speech(4, 48_000);
        let bytes = |capture: &mut Capture, now| {
            let captured = capture.push(ms(now), MONO, &sound).unwrap();
            captured.iter().map(|captured| captured.packet.len()).sum::<usize>()
        };
        let options = OpusOptions { bitrate_bps: 40_000, dtx: false, ..OpusOptions::default() };
        let mut capture = Capture::new(options);
        let all = bytes(&mut capture, 4_000);
        capture.adapt(0.0, Some(12_000)).unwrap();
        let few = bytes(&mut capture, 8_000);
        assert!(few * 2 < all, "{few} of {all}");
        // Nobody asks for more than the app gave, nor for less than Opus can.
        capture.adapt(0.0, Some(1)).unwrap();
        assert_eq!(capture.bitrate_bps, MIN_BITRATE_BPS);
        capture.adapt(0.0, Some(1_000_000)).unwrap();
        assert_eq!(capture.bitrate_bps, 40_000);
        capture.set_options(OpusOptions { dtx: false, ..OpusOptions::default() }).unwrap();
        capture.adapt(0.03, None).unwrap();
        let packets = capture.push(ms(12_000), MONO, &sound).unwrap();
        let copies = packets.iter().filter(|p| OpusPacketInfo::of(&p.packet).unwrap().fec).count();
        assert!(copies * 2 > packets.len(), "{copies} copies");
        let percents = [0.0, 0.004, 0.01, 0.05, 0.051, 1.0].map(loss_percent);
        assert_eq!(percents, [0, 0, 10, 10, 10, 50]);
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut capture = Capture::new(OpusOptions::default());
        let stereo = PcmFormat::OPUS_STEREO;
        assert!(matches!(capture.push(ms(0), stereo, &[0.0; 3]), Err(AudioError::Uneven { .. })));
        let options = OpusOptions { bitrate_bps: 1, ..OpusOptions::default() };
        assert_eq!(capture.set_options(options), Err(AudioError::Bitrate { bps: 1 }));
        assert_eq!(capture.options(), OpusOptions::default());
        assert_eq!(times(&capture.push(ms(20), MONO, &[0.0; 960]).unwrap()), [(0, true)]);
    }
}
