//! The receiving side of one audio track: packets in as they come, PCM out as it is asked for. Pure.
//!
//! The sink's clock leads: a chunk is filled whenever the sink wants one, and the tempo of what is played
//! is bent until the sender's clock agrees.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::error::AudioError;
use super::jitter::{ArrivedPacket, Frame, JitterBuffer, JitterOptions, JitterStats, Tempo};
use super::opus::OpusDecoder;
use super::pcm::PcmFormat;
use super::resample::Resampler;
use super::stretch::{lengthen, shorten};

/// What a jitter buffer may hold.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// Counted since the start.
///
/// ```
/// use metered_realtime::media::audio::{AudioPlayout, JitterOptions, PcmFormat, PlayoutStats};
/// use std::time::Duration;
/// let mut playout = AudioPlayout::new(PcmFormat::OPUS_MONO, JitterOptions::default())?;
/// assert_eq!(playout.format(), PcmFormat::OPUS_MONO);
/// assert!(playout.handle(Duration::ZERO, 1, 960, vec![].into()).is_err()); // no Opus
/// let PlayoutStats { jitter, broken_packets, .. } = playout.stats();
/// assert_eq!((broken_packets, jitter.played_samples), (1, 0));
/// # Ok::<(), metered_realtime::media::audio::AudioError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayoutStats {
    /// Of the jitter buffer.
    pub jitter: JitterStats,
    /// Samples at 48 kHz left out to shorten the delay.
    pub hurried_samples: u64,
    /// Samples at 48 kHz added to lengthen it.
    pub waited_samples: u64,
    /// Packets that were not Opus, or that the codec refused.
    pub broken_packets: u64,
}

/// Receives one track.
///
/// ```
/// use std::time::Duration;
/// use metered_realtime::media::audio::{AudioPlayout, JitterOptions, OpusEncoder, OpusOptions, PcmFormat};
/// let mut encoder = OpusEncoder::new(PcmFormat::OPUS_MONO, OpusOptions::default())?;
/// let mut playout = AudioPlayout::new(PcmFormat::new(16_000, 1)?, JitterOptions::default())?;
/// let mut pcm = [0.0; 160]; // 10 ms
/// for n in 0..100_u16 {
///     let now = Duration::from_millis(20) * n.into();
///     let packet = encoder.push(&[0.1; 960])?.remove(0);
///     playout.handle(now, n, u32::from(n) * 960, packet)?;
///     playout.pull(now, &mut pcm);
///     playout.pull(now + Duration::from_millis(10), &mut pcm);
/// }
/// assert_eq!(playout.stats().jitter.concealed_samples, 0);
/// # Ok::<(), metered_realtime::media::audio::AudioError>(())
/// ```
#[derive(Debug)]
pub struct AudioPlayout {
    buffer: JitterBuffer,
    decoder: OpusDecoder,
    format: PcmFormat,
    resampler: Resampler,
    /// A frame at 48 kHz.
    frame: Vec<f32>,
    resampled: Vec<f32>,
    /// In the sink's format, not yet asked for.
    ready: VecDeque<f32>,
    /// When the first sample of the last packet was heard, and its time.
    heard: Option<(Duration, u32)>,
    hurried: u64,
    waited: u64,
    broken: u64,
}

impl AudioPlayout {
    /// A playout to PCM in a format.
    ///
    /// # Errors
    /// [`AudioError::Delay`] for bounds that cannot be, [`AudioError::Codec`] if the codec refuses, which it
    /// does not.
    pub fn new(format: PcmFormat, options: JitterOptions) -> Result<Self, AudioError> {
        let JitterOptions { min_delay, max_delay, .. } = options;
        if min_delay > max_delay || max_delay > MAX_DELAY {
            let [min_ms, max_ms] = [min_delay, max_delay].map(|delay| delay.as_millis() as u64);
            return Err(AudioError::Delay { min_ms, max_ms });
        }
        let opus =
            if format.channels() == 1 { PcmFormat::OPUS_MONO } else { PcmFormat::OPUS_STEREO };
        Ok(Self {
            buffer: JitterBuffer::new(options),
            decoder: OpusDecoder::new(opus)?,
            format,
            resampler: Resampler::new(opus.rate(), format.rate(), format.channels()),
            frame: Vec::new(),
            resampled: Vec::new(),
            ready: VecDeque::new(),
            heard: None,
            hurried: 0,
            waited: 0,
            broken: 0,
        })
    }

