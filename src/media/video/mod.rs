//! Video as access units: what one picture is in each codec, in RTP payloads and out of them. Pure.

mod av1;
mod bits;
mod depacketise;
mod h264;
mod jitter_buffer;
mod packetise;
mod size;
mod streams;
#[cfg(test)]
mod tests;
mod unwrap;
mod vp8;
mod vp9;

use bytes::Bytes;

pub(crate) use depacketise::{is_key_frame_start, reassemble, starts_frame};
pub(crate) use jitter_buffer::{Output, RtpVideoPacket, VideoJitterBuffer};
pub use packetise::PacketiseError;
pub(crate) use packetise::Packetiser;
pub(crate) use streams::{Stream, Streams};

use crate::rtc::h264::StreamProfile;

/// A codec of video.
///
/// ```
/// use metered_realtime::media::VideoCodec;
/// /// The first that the device's encoder has; browsers take VP8 and H.264 (RFC 7742 section 5).
/// fn choose(encoders: &[&str]) -> Option<VideoCodec> {
///     encoders.iter().find_map(|name| VideoCodec::from_mime_type(name))
/// }
/// assert_eq!(choose(&["video/hevc", "VIDEO/h264"]), Some(VideoCodec::H264));
/// assert_eq!(VideoCodec::Vp8.mime_type(), "video/VP8");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum VideoCodec {
    /// VP8 (RFC 6386, payload RFC 7741).
    Vp8,
    /// VP9 (payload RFC 9628).
    Vp9,
    /// H.264 (payload RFC 6184).
    H264,
    /// AV1 (payload of the Alliance for Open Media).
    Av1,
}

impl VideoCodec {
    /// The name in descriptions.
    pub const fn mime_type(self) -> &'static str {
        match self {
            Self::Vp8 => "video/VP8",
            Self::Vp9 => "video/VP9",
            Self::H264 => "video/H264",
            Self::Av1 => "video/AV1",
        }
    }

    /// By its name in descriptions, in any case (RFC 6838 section 4.2).
    pub fn from_mime_type(name: &str) -> Option<Self> {
        let all = [Self::Vp8, Self::Vp9, Self::H264, Self::Av1];
        all.into_iter().find(|codec| codec.mime_type().eq_ignore_ascii_case(name))
    }
}

/// How far a picture must be turned clockwise to stand upright.
///
/// ```
/// use metered_realtime::media::{AccessUnit, Rotation, VideoCodec};
/// let data = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 1, 0xb4, 0];
/// let mut unit = AccessUnit::new(VideoCodec::Vp8, data.into(), 0);
/// // The sensor of a phone that is held upright lies on its side.
/// unit.rotation = Rotation::from_degrees(90).unwrap_or_default();
/// assert_eq!(unit.rotation, Rotation::Quarter);
/// assert_eq!(unit.rotation.degrees(), 90);
/// assert_eq!(Rotation::from_degrees(45), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub enum Rotation {
    /// It stands upright.
    #[default]
    #[serde(rename = "0")]
    None,
    /// 90°.
    #[serde(rename = "90")]
    Quarter,
    /// 180°.
    #[serde(rename = "180")]
    Half,
    /// 270°.
    #[serde(rename = "270")]
    ThreeQuarters,
}

impl Rotation {
    /// Of 0, 90, 180 or 270 degrees.
    pub const fn from_degrees(degrees: u16) -> Option<Self> {
        match degrees {
            0 => Some(Self::None),
            90 => Some(Self::Quarter),
            180 => Some(Self::Half),
            270 => Some(Self::ThreeQuarters),
            _ => None,
        }
    }

    /// Degrees, clockwise.
    pub const fn degrees(self) -> u16 {
        self.bits() as u16 * 90
    }

    /// The low two bits of the video orientation header extension (3GPP TS 26.114 section 7.4.5).
    pub(crate) const fn bits(self) -> u8 {
        self as u8
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::None,
            1 => Self::Quarter,
            2 => Self::Half,
            _ => Self::ThreeQuarters,
        }
    }
}

