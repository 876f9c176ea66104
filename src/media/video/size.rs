//! What a bitstream says of its pictures: how large they are, H.264's profile, and what a slice of it is. Pure.

use super::{VideoCodec, av1, h264};
use crate::rtc::h264::StreamProfile;

/// Width and height in pixels; `None` if the bitstream does not say so here.
pub(super) fn of(codec: VideoCodec, data: &[u8]) -> Option<(u32, u32)> {
    match codec {
        VideoCodec::Vp8 => vp8(data),
        VideoCodec::Vp9 => vp9(data),
        VideoCodec::H264 => h264_parameters(data).and_then(h264_sps).map(|sps| sps.size),
        VideoCodec::Av1 => {
            let obus = av1::obus(data).ok()?;
            let header = obus.iter().find(|obu| obu.kind() == av1::SEQUENCE_HEADER)?;
            av1_sequence(header.body())
        }
    }
}

/// The profile of H.264; `None` if the bitstream does not say so here.
pub(super) fn profile(data: &[u8]) -> Option<StreamProfile> {
    let nal = h264_parameters(data)?;
    let [_, idc, flags, _level] = *nal.first_chunk()?;
    let interlaced = h264_sps(nal).is_some_and(|sps| sps.interlaced);
    Some(StreamProfile::new(idc, flags, interlaced))
}

fn h264_parameters(data: &[u8]) -> Option<&[u8]> {
    h264::nal_units(data).find(|nal| h264::kind(nal) == h264::SPS)
}

/// Bytes that hold the first two numbers of a slice's header, of 63 bits at most each, also when escaped.
const SLICE_HEADER_BYTES: usize = 32;

/// Whether a NAL unit is a slice of type B (ITU-T H.264 section 7.3.3); `false` if it does not say so.
pub(super) fn is_b_slice(nal: &[u8]) -> bool {
    // The second says that all slices of the picture are so (ITU-T H.264 table 7-6).
    const B: [u32; 2] = [1, 6];
    let slice_type = || {
        let header = nal.get(1..)?;
        let header = unescaped(&header[..header.len().min(SLICE_HEADER_BYTES)]);
        let mut bits = Bits::new(&header);
        bits.exp_golomb()?; // its first macroblock
        bits.exp_golomb()
    };
    matches!(h264::kind(nal), h264::SLICE | h264::PARTITION_A | h264::IDR)
        && slice_type().is_some_and(|slice_type| B.contains(&slice_type))
}

/// Behind the frame tag and the start code (RFC 6386 section 9.1).
fn vp8(data: &[u8]) -> Option<(u32, u32)> {
    let [tag, _, _, 0x9d, 0x01, 0x2a, a, b, c, d] = *data.first_chunk()? else { return None };
    let size = |low, high: u8| u32::from(u16::from_le_bytes([low, high & 0x3f]));
    (tag & 1 == 0).then(|| (size(a, b), size(c, d)))
}

/// The uncompressed header (VP9 bitstream specification section 6.2).
fn vp9(data: &[u8]) -> Option<(u32, u32)> {
    const SYNC: u32 = 0x49_83_42;
    const RGB: u32 = 7;
    let mut bits = Bits::new(data);
    bits.read(2)?;
    let profile = bits.read(1)? | bits.read(1)? << 1;
    if profile == 3 {
        bits.read(1)?;
    }
    let (existing, inter) = (bits.read(1)?, bits.read(1)?);
    bits.read(2)?;
    if existing != 0 || inter != 0 || bits.read(24)? != SYNC {
        return None;
    }
    if profile >= 2 {
        bits.read(1)?;
    }
    let odd = profile & 1 != 0;
    if bits.read(3)? == RGB {
        bits.read(if odd { 1 } else { 0 })?;
    } else {
        bits.read(if odd { 4 } else { 1 })?;
    }
    Some((bits.read(16)? + 1, bits.read(16)? + 1))
}

