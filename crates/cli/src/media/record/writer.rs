//! One track's files. A file ends where the codec changes: no format here holds two.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::Duration;

use metered_realtime::media::files::{
    AnnexBWriter, FileError, IvfHeader, IvfWriter, OggOpusHead, OggOpusWriter,
};
use metered_realtime::media::{AccessUnit, VideoCodec};

use super::opus::Timeline;
use super::video::Times;
use super::{Piece, Recorded, Told};
use crate::names::{numbered, safe};

/// Names that are tried before the folder counts as full of them.
const MAX_NUMBER: u32 = 10_000;
/// Files of one track: a remote that changes its codec all the time fills no folder.
const MAX_FILES: u32 = 100;
/// Ticks per second of IVF's times: those of RTP.
const VIDEO_CLOCK_HZ: u32 = 90_000;
/// As the common encoders have it, in samples at 48 kHz.
const PRE_SKIP: u16 = 312;
/// Of a decoder: what is mono sounds on both.
const CHANNELS: u8 = 2;
/// A temporal delimiter: each temporal unit of a file begins with one (AV1 specification section 7.5).
const AV1_DELIMITER: [u8; 2] = [0x12, 0x00];

type Sink = BufWriter<File>;

enum Format {
    Ivf { writer: IvfWriter<Sink>, codec: VideoCodec, times: Times },
    AnnexB(AnnexBWriter<Sink>),
    Ogg { writer: OggOpusWriter<Sink>, line: Timeline },
}

struct Open {
    format: Format,
    path: PathBuf,
    frames: u64,
}

pub(super) struct Writer {
    folder: PathBuf,
    /// Without extension; safe to use.
    stem: String,
    open: Option<Open>,
    files: u32,
}

impl Writer {
    pub(super) fn new(folder: PathBuf, name: &str) -> Self {
        // What looks like a path shall stay whole and be none.
        let stem = safe(&name.replace(['/', '\\'], "_"));
        Self { folder, stem, open: None, files: 0 }
    }

    pub(super) fn write(
        &mut self,
        piece: Piece,
        now: Duration,
        tell: &mut impl FnMut(Told),
    ) -> Result<(), FileError> {
        let wanted = match &piece {
            Piece::Unit(unit) => Some(unit.codec),
            Piece::Packet { .. } => None,
        };
        if self.open.as_ref().is_none_or(|open| open.format.codec() != wanted) {
            if let Piece::Unit(unit) = &piece
                && !unit.key_frame
            {
                return Ok(());
            }
            self.finish(tell)?;
            self.begin(&piece, tell)?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        open.frames += 1;
        open.format.write(piece, now)
    }

    fn begin(&mut self, piece: &Piece, tell: &mut impl FnMut(Told)) -> Result<(), FileError> {
        self.files += 1;
        if self.files > MAX_FILES {
            let what = format!("a track that has changed its codec {MAX_FILES} times");
            return Err(FileError::Unsupported { what });
        }
        let extension = match piece {
            Piece::Unit(unit) if unit.codec == VideoCodec::H264 => "h264",
            Piece::Unit(_) => "ivf",
            Piece::Packet { .. } => "ogg",
        };
        let (file, path) = create(&self.folder, &format!("{}.{extension}", self.stem))?;
        let format = Format::new(BufWriter::new(file), piece)?;
        self.open = Some(Open { format, path: path.clone(), frames: 0 });
        tell(Told::Begun(path));
        Ok(())
    }

    /// What is written, or the folder if nothing is.
    pub(super) fn place(&self) -> &Path {
        self.open.as_ref().map_or(&self.folder, |open| &open.path)
    }

    /// Makes the file whole.
    pub(super) fn finish(&mut self, tell: &mut impl FnMut(Told)) -> Result<(), FileError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let file = open.format.finish()?;
        let bytes = file.metadata()?.len();
        tell(Told::Finished(Recorded { file: open.path, frames: open.frames, bytes }));
        Ok(())
    }
}

/// Makes a file under the first name that is free.
fn create(folder: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    for number in 1..MAX_NUMBER {
        let chosen = if number == 1 { name.to_owned() } else { numbered(name, number) };
        let path = folder.join(chosen);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "no name is free"))
}

impl Format {
    fn new(sink: Sink, piece: &Piece) -> Result<Self, FileError> {
        Ok(match piece {
            Piece::Unit(unit) if unit.codec == VideoCodec::H264 => {
                Self::AnnexB(AnnexBWriter::new(sink))
            }
            Piece::Unit(unit) => {
                let codec = unit.codec;
                let header = ivf_header(unit);
                Self::Ivf { writer: IvfWriter::new(sink, header)?, codec, times: Times::default() }
            }
            Piece::Packet { .. } => {
                let head =
                    OggOpusHead { channels: CHANNELS, pre_skip: PRE_SKIP, input_rate: 48_000 };
                Self::Ogg { writer: OggOpusWriter::new(sink, head)?, line: Timeline::default() }
            }
        })
    }

    /// `None` for sound.
    const fn codec(&self) -> Option<VideoCodec> {
        match self {
            Self::Ivf { codec, .. } => Some(*codec),
            Self::AnnexB(_) => Some(VideoCodec::H264),
            Self::Ogg { .. } => None,
        }
    }

    fn write(&mut self, piece: Piece, now: Duration) -> Result<(), FileError> {
        match (self, piece) {
            (Self::Ivf { writer, codec, times }, Piece::Unit(unit)) => {
                let at = times.place(unit.timestamp_us, now);
                match codec {
                    VideoCodec::Av1 => writer.write(at, &[&AV1_DELIMITER, &unit.data[..]].concat()),
                    _ => writer.write(at, &unit.data),
                }
            }
            (Self::AnnexB(writer), Piece::Unit(unit)) => writer.write(&unit.data),
            (Self::Ogg { writer, line }, Piece::Packet { timestamp, payload }) => {
                line.push(timestamp, payload, now, &mut |packet| writer.write(packet))
            }
            // A track has one kind for all its life.
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<File, FileError> {
        let sink = match self {
            Self::Ivf { writer, .. } => writer.finish()?,
            Self::AnnexB(writer) => writer.finish()?,
            Self::Ogg { mut writer, mut line } => {
                line.flush(&mut |packet| writer.write(packet))?;
                writer.finish()?
            }
        };
        sink.into_inner().map_err(|error| FileError::from(error.into_error()))
    }
}

fn ivf_header(unit: &AccessUnit) -> IvfHeader {
    // Decoders take the size from the pictures; the header's is for people.
    let (width, height) = unit.size().unwrap_or_default();
    let short = |pixels| u16::try_from(pixels).unwrap_or(u16::MAX);
    IvfHeader {
        codec: unit.codec,
        width: short(width),
        height: short(height),
        rate: VIDEO_CLOCK_HZ,
        scale: 1,
    }
}
