//! What a packet's first bytes tell (RFC 6716 section 3), without decoding it. Pure.

use super::super::error::AudioError;

/// Samples at 48 kHz that one packet may hold: 120 ms.
const MOST_SAMPLES: u32 = 5_760;

/// What is known of a packet before it is decoded.
///
/// ```
/// use metered_realtime::media::audio::OpusPacketInfo;
/// let info = OpusPacketInfo::of(&[0x78, 0, 0, 0])?; // 20 ms, full band, one channel
/// assert_eq!((info.samples, info.channels, info.fec, info.dtx), (960, 1, false, false));
/// assert!(OpusPacketInfo::of(&[]).is_err());
/// # Ok::<(), metered_realtime::media::audio::AudioError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusPacketInfo {
    /// Samples per channel at 48 kHz: how far the RTP timestamp advances.
    pub samples: u32,
    /// Channels that were coded: one or two. A decoder of either kind takes both.
    pub channels: u8,
    /// It also holds a coarse copy of the packet before it.
    pub fec: bool,
    /// The sender pauses: it holds no sound, and the next may come much later.
    pub dtx: bool,
}

impl OpusPacketInfo {
    /// Reads the first bytes.
    ///
    /// # Errors
    /// [`AudioError::Packet`] if it has no byte, no frame, or more than 120 ms.
    pub fn of(packet: &[u8]) -> Result<Self, AudioError> {
        let (toc, rest) = packet.split_first().ok_or(AudioError::Packet)?;
        let config = toc >> 3;
        let stereo = toc & 0b100 != 0;
        let frame = frame_samples(config);
        let (frames, first) = match toc & 0b11 {
            0 => (1, rest),
            1 => (2, rest),
            2 => (2, after_length(rest)?),
            _ => {
                let count = rest.first().ok_or(AudioError::Packet)?;
                (u32::from(count & 0b11_1111), first_of_many(rest)?)
            }
        };
        let samples = frames * frame;
        if frames == 0 || samples > MOST_SAMPLES {
            return Err(AudioError::Packet);
        }
        Ok(Self {
            samples,
            channels: 1 + u8::from(stereo),
            fec: has_fec(config, stereo, frame, first),
            // An encoder in DTX leaves at most one byte after the table of contents.
            dtx: packet.len() <= 2,
        })
    }
}

/// Samples at 48 kHz of each frame (RFC 6716 table 2).
const fn frame_samples(config: u8) -> u32 {
    match config {
        0..=11 => [480, 960, 1_920, 2_880][(config & 3) as usize],
        12..=15 => [480, 960][(config & 1) as usize],
        _ => [120, 240, 480, 960][(config & 3) as usize],
    }
}

/// What follows a frame's length of one or two bytes (RFC 6716 section 3.2.1).
fn after_length(bytes: &[u8]) -> Result<&[u8], AudioError> {
    let taken = if *bytes.first().ok_or(AudioError::Packet)? < 252 { 1 } else { 2 };
    bytes.get(taken..).ok_or(AudioError::Packet)
}

/// The start of the first of any number of frames (RFC 6716 section 3.2.5).
fn first_of_many(bytes: &[u8]) -> Result<&[u8], AudioError> {
    let (count, mut rest) = bytes.split_first().ok_or(AudioError::Packet)?;
    if count & 0b0100_0000 != 0 {
        loop {
            let (padding, after) = rest.split_first().ok_or(AudioError::Packet)?;
            rest = after;
            if *padding != 255 {
                break;
            }
        }
    }
    if count & 0b1000_0000 != 0 {
        for _ in 1..count & 0b11_1111 {
            rest = after_length(rest)?;
        }
    }
    Ok(rest)
}

/// Whether the LBRR flag of a channel is set: behind one voice flag per 20 ms (RFC 6716 section 4.2.3).
fn has_fec(config: u8, stereo: bool, frame: u32, first: &[u8]) -> bool {
    let Some(flags) = first.first() else { return false };
    if config >= 16 {
        return false; // CELT has none
    }
    let voice_flags = (frame / 960).max(1);
    let middle = flags >> (7 - voice_flags) & 1 != 0;
    // The side channel's flags follow: eight in all for 60 ms, so that all lie in the first byte.
    let side = stereo && flags >> (6 - 2 * voice_flags) & 1 != 0;
    middle || side
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_follow_the_table() {
        let samples = |toc: u8| OpusPacketInfo::of(&[toc << 3, 0, 0]).unwrap().samples;
        let all: Vec<_> = (0..32).map(samples).collect();
        let silk = [480, 960, 1_920, 2_880];
        let celt = [120, 240, 480, 960];
        let expected: Vec<_> =
            silk.repeat(3).into_iter().chain([480, 960, 480, 960]).chain(celt.repeat(4)).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn frames_are_counted() {
        assert_eq!(OpusPacketInfo::of(&[0x79, 0, 0]).unwrap().samples, 1_920);
        assert_eq!(OpusPacketInfo::of(&[0x7b, 3, 0, 0, 0]).unwrap().samples, 2_880);
        for broken in
            [&[0x7b][..], &[0x7b, 0], &[0x7b, 7, 0], &[0x7a], &[0x7b, 0x43], &[0x7b, 0x43, 255]]
        {
            assert_eq!(OpusPacketInfo::of(broken), Err(AudioError::Packet), "{broken:?}");
        }
    }

    #[test]
    fn a_byte_or_two_are_a_pause() {
        assert!(OpusPacketInfo::of(&[0x78]).unwrap().dtx);
        assert!(OpusPacketInfo::of(&[0x78, 1]).unwrap().dtx);
        assert!(!OpusPacketInfo::of(&[0x78, 1, 2]).unwrap().dtx);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(info) = OpusPacketInfo::of(&bytes) {
                prop_assert!((120..=MOST_SAMPLES).contains(&info.samples));
            }
        }
    }
}