/// The sequence header (AV1 bitstream specification section 5.5): the largest of its pictures.
fn av1_sequence(body: &[u8]) -> Option<(u32, u32)> {
    let mut bits = Bits::new(body);
    bits.read(4)?; // profile, still picture
    if bits.read(1)? != 0 {
        bits.read(5)?; // reduced: the level alone
    } else {
        if bits.read(1)? != 0 {
            return None; // with timing information, which no encoder for calls writes
        }
        let has_delay = bits.read(1)?;
        for _ in 0..=bits.read(5)? {
            bits.read(12)?;
            if bits.read(5)? > 7 {
                bits.read(1)?;
            }
            if has_delay != 0 && bits.read(1)? != 0 {
                bits.read(4)?;
            }
        }
    }
    let (width_bits, height_bits) = (bits.read(4)? + 1, bits.read(4)? + 1);
    Some((bits.read(width_bits)? + 1, bits.read(height_bits)? + 1))
}

struct Sps {
    /// Cropped.
    size: (u32, u32),
    interlaced: bool,
}

/// A sequence parameter set (ITU-T H.264 section 7.3.2.1.1).
fn h264_sps(nal: &[u8]) -> Option<Sps> {
    const CHROMA_PROFILES: [u32; 9] = [100, 110, 122, 244, 44, 83, 86, 118, 128];
    let raw = unescaped(nal.get(1..)?);
    let mut bits = Bits::new(&raw);
    let profile = bits.read(8)?;
    bits.read(16)?;
    bits.exp_golomb()?;
    let mut chroma = 1;
    if CHROMA_PROFILES.contains(&profile) {
        chroma = bits.exp_golomb()?;
        if chroma == 3 {
            bits.read(1)?;
        }
        bits.exp_golomb()?;
        bits.exp_golomb()?;
        bits.read(1)?;
        if bits.read(1)? != 0 {
            return None; // with scaling lists, which no encoder for calls writes
        }
    }
    bits.exp_golomb()?;
    match bits.exp_golomb()? {
        0 => drop(bits.exp_golomb()?),
        1 => {
            bits.read(1)?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            for _ in 0..bits.exp_golomb()?.min(255) {
                bits.exp_golomb()?;
            }
        }
        _ => {}
    }
    bits.exp_golomb()?;
    bits.read(1)?;
    let (columns, rows) = (bits.exp_golomb()?, bits.exp_golomb()?);
    let frames_only = bits.read(1)?;
    if frames_only == 0 {
        bits.read(1)?;
    }
    bits.read(1)?;
    let fields = 2 - frames_only;
    let (width, height) = (
        (columns.checked_add(1)?).checked_mul(16)?,
        (rows.checked_add(1)?).checked_mul(16 * fields)?,
    );
    let interlaced = frames_only == 0;
    if bits.read(1)? == 0 {
        return Some(Sps { size: (width, height), interlaced });
    }
    let (unit_x, unit_y) = match chroma {
        1 => (2, 2 * fields),
        2 => (2, fields),
        _ => (1, fields),
    };
    let mut cut = |unit: u32| -> Option<u32> {
        bits.exp_golomb()?.checked_add(bits.exp_golomb()?)?.checked_mul(unit)
    };
    let (cut_x, cut_y) = (cut(unit_x)?, cut(unit_y)?);
    let size = (width.checked_sub(cut_x)?, height.checked_sub(cut_y)?);
    Some(Sps { size, interlaced })
}

/// Without emulation prevention bytes (ITU-T H.264 section 7.4.1).
fn unescaped(nal: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for byte in nal {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        raw.push(*byte);
    }
    raw
}

