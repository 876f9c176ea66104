//! PCM as bytes, which every language passes at once, and as the core has it.

use super::error::SdkError;
use super::raw_bytes::RawBytes;
use crate::media::audio::{PcmFormat, to_i16};

/// One pull gives no more sound than this.
const LONGEST_PULL_US: u64 = 1_000_000;

pub(super) fn format(sample_rate_hz: u32, channels: u8) -> Result<PcmFormat, SdkError> {
    Ok(PcmFormat::new(sample_rate_hz, channels)?)
}

fn whole<const SIZE: usize>(bytes: &[u8]) -> Result<&[[u8; SIZE]], SdkError> {
    match bytes.as_chunks() {
        (samples, []) => Ok(samples),
        _ => Err(SdkError::invalid_argument(
            "a chunk of PCM ends in the middle of a sample",
            "Give whole samples: two bytes each with i16, four with f32.",
        )),
    }
}

/// Samples of 16 bits in little-endian order.
pub(super) fn from_i16_bytes(bytes: &[u8]) -> Result<Vec<f32>, SdkError> {
    let samples = whole(bytes)?.iter();
    Ok(samples.map(|sample| f32::from(i16::from_le_bytes(*sample)) / 32_768.0).collect())
}

/// Samples of 32 bits in little-endian order.
pub(super) fn from_f32_bytes(bytes: &[u8]) -> Result<Vec<f32>, SdkError> {
    Ok(whole(bytes)?.iter().map(|sample| f32::from_le_bytes(*sample)).collect())
}

/// Room for a pull of so many samples, all channels counted.
pub(super) fn chunk(format: PcmFormat, samples: u32) -> Result<Vec<f32>, SdkError> {
    let samples = samples as usize;
    if !samples.is_multiple_of(format.channels().into())
        || samples > format.samples_in(LONGEST_PULL_US)
    {
        return Err(SdkError::invalid_argument(
            "so many samples are not pulled at once",
            "Pull up to one second, the same number of samples for each channel.",
        ));
    }
    Ok(vec![0.0; samples])
}

pub(super) fn to_i16_bytes(pcm: &[f32]) -> RawBytes {
    let mut samples = Vec::with_capacity(pcm.len());
    to_i16(pcm, &mut samples);
    RawBytes(samples.into_iter().flat_map(i16::to_le_bytes).collect())
}

pub(super) fn to_f32_bytes(pcm: &[f32]) -> RawBytes {
    RawBytes(pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_back_as_they_went() {
        let i16s = [0x00, 0x80, 0x34, 0x12];
        assert_eq!(&to_i16_bytes(&from_i16_bytes(&i16s).unwrap()).0[..], i16s);
        let f32s = to_f32_bytes(&[-1.0, 0.25]);
        assert_eq!(from_f32_bytes(&f32s.0).unwrap(), [-1.0, 0.25]);
        assert!(from_i16_bytes(&[1]).is_err() && from_f32_bytes(&[1, 2]).is_err());
    }

    #[test]
    fn a_pull_is_bounded_and_of_whole_moments() {
        let stereo = format(48_000, 2).unwrap();
        assert_eq!(chunk(stereo, 960).unwrap().len(), 960);
        for samples in [3, 96_002, u32::MAX] {
            assert!(chunk(stereo, samples).is_err());
        }
    }
}