/// One picture, encoded: what an encoder puts out and a decoder takes at once.
///
/// ```
/// use metered_realtime::media::{AccessUnit, VideoCodec};
///
/// let vp8 = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 1, 0xb4, 0];
/// let unit = AccessUnit::new(VideoCodec::Vp8, vp8.into(), 40_000);
/// assert!(unit.key_frame);
/// assert_eq!(unit.size(), Some((320, 180)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// The codec.
    pub codec: VideoCodec,
    /// The bitstream. H.264: Annex B, or AVCC with lengths of four bytes; what comes from a remote is
    /// Annex B. AV1: OBUs with their sizes (low-overhead format), temporal delimiters are left out.
    pub data: Bytes,
    /// When it was taken, in microseconds on a clock of the track's own.
    pub timestamp_us: u64,
    /// Whether a decoder can begin here.
    pub key_frame: bool,
    /// How the picture must be turned.
    pub rotation: Rotation,
}

impl AccessUnit {
    /// With the key frame flag read from the bitstream, upright.
    pub fn new(codec: VideoCodec, data: Bytes, timestamp_us: u64) -> Self {
        let key_frame = is_key_frame(codec, &data);
        Self { codec, data, timestamp_us, key_frame, rotation: Rotation::None }
    }

    /// Width and height in pixels, before rotation, where the bitstream says so: in key frames.
    pub fn size(&self) -> Option<(u32, u32)> {
        size::of(self.codec, &self.data)
    }
}

/// The profile of a key frame of H.264, by its bitstream.
pub(crate) fn h264_profile(unit: &AccessUnit) -> Option<StreamProfile> {
    (unit.codec == VideoCodec::H264 && unit.key_frame).then(|| size::profile(&unit.data)).flatten()
}

/// Whether a decoder can begin with this access unit, by its bitstream.
///
/// ```
/// use metered_realtime::media::VideoCodec;
/// use metered_realtime::media::video::is_key_frame;
/// assert!(is_key_frame(VideoCodec::H264, &[0, 0, 0, 1, 0x65, 0x88, 0x84])); // a slice of an IDR picture
/// assert!(!is_key_frame(VideoCodec::H264, &[0, 0, 0, 1, 0x41, 0x9a, 0x24]));
/// ```
pub fn is_key_frame(codec: VideoCodec, data: &[u8]) -> bool {
    match codec {
        VideoCodec::Vp8 => vp8::is_key_frame(data),
        VideoCodec::Vp9 => vp9::is_key_frame(data),
        VideoCodec::H264 => h264::nal_units(data).any(|nal| h264::kind(nal) == h264::IDR),
        VideoCodec::Av1 => av1::obus(data)
            .is_ok_and(|obus| obus.iter().any(|obu| obu.kind() == av1::SEQUENCE_HEADER)),
    }
}

/// Packets of any codec in any order, each with a head of five bytes: codec and marker, steps of sequence
/// number and time, length in two bytes. What comes out is packetised again, and says its size and profile.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(bytes: &[u8]) {
    use std::time::Duration;
    const CODECS: [VideoCodec; 4] =
        [VideoCodec::Vp8, VideoCodec::Vp9, VideoCodec::H264, VideoCodec::Av1];
    let mut buffer = VideoJitterBuffer::new();
    let mut packetiser = Packetiser::default();
    let (mut rest, mut now, mut sequence, mut timestamp) = (bytes, Duration::ZERO, 0_u16, 0_u32);
    while let Some(([kind, step, time, high, low], tail)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let payload = &tail[..length.min(tail.len())];
        rest = &tail[payload.len()..];
        sequence = sequence.wrapping_add_signed(i16::from(step.cast_signed()));
        timestamp = timestamp.wrapping_add(u32::from(*time) * 750);
        now += Duration::from_millis(u64::from(*time));
        let codec = CODECS[usize::from(kind & 3)];
        let payload = Bytes::copy_from_slice(payload);
        let (marker, rotation) = (kind & 4 != 0, Some(Rotation::from_bits(kind >> 4)));
        buffer
            .packet(now, RtpVideoPacket { codec, sequence, timestamp, marker, payload, rotation });
        buffer.timeout(now);
        while let Some(output) = buffer.poll_output() {
            if let Output::Frame(unit, _) = output {
                // Whether it is a bitstream is the sender's affair.
                drop(packetiser.packetise(&unit));
                let _said = (unit.size(), h264_profile(&unit));
            }
        }
        assert!(buffer.waiting_bytes() <= bytes.len(), "more than what came");
    }
}

/// Whether a NAL unit of H.264 is a slice of a B picture, which is shown before one that came earlier.
pub(crate) fn h264_is_b_slice(nal: &[u8]) -> bool {
    size::is_b_slice(nal)
}
