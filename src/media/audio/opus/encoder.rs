//! PCM of any chunk size to Opus packets of 20 ms.

use std::fmt;

use bytes::Bytes;

use super::super::error::AudioError;
use super::super::pcm::{PcmFormat, from_i16};
use super::super::resample::Resampler;
use super::codec;
use super::talk::{Setting, Talk};
use super::{MAX_PACKET_BYTES, rate_for};

/// The lowest bitrate that is taken.
///
/// ```
/// use metered_realtime::media::audio::{MAX_BITRATE_BPS, MIN_BITRATE_BPS, OpusEncoder, OpusOptions, PcmFormat};
/// let mut encoder = OpusEncoder::new(PcmFormat::OPUS_MONO, OpusOptions::default())?;
/// let path_has = 3_500; // whatever an estimate says, the encoder takes what lies between
/// encoder.set_bitrate(path_has.clamp(MIN_BITRATE_BPS, MAX_BITRATE_BPS))?;
/// # Ok::<(), metered_realtime::media::audio::AudioError>(())
/// ```
pub const MIN_BITRATE_BPS: u32 = 6_000;

/// The highest bitrate that is taken.
///
/// ```
/// use metered_realtime::media::audio::{MAX_BITRATE_BPS, OpusOptions};
/// let best = OpusOptions { bitrate_bps: MAX_BITRATE_BPS, ..OpusOptions::default() };
/// assert_eq!(best.bitrate_bps / 8 / 50, 320); // bytes of each packet of 20 ms
/// ```
pub const MAX_BITRATE_BPS: u32 = 128_000;

/// Packets per second.
const PACKETS_PER_SECOND: u32 = 50;

/// What the sound is, for the encoder's choice of tools.
///
/// ```
/// use metered_realtime::media::audio::{OpusApplication, OpusOptions};
/// assert_eq!(OpusOptions::default().application, OpusApplication::Voice);
/// let stage = OpusOptions { application: OpusApplication::Music, dtx: false, ..OpusOptions::default() };
/// # let _ = stage;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OpusApplication {
    /// Speech: intelligible at any bitrate. With 24,000 bits per second and channel or more and nothing lost,
    /// what is loud is coded as music is, which sounds better for less work.
    #[default]
    Voice,
    /// Music and everything else: true to the original.
    Music,
}

/// How an [`OpusEncoder`] starts.
///
/// ```
/// use metered_realtime::media::audio::{OpusApplication, OpusOptions};
/// let options = OpusOptions { application: OpusApplication::Music, bitrate_bps: 96_000, ..OpusOptions::default() };
/// assert!(options.dtx);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusOptions {
    /// Speech or music.
    pub application: OpusApplication,
    /// Bits per second, from [`MIN_BITRATE_BPS`] to [`MAX_BITRATE_BPS`].
    pub bitrate_bps: u32,
    /// In silence, a packet every 400 ms is enough.
    pub dtx: bool,
}

impl Default for OpusOptions {
    fn default() -> Self {
        Self { application: OpusApplication::Voice, bitrate_bps: 32_000, dtx: true }
    }
}

/// Encodes one track.
///
/// ```
/// use metered_realtime::media::audio::{OpusEncoder, OpusOptions, PcmFormat};
/// let mut encoder = OpusEncoder::new(PcmFormat::new(16_000, 1)?, OpusOptions::default())?;
/// encoder.set_expected_loss(5)?;
/// assert!(encoder.push_i16(&[0; 300])?.is_empty()); // not yet 20 ms
/// assert_eq!(encoder.push_i16(&[0; 350])?.len(), 2); // 650 samples: 40 ms and a rest
/// # Ok::<(), metered_realtime::media::audio::AudioError>(())
/// ```
pub struct OpusEncoder {
    codec: codec::Encoder,
    format: PcmFormat,
    /// For a voice: what is heard, and whether its spectrum is coded at present.
    talk: Option<Talk>,
    codes_spectrum: bool,
    setting: Setting,
    resampler: Option<Resampler>,
    /// At the codec's rate and in its numbers, not yet a whole frame.
    waiting: Vec<i16>,
    frame: usize,
    /// To the resampler, and from it.
    converted: Vec<f32>,
    resampled: Vec<f32>,
    packet: [u8; MAX_PACKET_BYTES],
}

impl fmt::Debug for OpusEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusEncoder").field("format", &self.format).finish_non_exhaustive()
    }
}

