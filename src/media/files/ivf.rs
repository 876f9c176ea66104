//! IVF: VP8, VP9 and AV1, one frame after the other, as libvpx and ffmpeg write it.

use std::io::{Read, Seek, SeekFrom, Write};

use super::looped::MediaReader;
use super::{FileError, MAX_FRAME_BYTES, fill, need, payload, u16_at, u32_at, u64_at};
use crate::media::video::{AccessUnit, VideoCodec};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 12;

/// The codecs that IVF carries here, by their names in it.
const CODECS: [(VideoCodec, &[u8; 4]); 3] =
    [(VideoCodec::Vp8, b"VP80"), (VideoCodec::Vp9, b"VP90"), (VideoCodec::Av1, b"AV01")];

/// What the file says of itself.
///
/// ```
/// use metered_realtime::media::VideoCodec;
/// use metered_realtime::media::files::IvfHeader;
/// // 30,000/1,001: the rate of American television.
/// let header = IvfHeader { codec: VideoCodec::Av1, width: 1_280, height: 720, rate: 30_000, scale: 1_001 };
/// let tick_us = 1_000_000 * u64::from(header.scale) / u64::from(header.rate);
/// assert_eq!(tick_us, 33_366);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IvfHeader {
    /// VP8, VP9 or AV1.
    pub codec: VideoCodec,
    /// Pixels across.
    pub width: u16,
    /// Pixels down.
    pub height: u16,
    /// Ticks of the timestamps in `scale` seconds: with a scale of 1, usually frames per second.
    pub rate: u32,
    /// See `rate`.
    pub scale: u32,
}

impl IvfHeader {
    fn us_of(self, ticks: u64) -> u64 {
        let us = u128::from(ticks) * 1_000_000 * u128::from(self.scale) / u128::from(self.rate);
        u64::try_from(us).unwrap_or(u64::MAX)
    }

    fn ticks_of(self, us: u64) -> u64 {
        let (rate, per_tick) = (u128::from(self.rate), 1_000_000 * u128::from(self.scale));
        // To the nearest, so that what was read is written again as it was.
        u64::try_from((u128::from(us) * rate + per_tick / 2) / per_tick).unwrap_or(u64::MAX)
    }
}

/// Reads IVF.
///
/// ```
/// use metered_realtime::media::VideoCodec;
/// use metered_realtime::media::files::{IvfHeader, IvfReader, IvfWriter, MediaReader};
/// use std::io::Cursor;
/// # let header = IvfHeader { codec: VideoCodec::Vp8, width: 64, height: 48, rate: 25, scale: 1 };
/// # let mut writer = IvfWriter::new(Cursor::new(Vec::new()), header)?;
/// # writer.write(0, &[0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 48, 0])?;
/// # let file = writer.finish()?.into_inner();
/// let mut reader = IvfReader::new(&file[..])?; // or a `BufReader` of a file
/// assert_eq!((reader.header().codec, reader.header().width), (VideoCodec::Vp8, 64));
/// while let Some(unit) = reader.next_item()? {
///     assert_eq!(unit.size(), Some((64, 48))); // to a track, when its time has come
/// }
/// assert_eq!(reader.read_us(), 40_000);
/// # Ok::<(), metered_realtime::media::files::FileError>(())
/// ```
#[derive(Debug)]
pub struct IvfReader<R> {
    source: R,
    header: IvfHeader,
    /// Timestamps of the last frame and of the one before it.
    last: Option<(u64, Option<u64>)>,
    ended: bool,
}

impl<R: Read> IvfReader<R> {
    /// Reads the file's header.
    ///
    /// # Errors
    /// [`FileError`] if it is none, or of another codec.
    pub fn new(mut source: R) -> Result<Self, FileError> {
        let header = read_header(&mut source)?;
        Ok(Self { source, header, last: None, ended: false })
    }

    /// What the file says of itself.
    pub const fn header(&self) -> IvfHeader {
        self.header
    }

    fn read(&mut self) -> Result<Option<AccessUnit>, FileError> {
        let mut header = [0; FRAME_HEADER_BYTES];
        if !fill(&mut self.source, &mut header, "a frame's header")? {
            return Ok(None);
        }
        let bytes = u32_at(&header, 0);
        if bytes as usize > MAX_FRAME_BYTES {
            let bytes = u64::from(bytes);
            return Err(FileError::TooBig { what: "a frame", bytes, most: MAX_FRAME_BYTES });
        }
        let data = payload(&mut self.source, bytes as usize, "a frame")?;
        let timestamp_us = self.header.us_of(u64_at(&header, 4));
        self.last = Some((timestamp_us, self.last.map(|(last, _)| last)));
        Ok(Some(AccessUnit::new(self.header.codec, data.into(), timestamp_us)))
    }
}

fn read_header(source: &mut impl Read) -> Result<IvfHeader, FileError> {
    let mut bytes = [0; HEADER_BYTES];
    need(source, &mut bytes, "the file's header")?;
    if &bytes[..4] != b"DKIF" {
        return Err(FileError::NotThis { format: "an IVF file" });
    }
    let found = CODECS.into_iter().find(|(_, name)| name[..] == bytes[8..12]);
    let (codec, _) = found.ok_or_else(|| FileError::Unsupported {
        what: format!("IVF with the codec {:?}", String::from_utf8_lossy(&bytes[8..12])),
    })?;
    let length = usize::from(u16_at(&bytes, 6));
    if length < HEADER_BYTES {
        return Err(FileError::Damaged { what: "the length of the IVF header" });
    }
    // A longer header of a later version: what is more is skipped.
    need(source, &mut vec![0; length - HEADER_BYTES], "the file's header")?;
    let (rate, scale) = (u32_at(&bytes, 16), u32_at(&bytes, 20));
    if rate == 0 || scale == 0 {
        return Err(FileError::Damaged { what: "the IVF time base is zero" });
    }
    Ok(IvfHeader { codec, width: u16_at(&bytes, 12), height: u16_at(&bytes, 14), rate, scale })
}

