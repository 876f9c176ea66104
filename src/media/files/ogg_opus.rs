//! Opus in Ogg (RFC 7845): a header, tags, packets with their place in time.

use std::io::{Read, Write};

use bytes::Bytes;

use super::looped::{MediaReader, Timed};
use super::ogg::{OggReader, OggWriter};
use super::{FileError, u16_at, u32_at};
use crate::media::audio::{OPUS_CLOCK_HZ, OpusPacketInfo};

const HEAD: &[u8] = b"OpusHead";
const TAGS: &[u8] = b"OpusTags";
/// A page a second: what is lost when a recording is cut.
const PACKETS_PER_PAGE: usize = 50;
/// All files have one stream; a number of its own would only matter when they are chained.
const SERIAL: u32 = 1;

/// What the file says of itself.
///
/// ```
/// use metered_realtime::media::audio::OPUS_CLOCK_HZ;
/// use metered_realtime::media::files::OggOpusHead;
/// let head = OggOpusHead { channels: 1, pre_skip: 312, input_rate: 16_000 };
/// let skipped_ms = f64::from(head.pre_skip) * 1_000.0 / f64::from(OPUS_CLOCK_HZ);
/// assert_eq!(skipped_ms, 6.5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OggOpusHead {
    /// One or two.
    pub channels: u8,
    /// Samples at 48 kHz that a player leaves out at the start: the encoder's lookahead.
    pub pre_skip: u16,
    /// The rate of the sound before it was encoded, for information; 0 if unknown.
    pub input_rate: u32,
}

/// A packet.
///
/// ```
/// use metered_realtime::media::LocalAudioTrack;
/// use metered_realtime::media::files::OggOpusPacket;
/// /// A packet of a file, to the remotes; not before its time.
/// fn send(track: &LocalAudioTrack, packet: &OggOpusPacket) {
///     let begins = packet.timestamp_us == 0;
///     track.write(packet.data.clone(), packet.timestamp_us, begins).expect("the reader checked it");
/// }
/// let data = vec![0x78, 1, 2, 3].into();
/// send(&LocalAudioTrack::default(), &OggOpusPacket { timestamp_us: 0, samples: 960, data });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OggOpusPacket {
    /// Microseconds from the start of the file's first packet.
    pub timestamp_us: u64,
    /// Samples at 48 kHz.
    pub samples: u32,
    /// The packet itself.
    pub data: Bytes,
}

impl Timed for OggOpusPacket {
    fn timestamp_us(&self) -> u64 {
        self.timestamp_us
    }
    fn delay_by(&mut self, us: u64) {
        self.timestamp_us = self.timestamp_us.saturating_add(us);
    }
}

/// Reads the first Opus stream of an Ogg file.
///
/// ```
/// use metered_realtime::media::files::{MediaReader, OggOpusHead, OggOpusReader, OggOpusWriter};
/// # let mut writer = OggOpusWriter::new(Vec::new(), OggOpusHead { channels: 2, pre_skip: 312, input_rate: 0 })?;
/// # writer.write(&[0x78, 1, 2, 3])?;
/// # let file = writer.finish()?;
/// let mut reader = OggOpusReader::new(&file[..])?; // or a `BufReader` of a file
/// assert_eq!(reader.head().channels, 2);
/// while let Some(packet) = reader.next_item()? {
///     assert_eq!(packet.samples, 960);
/// }
/// # Ok::<(), metered_realtime::media::files::FileError>(())
/// ```
#[derive(Debug)]
pub struct OggOpusReader<R> {
    source: R,
    pages: OggReader,
    head: OggOpusHead,
    samples: u64,
    ended: bool,
}

impl<R: Read> OggOpusReader<R> {
    /// Reads header and tags.
    ///
    /// # Errors
    /// [`FileError`] if it is no Ogg file, or has no Opus stream of one or two channels.
    pub fn new(mut source: R) -> Result<Self, FileError> {
        let (pages, head) = read_head(&mut source)?;
        Ok(Self { source, pages, head, samples: 0, ended: false })
    }

    /// What the file says of itself.
    pub const fn head(&self) -> OggOpusHead {
        self.head
    }

    fn read(&mut self) -> Result<Option<OggOpusPacket>, FileError> {
        let Some(packet) = self.pages.next(&mut self.source, HEAD)? else { return Ok(None) };
        let info = OpusPacketInfo::of(&packet)
            .map_err(|_| FileError::Damaged { what: "a packet that is not Opus" })?;
        let timestamp_us = self.read_us();
        self.samples += u64::from(info.samples);
        Ok(Some(OggOpusPacket { timestamp_us, samples: info.samples, data: packet }))
    }
}