impl OpusEncoder {
    /// An encoder of PCM in a format.
    ///
    /// # Errors
    /// [`AudioError::Bitrate`] outside the range; [`AudioError::NotBuilt`] without the feature `opus`.
    pub fn new(format: PcmFormat, options: OpusOptions) -> Result<Self, AudioError> {
        check(options.bitrate_bps)?;
        let rate = rate_for(format.rate());
        let codec = codec::Encoder::new(rate, format, options)?;
        let resampler =
            (rate != format.rate()).then(|| Resampler::new(format.rate(), rate, format.channels()));
        let setting = Setting {
            bps: options.bitrate_bps,
            channels: format.channels(),
            expects_loss: false,
            dtx: options.dtx,
        };
        let frame = rate as usize / PACKETS_PER_SECOND as usize * usize::from(format.channels());
        Ok(Self {
            codec,
            format,
            talk: (options.application == OpusApplication::Voice).then(Talk::new),
            codes_spectrum: false,
            setting,
            resampler,
            waiting: Vec::with_capacity(2 * frame),
            frame,
            converted: Vec::new(),
            resampled: Vec::new(),
            packet: [0; MAX_PACKET_BYTES],
        })
    }

    /// What PCM it takes.
    ///
    /// ```
    /// use metered_realtime::media::audio::{OpusEncoder, OpusOptions, PcmFormat};
    /// let headset = PcmFormat::new(16_000, 1)?;
    /// assert_eq!(OpusEncoder::new(headset, OpusOptions::default())?.format(), headset);
    /// # Ok::<(), metered_realtime::media::audio::AudioError>(())
    /// ```
    pub const fn format(&self) -> PcmFormat {
        self.format
    }

    /// Bits per second from now on.
    ///
    /// # Errors
    /// [`AudioError::Bitrate`] outside [`MIN_BITRATE_BPS`] to [`MAX_BITRATE_BPS`].
    ///
    /// ```
    /// use metered_realtime::media::audio::{OpusEncoder, OpusOptions, PcmFormat};
    /// let mut encoder = OpusEncoder::new(PcmFormat::OPUS_MONO, OpusOptions::default())?;
    /// encoder.set_bitrate(16_000)?;
    /// assert_eq!(encoder.set_bitrate(1_000).unwrap_err().code(), "audio_bitrate"); // 16,000 go on
    /// # Ok::<(), metered_realtime::media::audio::AudioError>(())
    /// ```
    pub fn set_bitrate(&mut self, bps: u32) -> Result<(), AudioError> {
        check(bps)?;
        self.setting.bps = bps;
        self.codec.set_bitrate(bps)
    }

