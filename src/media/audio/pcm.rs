//! What PCM is made of: rate and channels, and the ways between `i16` and `f32`.

use super::error::AudioError;

/// Rate and channels of interleaved PCM.
///
/// ```
/// use metered_realtime::media::audio::PcmFormat;
/// let format = PcmFormat::new(44_100, 2)?;
/// assert_eq!(format.samples_in(20_000), 1_764); // both channels
/// # Ok::<(), metered_realtime::media::audio::AudioError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PcmFormat {
    rate: u32,
    channels: u8,
}

impl PcmFormat {
    /// What Opus decodes to: 48 kHz, one channel.
    pub const OPUS_MONO: Self = Self { rate: 48_000, channels: 1 };
    /// What Opus decodes to: 48 kHz, two channels.
    pub const OPUS_STEREO: Self = Self { rate: 48_000, channels: 2 };

    /// A format of 8,000 to 48,000 samples per second and one or two channels.
    ///
    /// # Errors
    /// [`AudioError::Format`] for any other.
    pub const fn new(rate: u32, channels: u8) -> Result<Self, AudioError> {
        if rate < 8_000 || rate > 48_000 || channels < 1 || channels > 2 {
            return Err(AudioError::Format { rate, channels });
        }
        Ok(Self { rate, channels })
    }

    /// Samples per second and channel.
    ///
    /// ```
    /// use metered_realtime::media::audio::PcmFormat;
    /// assert_eq!((PcmFormat::OPUS_STEREO.rate(), PcmFormat::OPUS_STEREO.channels()), (48_000, 2));
    /// ```
    pub const fn rate(self) -> u32 {
        self.rate
    }

    /// One or two.
    pub const fn channels(self) -> u8 {
        self.channels
    }

    /// Samples of all channels in so many microseconds, rounded down to whole moments.
    pub const fn samples_in(self, microseconds: u64) -> usize {
        let moments = microseconds * self.rate as u64 / 1_000_000;
        moments as usize * self.channels as usize
    }

    /// Microseconds that so many samples of all channels last.
    ///
    /// ```
    /// use metered_realtime::media::audio::PcmFormat;
    /// assert_eq!(PcmFormat::OPUS_STEREO.microseconds_of(960), 10_000); // 480 of each channel
    /// ```
    pub const fn microseconds_of(self, samples: usize) -> u64 {
        samples as u64 * 1_000_000 / (self.rate as u64 * self.channels as u64)
    }

    /// Refuses a chunk that ends in the middle of a moment.
    pub(crate) const fn check(self, samples: usize) -> Result<(), AudioError> {
        if samples.is_multiple_of(self.channels as usize) {
            Ok(())
        } else {
            Err(AudioError::Uneven { samples, channels: self.channels })
        }
    }
}

/// Samples from -32,768 to 32,767 as samples from -1.0 to 1.0, added to the end of a buffer.
///
/// ```
/// use metered_realtime::media::audio::{from_i16, to_i16};
/// let mut pcm = Vec::new();
/// from_i16(&[i16::MIN, 0, 16_384], &mut pcm);
/// assert_eq!(pcm, [-1.0, 0.0, 0.5]);
/// let mut back = Vec::new();
/// to_i16(&pcm, &mut back);
/// assert_eq!(back, [i16::MIN, 0, 16_384]);
/// ```
pub fn from_i16(samples: &[i16], pcm: &mut Vec<f32>) {
    pcm.extend(samples.iter().map(|sample| f32::from(*sample) / 32_768.0));
}

/// The way back of [`from_i16`]: rounded, and cut at full scale. What is not a number becomes silence.
///
/// ```
/// use metered_realtime::media::audio::to_i16;
/// let mut samples = Vec::new();
/// to_i16(&[0.5, 2.0, f32::NAN], &mut samples);
/// assert_eq!(samples, [16_384, i16::MAX, 0]);
/// ```
pub fn to_i16(pcm: &[f32], samples: &mut Vec<i16>) {
    // `as` cuts at the bounds and turns NaN into 0.
    samples.extend(pcm.iter().map(|sample| (sample * 32_768.0).round() as i16));
}

/// The same sound in another number of channels, doubled or the mean of both, added to the end of a buffer.
///
/// ```
/// use metered_realtime::media::audio::in_channels;
/// let mut mono = Vec::new();
/// in_channels(&[1.0, 0.0, -0.5, 0.5], 2, 1, &mut mono);
/// assert_eq!(mono, [0.5, 0.0]);
/// ```
pub fn in_channels(pcm: &[f32], from: u8, to: u8, into: &mut Vec<f32>) {
    match (from, to) {
        (1, 2) => into.extend(pcm.iter().flat_map(|sample| [*sample, *sample])),
        (2, 1) => into.extend(pcm.chunks_exact(2).map(|both| f32::midpoint(both[0], both[1]))),
        _ => into.extend_from_slice(pcm),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_outside_the_range_are_refused() {
        for (rate, channels) in [(7_999, 1), (48_001, 1), (48_000, 0), (48_000, 3), (0, 0)] {
            assert_eq!(PcmFormat::new(rate, channels), Err(AudioError::Format { rate, channels }));
        }
        assert!(PcmFormat::new(11_025, 2).is_ok());
    }

    #[test]
    fn full_scale_is_cut_and_not_wrapped() {
        let mut samples = Vec::new();
        to_i16(&[2.0, -2.0, 1.0, f32::NAN, f32::INFINITY], &mut samples);
        assert_eq!(samples, [32_767, -32_768, 32_767, 0, 32_767]);
    }

    #[test]
    fn every_sample_comes_back() {
        let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let (mut pcm, mut back) = (Vec::new(), Vec::new());
        from_i16(&all, &mut pcm);
        to_i16(&pcm, &mut back);
        assert_eq!(all, back);
    }

    #[test]
    fn channels_are_doubled_and_averaged() {
        let (mut stereo, mut mono) = (Vec::new(), Vec::new());
        in_channels(&[0.5, -0.25], 1, 2, &mut stereo);
        assert_eq!(stereo, [0.5, 0.5, -0.25, -0.25]);
        in_channels(&[1.0, 0.0, -0.5, 0.5], 2, 1, &mut mono);
        assert_eq!(mono, [0.5, 0.0]);
    }
}