fn read_head(source: &mut impl Read) -> Result<(OggReader, OggOpusHead), FileError> {
    let mut pages = OggReader::new();
    let head = pages.next(source, HEAD)?;
    let head = head.ok_or(FileError::NotThis { format: "Opus in Ogg" })?;
    if head.len() < 19 {
        return Err(FileError::Damaged { what: "the length of the Opus header" });
    }
    let (version, channels, family) = (head[8], head[9], head[18]);
    if version >> 4 != 0 || !(1..=2).contains(&channels) || family > 1 {
        let what = format!("Opus of version {version} with {channels} channels, family {family}");
        return Err(FileError::Unsupported { what });
    }
    let tags = pages.next(source, HEAD)?.ok_or(FileError::CutShort { what: "the tags" })?;
    if !tags.starts_with(TAGS) {
        return Err(FileError::Damaged { what: "the tags" });
    }
    let (pre_skip, input_rate) = (u16_at(&head, 10), u32_at(&head, 12));
    Ok((pages, OggOpusHead { channels, pre_skip, input_rate }))
}

impl<R: Read> MediaReader for OggOpusReader<R> {
    type Item = OggOpusPacket;
    type Source = R;

    fn next_item(&mut self) -> Result<Option<OggOpusPacket>, FileError> {
        if self.ended {
            return Ok(None);
        }
        let item = self.read();
        self.ended = !matches!(item, Ok(Some(_)));
        item
    }

    fn read_us(&self) -> u64 {
        self.samples.saturating_mul(1_000_000) / u64::from(OPUS_CLOCK_HZ)
    }

    fn source(&mut self) -> &mut R {
        &mut self.source
    }

    fn restart(&mut self) -> Result<(), FileError> {
        (self.pages, self.head) = read_head(&mut self.source)?;
        (self.samples, self.ended) = (0, false);
        Ok(())
    }
}

/// Writes Opus in Ogg.
///
/// ```
/// use metered_realtime::media::files::{MediaReader, OggOpusHead, OggOpusReader, OggOpusWriter};
/// let head = OggOpusHead { channels: 1, pre_skip: 312, input_rate: 48_000 };
/// let mut writer = OggOpusWriter::new(Vec::new(), head)?;
/// writer.write(&[0x78, 1, 2, 3])?;
/// writer.write(&[0x78, 4, 5, 6])?;
/// let file = writer.finish()?;
/// let mut reader = OggOpusReader::new(&file[..])?;
/// assert_eq!(reader.head(), head);
/// assert_eq!(reader.next_item()?.unwrap().samples, 960);
/// assert_eq!(reader.next_item()?.unwrap().timestamp_us, 20_000);
/// assert_eq!(reader.next_item()?, None);
/// # Ok::<(), metered_realtime::media::files::FileError>(())
/// ```
#[derive(Debug)]
pub struct OggOpusWriter<W> {
    sink: W,
    pages: OggWriter,
    /// Where the last packet ended, in samples at 48 kHz.
    granule: u64,
}

impl<W: Write> OggOpusWriter<W> {
    /// Writes header and tags.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] for other than one or two channels, [`FileError::Io`].
    pub fn new(mut sink: W, head: OggOpusHead) -> Result<Self, FileError> {
        if !(1..=2).contains(&head.channels) {
            let what = format!("Opus with {} channels", head.channels);
            return Err(FileError::Unsupported { what });
        }
        let mut pages = OggWriter::new(SERIAL);
        let mut packet = HEAD.to_vec();
        packet.extend_from_slice(&[1, head.channels]);
        packet.extend_from_slice(&head.pre_skip.to_le_bytes());
        packet.extend_from_slice(&head.input_rate.to_le_bytes());
        packet.extend_from_slice(&[0; 3]); // no gain, mapping family 0
        pages.packet(&mut sink, &packet, 0)?;
        pages.page(&mut sink, false)?;
        let vendor = concat!("metered-realtime ", env!("CARGO_PKG_VERSION"));
        let mut packet = TAGS.to_vec();
        packet.extend_from_slice(&(vendor.len() as u32).to_le_bytes());
        packet.extend_from_slice(vendor.as_bytes());
        packet.extend_from_slice(&[0; 4]); // no comments
        pages.packet(&mut sink, &packet, 0)?;
        pages.page(&mut sink, false)?;
        Ok(Self { sink, pages, granule: 0 })
    }

    /// Writes a packet behind the last one. For a packet that was lost, write a pause of the same length.
    ///
    /// # Errors
    /// [`FileError::Damaged`] if it is not Opus, [`FileError::Io`].
    pub fn write(&mut self, packet: &[u8]) -> Result<(), FileError> {
        let info = OpusPacketInfo::of(packet)
            .map_err(|_| FileError::Damaged { what: "a packet that is not Opus" })?;
        // The last page is written by the end, so that there is always one for its flag.
        if self.pages.waiting() >= PACKETS_PER_PAGE {
            self.pages.page(&mut self.sink, false)?;
        }
        self.granule += u64::from(info.samples);
        self.pages.packet(&mut self.sink, packet, self.granule)
    }

    /// Ends the stream and hands the sink back, flushed.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn finish(mut self) -> Result<W, FileError> {
        self.pages.page(&mut self.sink, true)?;
        self.sink.flush()?;
        Ok(self.sink)
    }
}