    /// The loss to be ready for, in percent: above 0, packets also hold a coarse copy of the one before.
    ///
    /// # Errors
    /// [`AudioError::Codec`] if the codec refuses, which it does not.
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), AudioError> {
        self.setting.expects_loss = percent > 0;
        self.codec.set_expected_loss(percent)
    }

    /// Whether silence pauses the stream.
    ///
    /// # Errors
    /// [`AudioError::Codec`] if the codec refuses, which it does not.
    ///
    /// ```
    /// use metered_realtime::media::audio::{OpusEncoder, OpusOptions, PcmFormat};
    /// let mut encoder = OpusEncoder::new(PcmFormat::OPUS_MONO, OpusOptions::default())?;
    /// encoder.set_dtx(false)?; // a tone, or music: its quiet parts are no silence
    /// # Ok::<(), metered_realtime::media::audio::AudioError>(())
    /// ```
    pub fn set_dtx(&mut self, dtx: bool) -> Result<(), AudioError> {
        self.setting.dtx = dtx;
        self.codec.set_dtx(dtx)
    }

    /// How much later the sound comes out of a decoder, in samples at 48 kHz: the pre-skip of a file.
    ///
    /// ```
    /// use metered_realtime::media::audio::{OpusEncoder, OpusOptions, PcmFormat};
    /// use metered_realtime::media::files::{OggOpusHead, OggOpusWriter};
    /// let encoder = OpusEncoder::new(PcmFormat::OPUS_MONO, OpusOptions::default())?;
    /// let pre_skip = u16::try_from(encoder.lookahead())?;
    /// let head = OggOpusHead { channels: 1, pre_skip, input_rate: 48_000 };
    /// let recording = OggOpusWriter::new(Vec::new(), head)?;
    /// # let _ = recording;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lookahead(&self) -> u32 {
        self.codec.lookahead()
    }

    /// Takes interleaved PCM and gives the packets that are complete, 20 ms each. A packet of one or two
    /// bytes says that the sender pauses (DTX); it need not be sent, but its time has passed.
    ///
    /// # Errors
    /// [`AudioError::Uneven`]; nothing was taken then.
    pub fn push(&mut self, pcm: &[f32]) -> Result<Vec<Bytes>, AudioError> {
        self.format.check(pcm.len())?;
        match &mut self.resampler {
            Some(resampler) => {
                self.resampled.clear();
                resampler.push(pcm, &mut self.resampled);
                quantise(&self.resampled, &mut self.waiting);
            }
            None => quantise(pcm, &mut self.waiting),
        }
        self.encode()
    }

    /// As [`push`](Self::push), for samples from -32,768 to 32,767.
    ///
    /// # Errors
    /// As `push`.
    pub fn push_i16(&mut self, pcm: &[i16]) -> Result<Vec<Bytes>, AudioError> {
        self.format.check(pcm.len())?;
        if self.resampler.is_none() {
            self.waiting.extend_from_slice(pcm);
            return self.encode();
        }
        let mut converted = std::mem::take(&mut self.converted);
        converted.clear();
        from_i16(pcm, &mut converted);
        let packets = self.push(&converted);
        self.converted = converted;
        packets
    }

    /// The frames that are whole.
    fn encode(&mut self) -> Result<Vec<Bytes>, AudioError> {
        let mut packets = Vec::with_capacity(self.waiting.len() / self.frame);
        let mut taken = 0;
        while let Some(frame) = self.waiting.get(taken..taken + self.frame) {
            if let Some(talk) = &mut self.talk {
                let spectrum = talk.is_for_spectrum(frame, self.setting);
                if spectrum != self.codes_spectrum {
                    self.codec.set_spectrum(spectrum)?;
                    self.codes_spectrum = spectrum;
                }
            }
            let bytes = self.codec.encode(frame, &mut self.packet)?;
            packets.push(Bytes::copy_from_slice(&self.packet[..bytes]));
            taken += self.frame;
        }
        self.waiting.drain(..taken);
        Ok(packets)
    }
}

/// To the codec's numbers, as it would by itself with a buffer for each frame: cut at full scale and rounded to
/// the nearest, of two the even one.
fn quantise(pcm: &[f32], samples: &mut Vec<i16>) {
    /// Beside so large a number no fraction has room.
    const WHOLE: f32 = 12_582_912.0;
    samples.extend(pcm.iter().map(|sample| {
        let scaled = sample * 32_768.0;
        let scaled = if scaled > -32_768.0 { scaled } else { -32_768.0 };
        let scaled = if scaled < 32_767.0 { scaled } else { 32_767.0 };
        (scaled + WHOLE - WHOLE) as i32 as i16
    }));
}

const fn check(bps: u32) -> Result<(), AudioError> {
    if bps < MIN_BITRATE_BPS || bps > MAX_BITRATE_BPS {
        return Err(AudioError::Bitrate { bps });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_cut_and_rounded() {
        let mut samples = Vec::new();
        let unit = 1.0 / 32_768.0;
        let pcm = [0.5, 1.5, 2.5, -0.5, -1.5, 1.4, -1.6].map(|sample| sample * unit);
        quantise(&pcm, &mut samples);
        assert_eq!(samples, [0, 2, 2, 0, -2, 1, -2]);
        samples.clear();
        quantise(&[1.0, 2.0, f32::INFINITY, -1.0, -2.0, f32::NEG_INFINITY, f32::NAN], &mut samples);
        let (most, least) = (i16::MAX, i16::MIN);
        assert_eq!(samples, [most, most, most, least, least, least, least]);
        let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let (mut pcm, mut back) = (Vec::new(), Vec::new());
        from_i16(&all, &mut pcm);
        quantise(&pcm, &mut back);
        assert_eq!(back, all);
    }

    #[test]
    fn both_kinds_of_samples_give_the_same_packets() {
        for rate in [16_000_u32, 44_100, 48_000] {
            let sound: Vec<i16> =
                (0..i64::from(rate)).map(|n| ((n * n / 97) % 20_000 - 10_000) as i16).collect();
            let mut pcm = Vec::new();
            from_i16(&sound, &mut pcm);
            let format = PcmFormat::new(rate, 1).unwrap();
            let encoder = || OpusEncoder::new(format, OpusOptions::default()).unwrap();
            assert_eq!(
                encoder().push(&pcm).unwrap(),
                encoder().push_i16(&sound).unwrap(),
                "{rate}"
            );
        }
    }
}
