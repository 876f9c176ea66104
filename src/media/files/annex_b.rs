//! H.264 in Annex B: NAL units behind start codes, gathered to access units.
//!
//! The format has no times; they follow from the frame rate that the caller knows, in the order of the file. So
//! B pictures, which are shown before pictures that are stored earlier, are refused.

use std::io::{Read, Write};

use bytes::{Buf, Bytes, BytesMut};

use super::looped::MediaReader;
use super::{FileError, MAX_FRAME_BYTES};
use crate::media::video::{AccessUnit, Rotation, VideoCodec, h264_is_b_slice};

/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;
const START_CODE: [u8; 4] = [0, 0, 0, 1];

const SLICE: u8 = 1;
const IDR: u8 = 5;
const SEI: u8 = 6;
const DELIMITER: u8 = 9;

/// Reads Annex B. A B picture is [`FileError::Unsupported`].
///
/// ```
/// use metered_realtime::media::files::{AnnexBReader, MediaReader};
/// let file = [0, 0, 0, 1, 0x65, 0x88, 1, 0, 0, 1, 0x41, 0x9a, 2]; // an IDR picture and another
/// let mut reader = AnnexBReader::new(&file[..], 25, 1)?;
/// let first = reader.next_item()?.unwrap();
/// assert!(first.key_frame && first.data.len() == 7);
/// let second = reader.next_item()?.unwrap();
/// assert_eq!((second.timestamp_us, second.key_frame), (40_000, false));
/// assert!(reader.next_item()?.is_none());
/// # Ok::<(), metered_realtime::media::files::FileError>(())
/// ```
#[derive(Debug)]
pub struct AnnexBReader<R> {
    source: R,
    rate: u32,
    scale: u32,
    /// Read and not yet taken; begins with a start code once there is one.
    buffer: BytesMut,
    /// Where the search for the next start code goes on.
    searched: usize,
    /// The unit that is being gathered.
    unit: BytesMut,
    has_slice: bool,
    key_frame: bool,
    units: u64,
    /// Zeros that were passed over since the last NAL unit.
    zeros: usize,
    /// The first start code was seen.
    started: bool,
    /// The source has no more.
    drained: bool,
    ended: bool,
}

impl<R: Read> AnnexBReader<R> {
    /// Reads at `rate` pictures in `scale` seconds.
    ///
    /// # Errors
    /// [`FileError::Damaged`] for a rate or scale of zero.
    pub fn new(source: R, rate: u32, scale: u32) -> Result<Self, FileError> {
        if rate == 0 || scale == 0 {
            return Err(FileError::Damaged { what: "the frame rate is zero" });
        }
        Ok(Self {
            source,
            rate,
            scale,
            buffer: BytesMut::new(),
            searched: 0,
            unit: BytesMut::new(),
            has_slice: false,
            key_frame: false,
            units: 0,
            zeros: 0,
            started: false,
            drained: false,
            ended: false,
        })
    }

    fn time_of(&self, units: u64) -> u64 {
        let us = u128::from(units) * 1_000_000 * u128::from(self.scale) / u128::from(self.rate);
        u64::try_from(us).unwrap_or(u64::MAX)
    }

    fn read(&mut self) -> Result<Option<AccessUnit>, FileError> {
        while let Some(nal) = self.next_nal()? {
            if h264_is_b_slice(&nal) {
                let what = "H.264 with B pictures, whose order Annex B has no times for,".into();
                return Err(FileError::Unsupported { what });
            }
            let unit = self.begins_picture(&nal).then(|| self.take_unit()).flatten();
            let kind = nal[0] & 0b1_1111;
            self.has_slice |= (SLICE..=IDR).contains(&kind);
            self.key_frame |= kind == IDR;
            if self.unit.len() + nal.len() > MAX_FRAME_BYTES {
                let bytes = (self.unit.len() + nal.len()) as u64;
                return Err(FileError::TooBig { what: "a picture", bytes, most: MAX_FRAME_BYTES });
            }
            self.unit.extend_from_slice(&START_CODE);
            self.unit.extend_from_slice(&nal);
            if unit.is_some() {
                return Ok(unit);
            }
        }
        Ok(self.take_unit())
    }

    /// Whether a NAL unit is the first of the next picture (H.264 section 7.4.1.2.3).
    fn begins_picture(&self, nal: &[u8]) -> bool {
        if !self.has_slice {
            return false;
        }
        match nal[0] & 0b1_1111 {
            // The first macroblock is number 0: written as a single bit.
            SLICE..=IDR => nal.get(1).is_some_and(|byte| byte & 0x80 != 0),
            kind => (SEI..=DELIMITER).contains(&kind) || (14..=18).contains(&kind),
        }
    }