impl<R: Read> MediaReader for IvfReader<R> {
    type Item = AccessUnit;
    type Source = R;

    fn next_item(&mut self) -> Result<Option<AccessUnit>, FileError> {
        if self.ended {
            return Ok(None);
        }
        let item = self.read();
        self.ended = !matches!(item, Ok(Some(_)));
        item
    }

    fn read_us(&self) -> u64 {
        // The last frame lasts as long as the one before it.
        match self.last {
            None => 0,
            Some((last, before)) => {
                let tick = self.header.us_of(1).max(1);
                last.saturating_add(
                    before.map_or(tick, |before| last.saturating_sub(before).max(1)),
                )
            }
        }
    }

    fn source(&mut self) -> &mut R {
        &mut self.source
    }

    fn restart(&mut self) -> Result<(), FileError> {
        self.header = read_header(&mut self.source)?;
        (self.last, self.ended) = (None, false);
        Ok(())
    }
}

/// Writes IVF.
///
/// ```
/// use std::io::Cursor;
/// use metered_realtime::media::VideoCodec;
/// use metered_realtime::media::files::{IvfHeader, IvfReader, IvfWriter, MediaReader};
/// let header = IvfHeader { codec: VideoCodec::Vp9, width: 640, height: 360, rate: 90_000, scale: 1 };
/// let mut writer = IvfWriter::new(Cursor::new(Vec::new()), header)?;
/// writer.write(33_333, &[0x82, 0x49, 0x83, 0x42])?;
/// let file = writer.finish()?.into_inner();
/// let mut reader = IvfReader::new(&file[..])?;
/// let frame = reader.next_item()?.unwrap();
/// assert!(frame.key_frame && frame.timestamp_us.abs_diff(33_333) < 12);
/// # Ok::<(), metered_realtime::media::files::FileError>(())
/// ```
#[derive(Debug)]
pub struct IvfWriter<W> {
    sink: W,
    header: IvfHeader,
    /// Ticks of the last frame and of the one before it.
    last: Option<(u64, Option<u64>)>,
}

impl<W: Write> IvfWriter<W> {
    /// Writes the file's header.
    ///
    /// # Errors
    /// [`FileError::Damaged`] for a time base of zero, [`FileError::Unsupported`] for another codec,
    /// [`FileError::Io`].
    pub fn new(mut sink: W, header: IvfHeader) -> Result<Self, FileError> {
        if header.rate == 0 || header.scale == 0 {
            return Err(FileError::Damaged { what: "the IVF time base is zero" });
        }
        let name = CODECS.into_iter().find(|(codec, _)| *codec == header.codec);
        let (_, name) = name.ok_or_else(|| FileError::Unsupported {
            what: format!("{} in IVF", header.codec.mime_type()),
        })?;
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(b"DKIF");
        bytes[6..8].copy_from_slice(&(HEADER_BYTES as u16).to_le_bytes());
        bytes[8..12].copy_from_slice(name);
        bytes[12..14].copy_from_slice(&header.width.to_le_bytes());
        bytes[14..16].copy_from_slice(&header.height.to_le_bytes());
        bytes[16..20].copy_from_slice(&header.rate.to_le_bytes());
        bytes[20..24].copy_from_slice(&header.scale.to_le_bytes());
        sink.write_all(&bytes)?;
        Ok(Self { sink, header, last: None })
    }

    /// Writes a frame.
    ///
    /// # Errors
    /// [`FileError::TooBig`], [`FileError::Io`].
    pub fn write(&mut self, timestamp_us: u64, frame: &[u8]) -> Result<(), FileError> {
        if frame.len() > MAX_FRAME_BYTES {
            let bytes = frame.len() as u64;
            return Err(FileError::TooBig { what: "a frame", bytes, most: MAX_FRAME_BYTES });
        }
        self.sink.write_all(&(frame.len() as u32).to_le_bytes())?;
        let ticks = self.header.ticks_of(timestamp_us);
        self.sink.write_all(&ticks.to_le_bytes())?;
        self.last = Some((ticks, self.last.map(|(last, _)| last)));
        Ok(self.sink.write_all(frame)?)
    }
}

impl<W: Write + Seek> IvfWriter<W> {
    /// Writes the length in ticks into the header, as ffmpeg reads it: the number of frames where each lasts
    /// one tick. Without it the file can still be read.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn finish(mut self) -> Result<W, FileError> {
        let ticks = self.last.map_or(0, |(last, before)| {
            let lasts = before.map_or(1, |before| last.saturating_sub(before).max(1));
            last.saturating_add(lasts)
        });
        self.sink.seek(SeekFrom::Start(24))?;
        self.sink.write_all(&u32::try_from(ticks).unwrap_or(u32::MAX).to_le_bytes())?;
        self.sink.seek(SeekFrom::End(0))?;
        self.sink.flush()?;
        Ok(self.sink)
    }
}
