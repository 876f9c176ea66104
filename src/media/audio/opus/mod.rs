//! Opus: the codec crate is named here and nowhere else. Without the feature `opus` all of this is there and no
//! encoder or decoder can be made ([`AudioError::NotBuilt`](super::AudioError::NotBuilt)).

#[cfg_attr(not(feature = "opus"), path = "no_codec.rs")]
mod codec;
mod decoder;
mod encoder;
mod packet;
mod talk;

pub use decoder::OpusDecoder;
pub use encoder::{MAX_BITRATE_BPS, MIN_BITRATE_BPS, OpusApplication, OpusEncoder, OpusOptions};
pub use packet::OpusPacketInfo;

/// Ticks per second of Opus' RTP timestamps, whatever the rate of the sound (RFC 7587 section 4.1).
///
/// ```
/// use metered_realtime::media::audio::{OPUS_CLOCK_HZ, OpusPacketInfo};
/// let info = OpusPacketInfo::of(&[0x78, 0, 0, 0])?;
/// assert_eq!(info.samples * 1_000 / OPUS_CLOCK_HZ, 20); // milliseconds
/// # Ok::<(), metered_realtime::media::audio::AudioError>(())
/// ```
pub const OPUS_CLOCK_HZ: u32 = 48_000;

/// Bytes of a packet that are enough for 20 ms of anything (RFC 6716 section 3.2.1), and fit one datagram.
///
/// ```
/// use metered_realtime::media::LocalAudioTrack;
/// use metered_realtime::media::audio::MAX_PACKET_BYTES;
/// let track = LocalAudioTrack::default();
/// let too_long = vec![0x78; MAX_PACKET_BYTES + 1];
/// assert!(track.write(too_long.into(), 0, true).is_err());
/// ```
pub const MAX_PACKET_BYTES: usize = 1_275;

/// The rates that Opus works at, ascending.
const RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

/// The lowest rate of Opus that holds all of a sound.
fn rate_for(rate: u32) -> u32 {
    RATES.into_iter().find(|opus| *opus >= rate).unwrap_or(OPUS_CLOCK_HZ)
}

#[cfg(test)]
pub(super) mod tests;