    fn take_unit(&mut self) -> Option<AccessUnit> {
        let data = self.unit.split().freeze();
        let key_frame = std::mem::take(&mut self.key_frame);
        // Parameter sets behind the last picture belong to none.
        if !std::mem::take(&mut self.has_slice) {
            return None;
        }
        let timestamp_us = self.time_of(self.units);
        self.units += 1;
        let (codec, rotation) = (VideoCodec::H264, Rotation::None);
        Some(AccessUnit { codec, data, timestamp_us, key_frame, rotation })
    }

    /// The next NAL unit without its start code and trailing zeros; never empty.
    fn next_nal(&mut self) -> Result<Option<Bytes>, FileError> {
        loop {
            let Some(end) = self.end_of_nal()? else { return Ok(None) };
            let mut nal = self.buffer.split_to(end).freeze();
            (self.searched, self.zeros) = (0, 0);
            let zeros = nal.iter().take_while(|byte| **byte == 0).count();
            nal.advance((zeros + 1).min(nal.len()));
            let trailing = nal.iter().rev().take_while(|byte| **byte == 0).count();
            nal.truncate(nal.len() - trailing);
            if !nal.is_empty() {
                return Ok(Some(nal));
            }
        }
    }

    /// Where the buffer's first NAL unit ends: before the next start code, or with the file.
    fn end_of_nal(&mut self) -> Result<Option<usize>, FileError> {
        loop {
            // The buffer's own start code has up to three bytes before its one.
            let own = self.buffer.iter().take_while(|byte| **byte == 0).count() + 1;
            let from = self.searched.max(own);
            if let Some(found) = self.buffer.get(from..).and_then(find_start_code) {
                return Ok(Some(from + found));
            }
            self.searched = self.buffer.len().saturating_sub(2).max(own);
            if self.drained {
                return Ok((!self.buffer.is_empty()).then_some(self.buffer.len()));
            }
            if self.buffer.len() > MAX_FRAME_BYTES {
                let bytes = self.buffer.len() as u64;
                return Err(FileError::TooBig { what: "a NAL unit", bytes, most: MAX_FRAME_BYTES });
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), FileError> {
        let before = self.buffer.len();
        self.buffer.resize(before + CHUNK, 0);
        let read = loop {
            match self.source.read(&mut self.buffer[before..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        self.drained = read? == 0;
        let zeros = self.buffer.iter().take_while(|byte| **byte == 0).count();
        // Any number of zeros may stand before a start code, and three of them say all.
        let surplus = zeros.saturating_sub(3);
        self.buffer.advance(surplus);
        self.zeros += surplus;
        if self.zeros > MAX_FRAME_BYTES {
            return Err(FileError::Damaged { what: "zeros without end" });
        }
        if !self.started
            && let Some(byte) = self.buffer.get(zeros - surplus)
        {
            if zeros < 2 || *byte != 1 {
                return Err(FileError::NotThis { format: "H.264 in Annex B" });
            }
            self.started = true;
        }
        Ok(())
    }
}

/// The place of three bytes 0, 0, 1.
fn find_start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

impl<R: Read> MediaReader for AnnexBReader<R> {
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
        self.time_of(self.units)
    }

    fn source(&mut self) -> &mut R {
        &mut self.source
    }

    fn restart(&mut self) -> Result<(), FileError> {
        self.buffer.clear();
        self.unit.clear();
        (self.searched, self.zeros, self.units) = (0, 0, 0);
        (self.has_slice, self.key_frame) = (false, false);
        (self.started, self.drained, self.ended) = (false, false, false);
        Ok(())
    }
}

/// Writes Annex B: access units that already have their start codes.
///
/// ```
/// use metered_realtime::media::files::AnnexBWriter;
/// let mut writer = AnnexBWriter::new(Vec::new());
/// writer.write(&[0, 0, 0, 1, 0x65, 0x88])?;
/// assert!(writer.write(&[0x65, 0x88]).is_err());
/// assert_eq!(writer.finish()?.len(), 6);
/// # Ok::<(), metered_realtime::media::files::FileError>(())
/// ```
#[derive(Debug)]
pub struct AnnexBWriter<W> {
    sink: W,
}

impl<W: Write> AnnexBWriter<W> {
    /// Writes to a sink.
    pub const fn new(sink: W) -> Self {
        Self { sink }
    }

    /// Writes an access unit.
    ///
    /// # Errors
    /// [`FileError::NotThis`] if it does not begin with a start code, [`FileError::Io`].
    pub fn write(&mut self, unit: &[u8]) -> Result<(), FileError> {
        if !unit.starts_with(&START_CODE) && !unit.starts_with(&START_CODE[1..]) {
            return Err(FileError::NotThis { format: "H.264 in Annex B" });
        }
        Ok(self.sink.write_all(unit)?)
    }

    /// Hands the sink back, flushed.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn finish(mut self) -> Result<W, FileError> {
        self.sink.flush()?;
        Ok(self.sink)
    }
}
