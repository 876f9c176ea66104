//! Why a source cannot be sent.

use metered_realtime::diagnosis::Diagnosis;
use metered_realtime::media::WriteError;
use metered_realtime::media::files::FileError;

use super::clip::MAX_FILE_BYTES;
use super::pattern;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// Neither a test pattern nor a tone nor a file, or several.
    #[error("{0}")]
    Unclear(String),
    #[error("{path}: {error}")]
    File { path: String, error: FileError },
    #[error("{path}: files of this kind are not taken")]
    UnknownKind { path: String },
    /// A folder, a pipe or a device.
    #[error("{path}: this is no regular file")]
    NotAFile { path: String },
    #[error("{path}: {bytes} bytes are more than {MAX_FILE_BYTES}")]
    TooLarge { path: String, bytes: u64 },
    #[error("{path}: there is nothing in it")]
    Empty { path: String },
    #[error("{path}: the first picture is no key frame")]
    NoKeyFrame { path: String },
    #[error("there is no test pattern of {0}")]
    NoPattern(String),
    #[error("a tone of {hz} Hz is not within 20 to 20,000")]
    Tone { hz: f32 },
    #[error("a rotation of {degrees} degrees is none of 0, 90, 180 and 270")]
    Rotation { degrees: u16 },
    /// A source of sound for pictures, or the other way round.
    #[error("this source is not {wanted}")]
    OtherKind { wanted: &'static str },
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl SourceError {
    /// Stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Unclear(_) => "source_unclear",
            Self::File { error, .. } => error.code(),
            Self::UnknownKind { .. } => "source_kind_unknown",
            Self::NotAFile { .. } => "source_not_a_file",
            Self::TooLarge { .. } => "source_too_large",
            Self::Empty { .. } => "source_empty",
            Self::NoKeyFrame { .. } => "source_no_key_frame",
            Self::NoPattern(_) => "no_such_pattern",
            Self::Tone { .. } => "tone_out_of_range",
            Self::Rotation { .. } => "rotation_unknown",
            Self::OtherKind { .. } => "source_other_kind",
            Self::Write(error) => error.code(),
        }
    }

    pub(crate) fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Unclear(_) => Diagnosis::new(
                "A source is one thing: a test pattern, a tone or a file.",
                "Give exactly one of testPattern, tone and file; on the command line test-pattern, tone or a path.",
            ),
            Self::File { error, .. } => error.diagnosis(),
            Self::UnknownKind { .. } => Diagnosis::new(
                "A file's extension says how it is read, and this one is not known.",
                "Give .ivf (VP8, VP9, AV1), .h264 (Annex B) or test-pattern for pictures, .ogg, .opus, .wav or tone for sound. ffmpeg makes them: ffmpeg -i INPUT -g 50 out.ivf, and ffmpeg -i INPUT -ac 2 out.opus",
            ),
            Self::NotAFile { .. } => Diagnosis::new(
                "It is a folder, a pipe or a device; a source is read whole before it is sent.",
                "Give the path of a file. What comes from a pipe must be written into one first.",
            ),
            Self::TooLarge { .. } => Diagnosis::new(
                "A source is held in memory, to go to any key frame at once.",
                "Cut it: ffmpeg -i INPUT -t 60 -c copy OUTPUT",
            ),
            Self::Empty { .. } => Diagnosis::new(
                "The file is empty, or has a header and nothing behind it.",
                "Give another file.",
            ),
            Self::NoKeyFrame { .. } => Diagnosis::new(
                "The file begins in the middle of a stream, where no decoder can.",
                "Encode it anew: ffmpeg -i INPUT -g 50 out.ivf, or ffmpeg -i INPUT -c:v libx264 -profile:v baseline -pix_fmt yuv420p -g 50 out.h264",
            ),
            Self::NoPattern(_) => Diagnosis::new(
                "A test pattern is a clip inside the command, encoded beforehand.",
                pattern::offered(),
            ),
            Self::Tone { .. } => Diagnosis::new(
                "Nobody hears it, or Opus does not carry it.",
                "Give a frequency in Hz, such as 440.",
            ),
            Self::Rotation { .. } => Diagnosis::new(
                "A picture travels with its rotation in two bits: quarters of a turn.",
                "Give 0, 90, 180 or 270, clockwise.",
            ),
            Self::OtherKind { .. } => Diagnosis::new(
                "Pictures and sound have tracks of their own.",
                "Give a test pattern, .ivf or .h264 as video; a tone, .ogg, .opus or .wav as audio.",
            ),
            Self::Write(_) => Diagnosis::new(
                "The file's content is not what its name says.",
                "Encode it anew with ffmpeg.",
            ),
        }
    }
}

/// How sources are named to whom a fix is told.
#[derive(Clone, Copy)]
pub(crate) enum Named {
    /// By options of the command.
    Options,
    /// By parameters of `metered rpc`.
    Parameters,
}

/// What is said of a remote that takes none of a track.
pub(crate) fn not_taken(codec: &str, named: Named) -> (String, Diagnosis) {
    let (what, fix) = match (codec.starts_with("audio/"), named) {
        (true, Named::Options) => {
            ("sound", "Send Opus, which every browser and SDK takes: --audio tone")
        }
        (true, Named::Parameters) => {
            ("sound", r#"Send Opus, which every browser and SDK takes: {"tone":{}}"#)
        }
        (false, Named::Options) => {
            ("pictures", "Send VP8, which every browser and SDK takes: --video test-pattern:vp8")
        }
        (false, Named::Parameters) => (
            "pictures",
            r#"Send VP8, which every browser and SDK takes: {"testPattern":{"codec":"vp8"}}"#,
        ),
    };
    let message = format!("gets none of our {what}: it does not take {codec}");
    let cause = match codec {
        "video/H264" => {
            "A track has one codec, and this remote did not offer to decode it, or not the profile of the file."
        }
        _ => "A track has one codec, and this remote did not offer to decode it.",
    };
    (message, Diagnosis::new(cause, fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_that_takes_none_of_a_track_is_told_with_its_fix() {
        for (named, picture, sound) in [
            (Named::Options, "--video test-pattern:vp8", "--audio tone"),
            (Named::Parameters, r#"{"testPattern":{"codec":"vp8"}}"#, r#"{"tone":{}}"#),
        ] {
            let (message, diagnosis) = not_taken("video/AV1", named);
            assert_eq!(message, "gets none of our pictures: it does not take video/AV1");
            assert!(diagnosis.fix.ends_with(picture), "{diagnosis:?}");
            let (message, diagnosis) = not_taken("audio/opus", named);
            assert_eq!(message, "gets none of our sound: it does not take audio/opus");
            assert!(diagnosis.fix.ends_with(sound), "{diagnosis:?}");
        }
    }
}
