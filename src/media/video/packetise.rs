//! Access units into RTP payloads. What comes out is the same for every remote.

use bytes::Bytes;

use super::{AccessUnit, VideoCodec, av1, h264, vp8, vp9};
use crate::diagnosis::Diagnosis;

/// Bytes of a payload: with headers, extensions, SRTP and a retransmission's two bytes a packet stays within
/// 1,200 bytes, which every path carries.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 1_120;
/// Bytes of an access unit that is taken. A key frame at 2160p and the highest quality has less.
pub(crate) const MAX_ACCESS_UNIT_BYTES: usize = 4 * 1024 * 1024;

/// Why an access unit was not taken.
///
/// ```
/// use metered_realtime::media::{AccessUnit, LocalVideoTrack, PacketiseError, VideoCodec, WriteError};
/// let track = LocalVideoTrack::new(VideoCodec::H264);
/// let no_annex_b = AccessUnit::new(VideoCodec::H264, vec![1, 2, 3].into(), 0);
/// let Err(WriteError::Packetise(error)) = track.write(&no_annex_b) else { panic!() };
/// assert_eq!(error, PacketiseError::Malformed(VideoCodec::H264));
/// println!("{}: {}", error.code(), error.diagnosis());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketiseError {
    /// There is nothing in it.
    #[error("the access unit is empty")]
    Empty,
    /// It has more than 4 MiB.
    #[error("the access unit has more than 4 MiB")]
    TooLarge,
    /// The bytes are no bitstream of its codec.
    #[error("the access unit is no {} bitstream", .0.mime_type())]
    Malformed(VideoCodec),
}

impl PacketiseError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "access_unit_empty",
            Self::TooLarge => "access_unit_too_large",
            Self::Malformed(_) => "access_unit_malformed",
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Empty => Diagnosis::new(
                "A picture without bytes was written.",
                "Leave out what the encoder gives for skipped pictures.",
            ),
            Self::TooLarge => Diagnosis::new(
                "A picture of more than 4 MiB is none of a call.",
                "Write encoded pictures, one at a time; lower the encoder's bitrate.",
            ),
            Self::Malformed(codec) => Diagnosis::new(
                format!("The bytes do not hold what a picture of {} has.", codec.mime_type()),
                "Make the track with the encoder's codec. H.264: Annex B, or AVCC with lengths of four bytes. AV1: OBUs with their sizes. VP8 and VP9: the frame without IVF or WebM around it.",
            ),
        }
    }
}

/// Cuts the access units of one track.
#[derive(Debug, Default)]
pub(crate) struct Packetiser {
    picture_id: u16,
}

impl Packetiser {
    /// The payloads of an access unit in order, at least one.
    pub(crate) fn packetise(&mut self, unit: &AccessUnit) -> Result<Vec<Bytes>, PacketiseError> {
        let data = &unit.data[..];
        if data.is_empty() {
            return Err(PacketiseError::Empty);
        }
        if data.len() > MAX_ACCESS_UNIT_BYTES {
            return Err(PacketiseError::TooLarge);
        }
        let malformed = PacketiseError::Malformed(unit.codec);
        // Payloads of these carry any bytes, those of another codec among them.
        let possible = match unit.codec {
            VideoCodec::Vp8 => vp8::is_frame(data),
            VideoCodec::Vp9 => vp9::is_frame(data),
            VideoCodec::Av1 => av1::is_unit(data),
            VideoCodec::H264 => true,
        };
        if !possible {
            return Err(malformed);
        }
        let id = self.picture_id;
        self.picture_id = (id + 1) & 0x7fff;
        let payloads = match unit.codec {
            VideoCodec::Vp8 => vp8::packetise(data, id, MAX_PAYLOAD_BYTES),
            VideoCodec::Vp9 => vp9::packetise(data, id, unit.key_frame, MAX_PAYLOAD_BYTES),
            VideoCodec::H264 => h264::packetise(data, MAX_PAYLOAD_BYTES),
            VideoCodec::Av1 => av1::packetise(data, unit.key_frame, MAX_PAYLOAD_BYTES)
                .map_err(|av1::NotObus| malformed)?,
        };
        if payloads.is_empty() { Err(malformed) } else { Ok(payloads) }
    }
}