/// Reads bits from the highest on; ends instead of failing.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// ue(v) (ITU-T H.264 section 9.1).
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.read(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        (1_u32 << zeros).checked_add(self.read(zeros)?)?.checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::AccessUnit;
    use super::*;
    use crate::media::files::{AnnexBReader, IvfReader, MediaReader};
    use proptest::prelude::*;

    fn clip(name: &str) -> Vec<u8> {
        let path = format!("{}/crates/cli/assets/clips/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    }

    #[test]
    fn each_codec_says_how_large_its_pictures_are() {
        let mut units: Vec<AccessUnit> = Vec::new();
        for name in ["counter_vp8.ivf", "counter_vp9.ivf", "counter_av1.ivf"] {
            let file = clip(name);
            let mut reader = IvfReader::new(&file[..]).unwrap();
            units.push(reader.next_item().unwrap().unwrap());
            assert_eq!(reader.next_item().unwrap().unwrap().size(), None, "{name}");
        }
        let file = clip("counter_h264.h264");
        units.push(AnnexBReader::new(&file[..], 25, 1).unwrap().next_item().unwrap().unwrap());
        for unit in units {
            assert_eq!(unit.size(), Some((320, 180)), "{:?}", unit.codec);
        }
    }

    #[test]
    fn a_stream_of_h264_says_its_profile() {
        let file = clip("counter_h264.h264");
        let mut reader = AnnexBReader::new(&file[..], 25, 1).unwrap();
        let key_frame = reader.next_item().unwrap().unwrap();
        assert_eq!(profile(&key_frame.data), Some(StreamProfile::new(0x42, 0xc0, false)));
        assert_eq!(profile(&reader.next_item().unwrap().unwrap().data), None);
        // High, 640 wide: of frames, and of fields.
        let (frames, fields) = (
            [0x67, 0x64, 0x0, 0x1e, 0xac, 0xb4, 0x5, 0x1, 0x7c, 0x80],
            [0x67, 0x64, 0x0, 0x1e, 0xac, 0xb4, 0x5, 0x3, 0x19],
        );
        for (sps, interlaced) in [(&frames[..], false), (&fields[..], true)] {
            let rest = [0, 0, 0, 1, 0x68, 1, 0, 0, 0, 1, 0x65, 1];
            let unit = [&[0, 0, 0, 1][..], sps, &rest[..]].concat();
            let wanted = StreamProfile::new(0x64, 0, interlaced);
            assert_eq!((profile(&unit), h264_sps(sps).unwrap().size.0), (Some(wanted), 640));
        }
        // What cannot be read to its end says its profile all the same.
        let short = [0, 0, 0, 1, 0x67, 0x64, 0x0c, 0x1f, 0, 0, 0, 1, 0x65, 1];
        assert_eq!(profile(&short), Some(StreamProfile::new(0x64, 0x0c, false)));
    }

    #[test]
    fn a_slice_of_type_b_is_told_from_all_others() {
        // ue(v), the first macroblock before the slice type; bits of zero behind them.
        let slice = |kind: u8, first: u32, slice_type: u32| {
            let mut bits = String::new();
            for value in [first + 1, slice_type + 1] {
                let digits = format!("{value:b}");
                bits += &"0".repeat(digits.len() - 1);
                bits += &digits;
            }
            bits += &"0".repeat(8 - bits.len() % 8);
            let byte = |at| u8::from_str_radix(&bits[at..at + 8], 2).unwrap();
            let mut nal = vec![0x40 | kind];
            for byte in (0..bits.len()).step_by(8).map(byte) {
                if byte <= 3 && nal.ends_with(&[0, 0]) {
                    nal.push(3);
                }
                nal.push(byte);
            }
            nal
        };
        // The last one has zeros enough to be escaped.
        for first in [0, 1, 12, 3_599, 139_263, (1 << 30) - 1] {
            for slice_type in 0..10 {
                for kind in [h264::SLICE, h264::PARTITION_A, h264::IDR] {
                    let nal = slice(kind, first, slice_type);
                    assert_eq!(is_b_slice(&nal), [1, 6].contains(&slice_type), "{nal:x?}");
                }
                assert!(!is_b_slice(&slice(3, first, slice_type)), "it begins otherwise");
            }
        }
        assert_eq!(slice(1, (1 << 30) - 1, 1), [0x41, 0, 0, 3, 0, 2, 0, 0, 3, 0, 2, 0]);
        for short in [&[][..], &[0x41], &[0x41, 0], &[0x41, 0x80], &[1, 0, 0, 3]] {
            assert!(!is_b_slice(short));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_size_or_none(data in proptest::collection::vec(any::<u8>(), 0..64)) {
            for codec in [VideoCodec::Vp8, VideoCodec::Vp9, VideoCodec::H264, VideoCodec::Av1] {
                let _size = of(codec, &data);
            }
            let _size = (h264_sps(&data).map(|sps| sps.size), av1_sequence(&data));
            let _profile = profile(&data);
            let _b = is_b_slice(&data) || is_b_slice(&[&[0x41][..], &data].concat());
        }
    }
}
