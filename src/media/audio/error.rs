//! Why sound could not be taken, encoded or decoded.

use crate::diagnosis::Diagnosis;

/// A failure of the audio path.
///
/// ```
/// use metered_realtime::media::audio::{AudioError, OpusEncoder, OpusOptions, PcmFormat};
/// let options = OpusOptions { bitrate_bps: 510_000, ..OpusOptions::default() };
/// let error = OpusEncoder::new(PcmFormat::OPUS_MONO, options).unwrap_err();
/// assert_eq!(error, AudioError::Bitrate { bps: 510_000 });
/// println!("{}: {}", error.code(), error.diagnosis());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// A rate outside 8 to 48 kHz, or neither one nor two channels.
    #[error("PCM of {rate} Hz with {channels} channels is not taken")]
    Format {
        /// Samples per second and channel.
        rate: u32,
        /// Channels.
        channels: u8,
    },
    /// A chunk that does not hold the same number of samples for each channel.
    #[error("{samples} samples do not divide by {channels} channels")]
    Uneven {
        /// Samples in the chunk.
        samples: usize,
        /// Channels of the format.
        channels: u8,
    },
    /// A bitrate outside 6 to 128 kbit/s.
    #[error("a bitrate of {bps} bit/s is not within 6,000 to 128,000")]
    Bitrate {
        /// What was asked for, in bits per second.
        bps: u32,
    },
    /// A playout whose shortest delay is above its longest, or whose longest is above five seconds.
    #[error("a playout's delay from {min_ms} to {max_ms} ms cannot be")]
    Delay {
        /// The shortest delay.
        min_ms: u64,
        /// The longest delay.
        max_ms: u64,
    },
    /// A packet that is not Opus (RFC 6716 section 3).
    #[error("the packet is not Opus")]
    Packet,
    /// The codec failed inside.
    #[error("the Opus codec failed: {what}")]
    Codec {
        /// Where.
        what: &'static str,
    },
    /// The library was built without the feature `opus`: it takes and gives ready packets, and no PCM.
    #[error("this build has no Opus codec")]
    NotBuilt,
}

impl AudioError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Format { .. } => "audio_format",
            Self::Uneven { .. } => "audio_chunk_uneven",
            Self::Bitrate { .. } => "audio_bitrate",
            Self::Delay { .. } => "audio_delay",
            Self::Packet => "opus_packet",
            Self::Codec { .. } => "opus_codec",
            Self::NotBuilt => "opus_not_built",
        }
    }

    /// Cause and fix.
    ///
    /// ```
    /// use metered_realtime::media::audio::PcmFormat;
    /// let error = PcmFormat::new(96_000, 1).unwrap_err();
    /// assert_eq!(error.code(), "audio_format");
    /// assert!(error.diagnosis().fix.contains("48"));
    /// ```
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Format { .. } => Diagnosis::new(
                "The sound's rate or number of channels is not one that is taken.",
                "Give 8,000 to 48,000 samples per second in one or two interleaved channels.",
            ),
            Self::Uneven { .. } => Diagnosis::new(
                "A chunk of interleaved PCM ended in the middle of a moment: one channel has more samples.",
                "Give whole moments: the same number of samples for each channel.",
            ),
            Self::Bitrate { .. } => Diagnosis::new(
                "Opus is used from 6 to 128 kbit/s here.",
                "24,000 to 32,000 is good for speech, 64,000 to 96,000 for music in stereo.",
            ),
            Self::Delay { .. } => Diagnosis::new(
                "The bounds of a jitter buffer's delay exclude each other, or would hold more than five seconds.",
                "Leave the defaults, or give a shortest delay up to the longest, and that one up to 5,000 ms.",
            ),
            Self::Packet => Diagnosis::new(
                "The packet breaks the rules of RFC 6716 section 3: it was damaged, or it is of another codec.",
                "Nothing for one packet: its time is concealed. If all fail, the payload type of the sender is mapped to the wrong codec.",
            ),
            Self::Codec { .. } => Diagnosis::new(
                "The Opus codec refused what it should take.",
                "Report it with a trace log; the sound is never in it.",
            ),
            Self::NotBuilt => Diagnosis::new(
                "The library was built without its Opus codec, so sound is neither encoded nor decoded in it.",
                "Write and read ready Opus packets with the platform's codec, or build with the feature `opus`, which is on by default.",
            ),
        }
    }
}
