//! What all readers have in common, and a reader that begins again at its end.

use std::io::{Seek, SeekFrom};

use super::FileError;
use crate::media::video::AccessUnit;

/// Something with a place in time.
///
/// ```
/// use metered_realtime::media::files::{PcmChunk, Timed};
/// let mut chunk = PcmChunk { timestamp_us: 10_000, pcm: vec![0.0; 80] };
/// chunk.delay_by(60_000_000); // the second time a file of a minute is played
/// assert_eq!(chunk.timestamp_us(), 60_010_000);
/// ```
pub trait Timed {
    /// Microseconds from the start.
    fn timestamp_us(&self) -> u64;

    /// Later by so many microseconds.
    fn delay_by(&mut self, us: u64);
}

impl Timed for AccessUnit {
    fn timestamp_us(&self) -> u64 {
        self.timestamp_us
    }
    fn delay_by(&mut self, us: u64) {
        self.timestamp_us = self.timestamp_us.saturating_add(us);
    }
}

/// A reader of access units, packets or chunks.
///
/// ```
/// use metered_realtime::media::files::{FileError, MediaReader, PcmChunk, Timed};
///
/// /// Silence, 10 ms at a time, a second long: a source without a file behind it.
/// struct Silence {
///     chunks: u64,
///     source: std::io::Empty,
/// }
///
/// impl MediaReader for Silence {
///     type Item = PcmChunk;
///     type Source = std::io::Empty;
///
///     fn next_item(&mut self) -> Result<Option<PcmChunk>, FileError> {
///         if self.chunks == 100 {
///             return Ok(None);
///         }
///         self.chunks += 1;
///         Ok(Some(PcmChunk { timestamp_us: (self.chunks - 1) * 10_000, pcm: vec![0.0; 480] }))
///     }
///
///     fn read_us(&self) -> u64 {
///         self.chunks * 10_000
///     }
///
///     fn source(&mut self) -> &mut std::io::Empty {
///         &mut self.source
///     }
///
///     fn restart(&mut self) -> Result<(), FileError> {
///         self.chunks = 0;
///         Ok(())
///     }
/// }
///
/// let mut silence = Silence { chunks: 0, source: std::io::empty() };
/// while let Some(chunk) = silence.next_item()? {
///     assert!(chunk.timestamp_us() < 1_000_000);
/// }
/// assert_eq!(silence.read_us(), 1_000_000);
/// silence.restart()?;
/// # let _ = silence.source();
/// # Ok::<(), FileError>(())
/// ```
pub trait MediaReader {
    /// What it reads.
    type Item: Timed;
    /// Where it reads from.
    type Source;

    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// [`FileError`], after which the reader is at its end.
    fn next_item(&mut self) -> Result<Option<Self::Item>, FileError>;

    /// Microseconds from the start to the end of what was read so far.
    fn read_us(&self) -> u64;

    /// The source, which is somewhere behind what was read.
    fn source(&mut self) -> &mut Self::Source;

    /// Reads on from a source that is at its start again.
    ///
    /// # Errors
    /// [`FileError`] if the start cannot be read.
    fn restart(&mut self) -> Result<(), FileError>;
}

/// A reader without end: times go on where the last round ended.
///
/// ```
/// use std::io::Cursor;
/// use metered_realtime::media::VideoCodec;
/// use metered_realtime::media::files::{IvfHeader, IvfReader, IvfWriter, Looped};
/// let header = IvfHeader { codec: VideoCodec::Vp8, width: 64, height: 48, rate: 25, scale: 1 };
/// let mut writer = IvfWriter::new(Cursor::new(Vec::new()), header)?;
/// writer.write(0, &[0, 1, 2])?;
/// let file = writer.finish()?;
/// let mut looped = Looped::new(IvfReader::new(Cursor::new(file.into_inner()))?);
/// assert_eq!(looped.next_item()?.timestamp_us, 0);
/// assert_eq!(looped.next_item()?.timestamp_us, 40_000);
/// # Ok::<(), metered_realtime::media::files::FileError>(())
/// ```
#[derive(Debug)]
pub struct Looped<R> {
    reader: R,
    /// Where this round began.
    base_us: u64,
    rounds: u64,
}

impl<R: MediaReader<Source: Seek>> Looped<R> {
    /// Loops a reader that is at its start.
    pub const fn new(reader: R) -> Self {
        Self { reader, base_us: 0, rounds: 0 }
    }

    /// How often it began again.
    ///
    /// ```
    /// use metered_realtime::media::audio::PcmFormat;
    /// use metered_realtime::media::files::{Looped, WavReader, WavWriter};
    /// use std::io::Cursor;
    /// let mut writer = WavWriter::new(Cursor::new(Vec::new()), PcmFormat::OPUS_MONO)?;
    /// writer.write(&[0.0; 480])?; // 10 ms
    /// let file = writer.finish()?.into_inner();
    /// let mut looped = Looped::new(WavReader::new(Cursor::new(file))?);
    /// for _ in 0..3 {
    ///     looped.next_item()?;
    /// }
    /// assert_eq!(looped.rounds(), 2);
    /// # Ok::<(), metered_realtime::media::files::FileError>(())
    /// ```
    pub const fn rounds(&self) -> u64 {
        self.rounds
    }

    /// The next one.
    ///
    /// # Errors
    /// [`FileError`]; an empty file is [`FileError::CutShort`].
    pub fn next_item(&mut self) -> Result<R::Item, FileError> {
        let mut item = match self.reader.next_item()? {
            Some(item) => item,
            None => {
                self.base_us += self.reader.read_us();
                self.rounds += 1;
                self.reader.source().seek(SeekFrom::Start(0))?;
                self.reader.restart()?;
                let nothing = FileError::CutShort { what: "an empty file" };
                self.reader.next_item()?.ok_or(nothing)?
            }
        };
        item.delay_by(self.base_us);
        Ok(item)
    }
}
