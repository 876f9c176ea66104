//! Opus packets to PCM at the rate that is asked for, and PCM where packets are missing.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::error::AudioError;
use super::super::pcm::{PcmFormat, from_i16};
use super::super::resample::Resampler;
use super::codec;
use super::{OPUS_CLOCK_HZ, OpusPacketInfo, rate_for};

/// What the codec is to do with a packet.
type How = fn(&mut codec::Decoder, &[u8], &mut [i16]) -> Result<usize, AudioError>;

/// Decodes one track.
///
/// ```
/// use metered_realtime::media::audio::{OpusDecoder, OpusEncoder, OpusOptions, PcmFormat};
/// let mut encoder = OpusEncoder::new(PcmFormat::OPUS_MONO, OpusOptions::default())?;
/// let packets = encoder.push(&[0.0; 1_920])?;
/// let mut decoder = OpusDecoder::new(PcmFormat::new(16_000, 2)?)?;
/// let mut pcm = Vec::new();
/// decoder.decode(&packets[0], &mut pcm)?;
/// assert_eq!(pcm.len(), 640); // 20 ms in two channels
/// decoder.conceal(960, &mut pcm)?; // the other one was lost
/// assert_eq!(pcm.len(), 1_280);
/// # Ok::<(), metered_realtime::media::audio::AudioError>(())
/// ```
pub struct OpusDecoder {
    codec: codec::Decoder,
    format: PcmFormat,
    rate: u32,
    resampler: Option<Resampler>,
    decoded: Vec<i16>,
    /// To the resampler.
    converted: Vec<f32>,
}

impl fmt::Debug for OpusDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusDecoder").field("format", &self.format).finish_non_exhaustive()
    }
}

impl OpusDecoder {
    /// A decoder to PCM in a format.
    ///
    /// # Errors
    /// [`AudioError::NotBuilt`] without the feature `opus`; [`AudioError::Codec`] if the codec refuses, which it
    /// does not.
    pub fn new(format: PcmFormat) -> Result<Self, AudioError> {
        let rate = rate_for(format.rate());
        let resampler =
            (rate != format.rate()).then(|| Resampler::new(rate, format.rate(), format.channels()));
        let codec = codec::Decoder::new(rate, format)?;
        let (decoded, converted) = (Vec::new(), Vec::new());
        Ok(Self { codec, format, rate, resampler, decoded, converted })
    }

    /// What PCM it gives.
    ///
    /// ```
    /// use metered_realtime::media::audio::{OpusDecoder, PcmFormat};
    /// let decoder = OpusDecoder::new(PcmFormat::OPUS_STEREO)?;
    /// assert_eq!(decoder.format().channels(), 2); // whatever the packets have
    /// # Ok::<(), metered_realtime::media::audio::AudioError>(())
    /// ```
    pub const fn format(&self) -> PcmFormat {
        self.format
    }

    /// Adds a packet's sound to the end of a buffer.
    ///
    /// # Errors
    /// [`AudioError::Packet`]: conceal its time instead.
    pub fn decode(&mut self, packet: &[u8], pcm: &mut Vec<f32>) -> Result<(), AudioError> {
        let info = OpusPacketInfo::of(packet)?;
        self.run(packet, info.samples, codec::Decoder::decode, pcm)
    }

    /// Adds the sound of the packet *before* this one, from the coarse copy that this one holds; where it
    /// holds none, that time is concealed. `samples` is what was lost, at 48 kHz.
    ///
    /// # Errors
    /// [`AudioError::Packet`]: conceal the time instead.
    ///
    /// ```
    /// use metered_realtime::media::audio::{OpusDecoder, OpusEncoder, OpusOptions, PcmFormat};
    /// let mut encoder = OpusEncoder::new(PcmFormat::OPUS_MONO, OpusOptions::default())?;
    /// encoder.set_expected_loss(10)?;
    /// let packets = encoder.push(&[0.1; 2_880])?;
    /// let mut decoder = OpusDecoder::new(PcmFormat::OPUS_MONO)?;
    /// let mut pcm = Vec::new();
    /// decoder.decode(&packets[0], &mut pcm)?;
    /// // The second one was lost: the third may hold a copy of it.
    /// decoder.decode_fec(&packets[2], 960, &mut pcm)?;
    /// decoder.decode(&packets[2], &mut pcm)?;
    /// assert_eq!(pcm.len(), 2_880);
    /// # Ok::<(), metered_realtime::media::audio::AudioError>(())
    /// ```
    pub fn decode_fec(
        &mut self,
        packet: &[u8],
        samples: u32,
        pcm: &mut Vec<f32>,
    ) -> Result<(), AudioError> {
        OpusPacketInfo::of(packet)?;
        self.run(packet, whole(samples), codec::Decoder::decode_fec, pcm)
    }

    /// Adds sound for a time that nothing came for: the last sound fading out, or the comfort noise of a
    /// paused sender. `samples` is at 48 kHz, rounded up to 2.5 ms.
    ///
    /// # Errors
    /// [`AudioError::Codec`] if the codec fails.
    pub fn conceal(&mut self, samples: u32, pcm: &mut Vec<f32>) -> Result<(), AudioError> {
        let mut left = whole(samples);
        while left > 0 {
            // The codec conceals at most 120 ms at once, best in steps of a frame.
            let part = left.min(960);
            self.run(&[], part, codec::Decoder::decode, pcm)?;
            left -= part;
        }
        Ok(())
    }

    fn run(
        &mut self,
        packet: &[u8],
        samples: u32,
        how: How,
        pcm: &mut Vec<f32>,
    ) -> Result<(), AudioError> {
        let channels = usize::from(self.format.channels());
        let moments = samples as usize * self.rate as usize / OPUS_CLOCK_HZ as usize;
        // The codec's own numbers: for others it makes a buffer for each frame.
        self.decoded.clear();
        self.decoded.resize(moments * channels, 0);
        // Packets come from strangers. The codec is checked against its reference but is young: a broken
        // invariant of its own costs one packet, not the app.
        let (codec, decoded) = (&mut self.codec, &mut self.decoded);
        let result = catch_unwind(AssertUnwindSafe(|| how(codec, packet, decoded)));
        let moments = match result {
            Ok(moments) => moments?,
            Err(_) => {
                self.codec = codec::Decoder::new(self.rate, self.format)?;
                return Err(AudioError::Packet);
            }
        };
        let decoded = &self.decoded[..(moments * channels).min(self.decoded.len())];
        match &mut self.resampler {
            Some(resampler) => {
                self.converted.clear();
                from_i16(decoded, &mut self.converted);
                resampler.push(&self.converted, pcm);
            }
            None => from_i16(decoded, pcm),
        }
        Ok(())
    }
}

/// Rounded up to 2.5 ms, the shortest time that Opus knows.
const fn whole(samples: u32) -> u32 {
    samples.div_ceil(120) * 120
}