    /// What PCM it gives.
    pub const fn format(&self) -> PcmFormat {
        self.format
    }

    /// Takes a packet that arrived now. `now` never goes back.
    ///
    /// # Errors
    /// [`AudioError::Packet`] if it is not Opus; it is counted and its time will be concealed.
    pub fn handle(
        &mut self,
        now: Duration,
        sequence: u16,
        timestamp: u32,
        payload: Bytes,
    ) -> Result<(), AudioError> {
        let packet =
            ArrivedPacket::opus(sequence, timestamp, payload).inspect_err(|_| self.broken += 1)?;
        self.buffer.handle(now, packet);
        Ok(())
    }

    /// Fills a chunk of interleaved PCM whose first moment is heard at `now`.
    pub fn pull(&mut self, now: Duration, pcm: &mut [f32]) {
        let mut filled = 0;
        while filled < pcm.len() {
            if self.ready.is_empty() {
                self.advance(now + Duration::from_micros(self.format.microseconds_of(filled)));
            }
            let (first, second) = self.ready.as_slices();
            let ready = if first.is_empty() { second } else { first };
            let part = ready.len().min(pcm.len() - filled);
            pcm[filled..filled + part].copy_from_slice(&ready[..part]);
            self.ready.drain(..part);
            filled += part;
        }
    }

    /// What was counted and measured so far.
    pub fn stats(&self) -> PlayoutStats {
        PlayoutStats {
            jitter: self.buffer.stats(),
            hurried_samples: self.hurried,
            waited_samples: self.waited,
            broken_packets: self.broken,
        }
    }

    /// When the first sample of the last packet was heard, and its RTP timestamp.
    pub(crate) const fn heard(&self) -> Option<(Duration, u32)> {
        self.heard
    }

