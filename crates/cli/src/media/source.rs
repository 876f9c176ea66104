//! What a track is fed with, as a user says it.

use std::path::Path;
use std::str::FromStr;

use bytes::Bytes;
use metered_realtime::media::files::FileError;
use metered_realtime::media::{MediaKind, Rotation, VideoCodec};
use serde::Deserialize;

use super::clip::{Clip, MAX_FILE_BYTES};
use super::pattern::{self, Pattern};
use super::sound::{Sound, SoundFile};
use super::{Media, SourceError};

/// H.264 in Annex B says nothing of its pace: pictures in so many seconds.
const ANNEX_B_RATE: (u32, u32) = (30, 1);
/// What a tone is that nobody chose: a'.
const TONE_HZ: f32 = 440.0;

/// What to send.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Source {
    test_pattern: Option<Pattern>,
    tone: Option<ToneOptions>,
    file: Option<String>,
    /// Begins again at its end; patterns and tones have none.
    #[serde(default, rename = "loop")]
    pub(crate) repeats: bool,
    /// Of pictures, in degrees: how far they must be turned clockwise to stand upright.
    #[serde(default)]
    rotation: u16,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToneOptions {
    #[serde(default = "default_tone")]
    hz: f32,
}

const fn default_tone() -> f32 {
    TONE_HZ
}

impl From<Pattern> for Source {
    fn from(pattern: Pattern) -> Self {
        Self { test_pattern: Some(pattern), ..Self::default() }
    }
}

impl Source {
    pub(crate) fn tone(hz: f32) -> Self {
        Self { tone: Some(ToneOptions { hz }), ..Self::default() }
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// [`SourceError`].
    pub(crate) async fn open(&self) -> Result<Media, SourceError> {
        let degrees = self.rotation;
        let rotation = Rotation::from_degrees(degrees).ok_or(SourceError::Rotation { degrees })?;
        match self.open_upright().await? {
            Media::Video(clip) => Ok(Media::Video(clip.turned(rotation))),
            Media::Audio(_) if rotation != Rotation::None => {
                Err(SourceError::OtherKind { wanted: MediaKind::Video.as_str() })
            }
            sound => Ok(sound),
        }
    }

    async fn open_upright(&self) -> Result<Media, SourceError> {
        match (&self.test_pattern, &self.tone, &self.file) {
            (Some(wanted), None, None) => {
                let (codec, data) = pattern::nearest(wanted)?;
                let data = Bytes::from_static(data);
                let clip = match codec {
                    VideoCodec::H264 => Clip::annex_b(&data, (pattern::FPS, 1), true),
                    _ => Clip::ivf(&data, true),
                };
                // Clips of ours, which the tests read.
                let clip = clip.map_err(|fault| fault.at("the test pattern"))?;
                Ok(Media::Video(match wanted.bitrate {
                    Some(bits_per_second) => clip.filled(bits_per_second),
                    None => clip,
                }))
            }
            (None, Some(tone), None) => Ok(Media::Audio(Sound::tone(tone.hz)?)),
            (None, None, Some(path)) => self.open_file(path).await,
            (None, None, None) => Err(SourceError::Unclear("there is no source".into())),
            _ => Err(SourceError::Unclear("there are several sources".into())),
        }
    }

    /// As [`open`](Self::open), for a track of one kind.
    ///
    /// # Errors
    /// [`SourceError`]; [`SourceError::OtherKind`] for the other kind.
    pub(crate) async fn open_as(&self, kind: MediaKind) -> Result<Media, SourceError> {
        let media = self.open().await?;
        let wanted = kind.as_str();
        if media.kind() == kind { Ok(media) } else { Err(SourceError::OtherKind { wanted }) }
    }

    async fn open_file(&self, path: &str) -> Result<Media, SourceError> {
        let kind = Path::new(path).extension().and_then(|kind| kind.to_str());
        let kind = kind.map(str::to_ascii_lowercase).unwrap_or_default();
        if !["ivf", "h264", "264", "ogg", "opus", "wav"].contains(&kind.as_str()) {
            return Err(SourceError::UnknownKind { path: path.to_owned() });
        }
        let data = read(path).await?;
        let repeats = self.repeats;
        let sound = |data| SoundFile { path: path.to_owned(), data, repeats, cut: None };
        let media = match kind.as_str() {
            "ivf" => Clip::ivf(&data, repeats).map(Media::Video),
            "h264" | "264" => Clip::annex_b(&data, ANNEX_B_RATE, repeats).map(Media::Video),
            "wav" => Sound::wav(sound(data)).map(Media::Audio),
            _ => Sound::ogg(sound(data)).map(Media::Audio),
        };
        media.map_err(|fault| fault.at(path))
    }
}

async fn read(path: &str) -> Result<Bytes, SourceError> {
    let failed =
        |error: std::io::Error| SourceError::File { path: path.to_owned(), error: error.into() };
    let metadata = tokio::fs::metadata(path).await.map_err(failed)?;
    if !metadata.is_file() {
        // Nobody may ever write into a pipe, and a device need not end.
        return Err(SourceError::NotAFile { path: path.to_owned() });
    }
    let bytes = metadata.len();
    if bytes > MAX_FILE_BYTES {
        return Err(SourceError::TooLarge { path: path.to_owned(), bytes });
    }
    if bytes == 0 {
        return Err(SourceError::Empty { path: path.to_owned() });
    }
    // What grows meanwhile is cut there as well.
    use tokio::io::AsyncReadExt;
    let mut data = Vec::new();
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    file.take(MAX_FILE_BYTES).read_to_end(&mut data).await.map_err(failed)?;
    Ok(data.into())
}

/// What is wrong with a file whose name the reader does not know.
#[derive(Debug)]
pub(super) enum Fault {
    File(FileError),
    Empty,
    NoKeyFrame,
}

impl From<FileError> for Fault {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl Fault {
    fn at(self, path: &str) -> SourceError {
        let path = path.to_owned();
        match self {
            Self::File(error) => SourceError::File { path, error },
            Self::Empty => SourceError::Empty { path },
            Self::NoKeyFrame => SourceError::NoKeyFrame { path },
        }
    }
}

/// As on the command line: `test-pattern`, `test-pattern:vp9`, `tone`, `tone:1000`, or a path, which repeats.
impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, option) = match text.split_once(':') {
            Some((name, option)) => (name, Some(option)),
            None => (text, None),
        };
        match (name, option) {
            ("test-pattern", None) => Ok(Pattern::default().into()),
            ("test-pattern", Some(codec)) => {
                let codec = serde_json::from_value(codec.into())
                    .map_err(|_| format!("{codec} is none of vp8, vp9, h264 and av1"))?;
                Ok(Pattern { codec: Some(codec), ..Pattern::default() }.into())
            }
            ("tone", None) => Ok(Self::tone(TONE_HZ)),
            ("tone", Some(hz)) => {
                let hz = hz.parse().map_err(|_| format!("{hz} is no frequency in Hz"))?;
                Ok(Self::tone(hz))
            }
            _ => Ok(Self { file: Some(text.to_owned()), repeats: true, ..Self::default() }),
        }
    }
}
