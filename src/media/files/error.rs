//! Why a media file could not be read or written.

use std::io;
use std::sync::Arc;

use crate::diagnosis::Diagnosis;

/// A failure with a media file.
///
/// ```
/// use metered_realtime::media::files::{FileError, WavReader};
/// let text = match WavReader::new(&b"OggS\0 and what an Ogg file has"[..]) {
///     Ok(_) => "a WAV file".to_owned(),
///     Err(FileError::Io(error)) => format!("the disk: {error}"),
///     Err(error) => format!("{error}. {}", error.diagnosis().fix), // such as the command that converts it
/// };
/// assert!(text.starts_with("this is not"));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system's read, write or seek failed.
    #[error("reading or writing failed: {0}")]
    Io(Arc<io::Error>),
    /// The file does not begin as its format does.
    #[error("this is not {format}")]
    NotThis {
        /// The format that was expected, such as `an IVF file`.
        format: &'static str,
    },
    /// The format is right, and what is inside is not taken.
    #[error("{what} is not taken")]
    Unsupported {
        /// What was found.
        what: String,
    },
    /// The file ends in the middle.
    #[error("the file ends in the middle of {what}")]
    CutShort {
        /// What was cut.
        what: &'static str,
    },
    /// The file contradicts its format.
    #[error("the file is damaged: {what}")]
    Damaged {
        /// Where.
        what: &'static str,
    },
    /// A frame is longer than any frame.
    #[error("{what} of {bytes} bytes is above {most}")]
    TooBig {
        /// What it is.
        what: &'static str,
        /// Its length.
        bytes: u64,
        /// The most.
        most: usize,
    },
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl FileError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "file_io",
            Self::NotThis { .. } => "file_format",
            Self::Unsupported { .. } => "file_unsupported",
            Self::CutShort { .. } => "file_cut_short",
            Self::Damaged { .. } => "file_damaged",
            Self::TooBig { .. } => "file_too_big",
        }
    }

    /// Cause and fix.
    ///
    /// ```
    /// use metered_realtime::media::files::IvfReader;
    /// let error = IvfReader::new(&b"RIFF and something else, of 32 bytes"[..]).unwrap_err();
    /// assert_eq!(error.code(), "file_format");
    /// assert!(error.diagnosis().fix.contains("ffmpeg"));
    /// ```
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Io(error) => Diagnosis::new(
                format!("The system answered: {error}."),
                "Check that the file is there, may be read or written, and that the disk has room.",
            ),
            Self::NotThis { .. } => Diagnosis::new(
                "The file's first bytes are those of another format.",
                "Give the right kind of file: .ivf for VP8, VP9 and AV1, .h264 for Annex B, .opus or .ogg for Opus, .wav for PCM. ffmpeg makes them: ffmpeg -i INPUT -g 50 out.ivf, and ffmpeg -i INPUT -ac 2 out.opus",
            ),
            Self::Unsupported { .. } => Diagnosis::new(
                "The container is known, but not this content.",
                "Convert it: VP8, VP9 or AV1 in IVF, H.264 without B pictures in Annex B, one Opus stream of one or two channels in Ogg, PCM of 16, 24 or 32 bits or float of 32 bits in WAV, of 8 to 48 kHz and one or two channels. ffmpeg makes them: ffmpeg -i INPUT -ac 2 -ar 48000 out.wav, and ffmpeg -i INPUT -c:v libx264 -profile:v baseline -bf 0 -pix_fmt yuv420p -g 50 out.h264",
            ),
            Self::CutShort { .. } => Diagnosis::new(
                "The file is incomplete: a copy or a recording was interrupted.",
                "Everything before was read. Copy or record it again.",
            ),
            Self::Damaged { .. } => Diagnosis::new(
                "Lengths or checksums inside the file contradict each other.",
                "Copy or convert the file again.",
            ),
            Self::TooBig { .. } => Diagnosis::new(
                "A length inside the file is beyond what any frame has, so that the file is damaged or hostile.",
                "Copy or convert the file again.",
            ),
        }
    }
}