    /// Packets and samples that wait.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.buffer.len(), self.ready.len())
    }

    /// One more frame.
    fn advance(&mut self, now: Duration) {
        let frame = self.buffer.next(now);
        self.frame.clear();
        let channels = usize::from(self.format.channels());
        let decoded = match &frame {
            Frame::Packet { payload, .. } => self.decoder.decode(payload, &mut self.frame),
            Frame::Fec { payload, samples } => {
                self.decoder.decode_fec(payload, *samples, &mut self.frame)
            }
            Frame::Conceal { samples } | Frame::Comfort { samples } => {
                self.decoder.conceal(*samples, &mut self.frame)
            }
            Frame::Silence { .. } => Ok(()),
        };
        if decoded.is_err() {
            self.broken += 1;
            self.frame.clear();
            if self.decoder.conceal(frame.samples(), &mut self.frame).is_err() {
                self.frame.clear();
            }
        }
        // A frame has its time, whatever the codec made of it.
        self.frame.resize(frame.samples() as usize * channels, 0.0);
        if let Frame::Packet { tempo, timestamp, .. } = frame {
            self.heard = Some((now, timestamp));
            match tempo {
                Tempo::Keep => {}
                Tempo::Hurry => self.hurried += shorten(&mut self.frame, channels) as u64,
                Tempo::Wait => self.waited += lengthen(&mut self.frame, channels) as u64,
            }
        }
        self.resampled.clear();
        self.resampler.push(&self.frame, &mut self.resampled);
        self.ready.extend(self.resampled.iter());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::audio::opus::tests::speech;
    use crate::media::audio::{LevelMeter, OpusEncoder, OpusOptions, Tone, tone_share};

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn bounds_that_exclude_each_other_are_refused() {
        for (min, max) in [(200, 100), (0, 5_001)] {
            let (min_delay, max_delay) = (ms(min), ms(max));
            let options = JitterOptions { min_delay, max_delay, ..JitterOptions::default() };
            let refused = AudioPlayout::new(PcmFormat::OPUS_MONO, options).map(drop);
            assert_eq!(refused, Err(AudioError::Delay { min_ms: min, max_ms: max }));
        }
    }

    /// Sound through a network that loses every tenth packet, or none; what is heard.
    fn heard(sound: &[f32], loss: bool, format: PcmFormat) -> (Vec<f32>, PlayoutStats) {
        // A tone that does not change is a noise to the voice detector: DTX would leave it out.
        let options = OpusOptions { bitrate_bps: 24_000, dtx: false, ..OpusOptions::default() };
        let mut encoder = OpusEncoder::new(PcmFormat::OPUS_MONO, options).unwrap();
        encoder.set_expected_loss(if loss { 10 } else { 0 }).unwrap();
        let mut playout = AudioPlayout::new(format, JitterOptions::default()).unwrap();
        let mut pcm = Vec::new();
        let mut chunk = vec![0.0; format.samples_in(10_000)];
        for (n, packet) in (0_u64..).zip(encoder.push(sound).unwrap()) {
            if !loss || n % 10 != 5 {
                playout.handle(ms(20 * n), n as u16, n as u32 * 960, packet).unwrap();
            }
            for half in 0..2 {
                playout.pull(ms(20 * n + 10 * half), &mut chunk);
                pcm.extend_from_slice(&chunk);
            }
        }
        (pcm, playout.stats())
    }

    #[test]
    fn the_tone_is_heard_at_the_rate_that_is_asked_for() {
        let mut tone = vec![0.0; 4 * 48_000];
        Tone::new(440.0, 48_000, 1).fill(&mut tone);
        for (rate, channels) in [(48_000, 1), (44_100, 2), (16_000, 1)] {
            let (pcm, stats) = heard(&tone, false, PcmFormat::new(rate, channels).unwrap());
            assert_eq!(pcm.len(), 4 * rate as usize * usize::from(channels));
            let left: Vec<f32> = pcm.iter().step_by(channels.into()).copied().collect();
            let end = &left[3 * rate as usize..];
            assert!(tone_share(440.0, rate, end) > 0.95, "{rate}");
            let mut meter = LevelMeter::default();
            meter.push(end);
            assert!((meter.take().rms_dbfs + 15.0).abs() < 1.0);
            assert_eq!(stats.jitter.concealed_samples, 0);
            assert!(stats.jitter.delay <= ms(30), "{stats:?}");
        }
    }

    #[test]
    fn most_lost_packets_are_filled_from_the_next_one() {
        let (_, stats) = heard(&speech(10, 48_000), true, PcmFormat::OPUS_MONO);
        let jitter = stats.jitter;
        assert!(jitter.fec_samples > 2 * jitter.concealed_samples, "{stats:?}");
    }

    #[test]
    fn what_is_no_opus_is_told_counted_and_does_no_harm() {
        let mut playout =
            AudioPlayout::new(PcmFormat::OPUS_STEREO, JitterOptions::default()).unwrap();
        assert_eq!(playout.handle(ms(0), 0, 0, Bytes::new()), Err(AudioError::Packet));
        playout.handle(ms(0), 1, 960, vec![0xff; 9].into()).unwrap_or_default();
        let mut chunk = [1.0; 1_920];
        for n in 0..10 {
            playout.pull(ms(20 * n), &mut chunk);
            assert!(chunk.iter().all(|sample| sample.abs() < 1e-3));
        }
        assert!(playout.stats().broken_packets >= 2);
    }
}
