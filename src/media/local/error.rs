//! Why something that was written to a local track does not go out.

use crate::diagnosis::Diagnosis;
use crate::media::audio::AudioError;
use crate::media::video::PacketiseError;

/// Why a picture or packet was not taken.
///
/// ```
/// use metered_realtime::media::{AccessUnit, LocalVideoTrack, VideoCodec, WriteError};
/// let track = LocalVideoTrack::new(VideoCodec::H264);
/// let vp8 = AccessUnit::new(VideoCodec::Vp8, vec![0x10, 0, 0, 0x9d, 1, 0x2a, 2, 0, 2, 0].into(), 0);
/// let error = track.write(&vp8).unwrap_err();
/// assert!(matches!(error, WriteError::OtherCodec { expected: "video/H264", .. }));
/// println!("{}: {}", error.code(), error.diagnosis());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It is none.
    #[error(transparent)]
    Packetise(#[from] PacketiseError),
    /// It is of another codec than the track.
    #[error("the track carries {expected}, not {found}")]
    OtherCodec {
        /// The track's.
        expected: &'static str,
        /// The access unit's.
        found: &'static str,
    },
    /// No Opus packet is empty or has more than 1,275 bytes.
    #[error("an Opus packet has 1 to 1,275 bytes")]
    NotOpus,
    /// The PCM is none, or the codec failed.
    #[error(transparent)]
    Audio(#[from] AudioError),
}

impl WriteError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Packetise(error) => error.code(),
            Self::OtherCodec { .. } => "other_codec",
            Self::NotOpus => "opus_packet_size",
            Self::Audio(error) => error.code(),
        }
    }

    /// Cause and fix.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Packetise(error) => error.diagnosis(),
            Self::OtherCodec { expected, found } => Diagnosis::new(
                format!("The track was made for {expected}, and this picture is {found}."),
                "Make the track with the encoder's codec; for another codec remove it and add a new one.",
            ),
            Self::NotOpus => Diagnosis::new(
                "The bytes are not one Opus packet: none, or more than RFC 6716 allows.",
                "Write each packet of the encoder by itself, without a container around it.",
            ),
            Self::Audio(error) => error.diagnosis(),
        }
    }
}
