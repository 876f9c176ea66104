//! WAV: PCM of 16, 24 or 32 bits or float, read in chunks; written as 16 bits.

use std::io::{Read, Seek, SeekFrom, Write};

use super::looped::{MediaReader, Timed};
use super::{FileError, fill, need, u16_at, u32_at};
use crate::media::audio::PcmFormat;

/// Moments in a chunk: 10 ms.
const CHUNKS_PER_SECOND: u32 = 100;
/// A `fmt ` chunk is never longer.
const MOST_FMT_BYTES: u32 = 1_024;
const HEADER_BYTES: u32 = 44;

/// Kinds of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sample {
    I16,
    I24,
    I32,
    F32,
}

impl Sample {
    const fn bytes(self) -> usize {
        match self {
            Self::I16 => 2,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
        }
    }

    fn read(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::I16, [a, b]) => f32::from(i16::from_le_bytes([*a, *b])) / 32_768.0,
            (Self::I24, [a, b, c]) => whole([0, *a, *b, *c]),
            (Self::I32, [a, b, c, d]) => whole([*a, *b, *c, *d]),
            (Self::F32, [a, b, c, d]) => {
                let sample = f32::from_le_bytes([*a, *b, *c, *d]);
                if sample.is_finite() { sample } else { 0.0 }
            }
            _ => 0.0,
        }
    }
}

fn whole(bytes: [u8; 4]) -> f32 {
    (f64::from(i32::from_le_bytes(bytes)) / 2_147_483_648.0) as f32
}

/// 10 ms of interleaved PCM, less at the end of the file.
///
/// ```
/// use metered_realtime::media::audio::LevelMeter;
/// use metered_realtime::media::files::PcmChunk;
/// let chunk = PcmChunk { timestamp_us: 0, pcm: vec![0.5; 480] };
/// let mut meter = LevelMeter::default();
/// meter.push(&chunk.pcm);
/// assert!((meter.take().peak_dbfs - -6.0).abs() < 0.1);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PcmChunk {
    /// Microseconds from the start.
    pub timestamp_us: u64,
    /// Interleaved samples from -1.0 to 1.0.
    pub pcm: Vec<f32>,
}

impl Timed for PcmChunk {
    fn timestamp_us(&self) -> u64 {
        self.timestamp_us
    }
    fn delay_by(&mut self, us: u64) {
        self.timestamp_us = self.timestamp_us.saturating_add(us);
    }
}

/// Reads WAV.
///
/// ```
/// use metered_realtime::media::audio::PcmFormat;
/// use metered_realtime::media::files::{MediaReader, WavReader, WavWriter};
/// # use std::io::Cursor;
/// # let mut writer = WavWriter::new(Cursor::new(Vec::new()), PcmFormat::new(8_000, 1)?)?;
/// # writer.write(&[0.5; 8_000])?;
/// # let file = writer.finish()?.into_inner();
/// let mut reader = WavReader::new(&file[..])?; // or a `BufReader` of a file
/// assert_eq!(reader.format().rate(), 8_000);
/// while let Some(chunk) = reader.next_item()? {
///     assert_eq!(chunk.pcm.len(), 80); // 10 ms, to `LocalAudioTrack::write_pcm`
/// }
/// assert_eq!(reader.read_us(), 1_000_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct WavReader<R> {
    source: R,
    format: PcmFormat,
    sample: Sample,
    /// Bytes of the data chunk that are left; `None` to the end of the file.
    left: Option<u64>,
    moments: u64,
    ended: bool,
}

impl<R: Read> WavReader<R> {
    /// Reads up to the first sample.
    ///
    /// # Errors
    /// [`FileError`] if it is no WAV file, or of a kind that is not taken.
    pub fn new(mut source: R) -> Result<Self, FileError> {
        let (format, sample, left) = read_header(&mut source)?;
        Ok(Self { source, format, sample, left, moments: 0, ended: false })
    }

    /// Rate and channels.
    pub const fn format(&self) -> PcmFormat {
        self.format
    }

    fn read(&mut self) -> Result<Option<PcmChunk>, FileError> {
        let channels = usize::from(self.format.channels());
        let moment = self.sample.bytes() * channels;
        let wanted = (self.format.rate() / CHUNKS_PER_SECOND) as usize * moment;
        let wanted = self.left.map_or(wanted, |left| wanted.min(left as usize));
        let mut bytes = Vec::with_capacity(wanted);
        (&mut self.source).take(wanted as u64).read_to_end(&mut bytes)?;
        if let Some(left) = &mut self.left {
            if bytes.len() < wanted {
                return Err(FileError::CutShort { what: "the samples" });
            }
            *left -= wanted as u64;
        }
        bytes.truncate(bytes.len() - bytes.len() % moment);
        if bytes.is_empty() {
            return Ok(None);
        }
        let pcm = bytes.chunks_exact(self.sample.bytes()).map(|b| self.sample.read(b)).collect();
        let timestamp_us = self.read_us();
        self.moments += (bytes.len() / moment) as u64;
        Ok(Some(PcmChunk { timestamp_us, pcm }))
    }
}

fn read_header(source: &mut impl Read) -> Result<(PcmFormat, Sample, Option<u64>), FileError> {
    let mut riff = [0; 12];
    need(source, &mut riff, "the file's header")?;
    if &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
        return Err(FileError::NotThis { format: "a WAV file" });
    }
    let mut found = None;
    loop {
        let mut chunk = [0; 8];
        if !fill(source, &mut chunk, "a chunk's header")? {
            return Err(FileError::CutShort { what: "the header: there are no samples" });
        }
        let bytes = u32_at(&chunk, 4);
        match (&chunk[..4], found) {
            (b"data", Some((format, sample))) => {
                // A length of 0 or all ones is a stream whose writer did not know.
                let left = (bytes != 0 && bytes != u32::MAX).then_some(u64::from(bytes));
                return Ok((format, sample, left));
            }
            (b"data", None) => {
                return Err(FileError::Damaged { what: "samples before their format" });
            }
            (b"fmt ", _) => found = Some(read_fmt(source, bytes)?),
            _ => {
                let skipped = u64::from(bytes) + u64::from(bytes & 1);
                let there = std::io::copy(&mut source.take(skipped), &mut std::io::sink())?;
                if there < skipped {
                    return Err(FileError::CutShort { what: "a chunk" });
                }
            }
        }
    }
}

fn read_fmt(source: &mut impl Read, bytes: u32) -> Result<(PcmFormat, Sample), FileError> {
    if !(16..=MOST_FMT_BYTES).contains(&bytes) {
        return Err(FileError::Damaged { what: "the length of the format" });
    }
    let mut fmt = vec![0; (bytes + (bytes & 1)) as usize];
    need(source, &mut fmt, "the format")?;
    // The extensible form keeps the tag at the start of its GUID.
    let tag = match u16_at(&fmt, 0) {
        0xfffe if bytes >= 26 => u16_at(&fmt, 24),
        tag => tag,
    };
    let (channels, rate, bits) = (u16_at(&fmt, 2), u32_at(&fmt, 4), u16_at(&fmt, 14));
    let sample = match (tag, bits) {
        (1, 16) => Sample::I16,
        (1, 24) => Sample::I24,
        (1, 32) => Sample::I32,
        (3, 32) => Sample::F32,
        _ => {
            let what = format!("WAV with the format {tag} and {bits} bits");
            return Err(FileError::Unsupported { what });
        }
    };
    let format = u8::try_from(channels).ok().and_then(|n| PcmFormat::new(rate, n).ok());
    let format = format.ok_or_else(|| FileError::Unsupported {
        what: format!("WAV of {rate} Hz with {channels} channels"),
    })?;
    Ok((format, sample))
}

impl<R: Read> MediaReader for WavReader<R> {
    type Item = PcmChunk;
    type Source = R;

    fn next_item(&mut self) -> Result<Option<PcmChunk>, FileError> {
        if self.ended {
            return Ok(None);
        }
        let item = self.read();
        self.ended = !matches!(item, Ok(Some(_)));
        item
    }

    fn read_us(&self) -> u64 {
        self.moments.saturating_mul(1_000_000) / u64::from(self.format.rate())
    }

    fn source(&mut self) -> &mut R {
        &mut self.source
    }

    fn restart(&mut self) -> Result<(), FileError> {
        (self.format, self.sample, self.left) = read_header(&mut self.source)?;
        (self.moments, self.ended) = (0, false);
        Ok(())
    }
}

/// Writes WAV of 16 bits.
///
/// ```
/// use std::io::Cursor;
/// use metered_realtime::media::audio::PcmFormat;
/// use metered_realtime::media::files::{MediaReader, WavReader, WavWriter};
/// let mut writer = WavWriter::new(Cursor::new(Vec::new()), PcmFormat::new(16_000, 1)?)?;
/// writer.write(&[0.5; 240])?;
/// let file = writer.finish()?.into_inner();
/// let mut reader = WavReader::new(&file[..])?;
/// assert_eq!(reader.next_item()?.unwrap().pcm, [0.5; 160]); // 10 ms
/// assert_eq!(reader.next_item()?.unwrap().timestamp_us, 10_000);
/// assert_eq!(reader.next_item()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct WavWriter<W> {
    sink: W,
    data_bytes: u64,
    buffer: Vec<u8>,
}

impl<W: Write> WavWriter<W> {
    /// Writes the file's header, with lengths that mean "to the end" until [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn new(mut sink: W, format: PcmFormat) -> Result<Self, FileError> {
        let (rate, channels) = (format.rate(), u16::from(format.channels()));
        let mut header = Vec::with_capacity(HEADER_BYTES as usize);
        header.extend_from_slice(b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0");
        header.extend_from_slice(&channels.to_le_bytes());
        header.extend_from_slice(&rate.to_le_bytes());
        header.extend_from_slice(&(rate * u32::from(channels) * 2).to_le_bytes());
        header.extend_from_slice(&(channels * 2).to_le_bytes());
        header.extend_from_slice(b"\x10\0data\xff\xff\xff\xff");
        sink.write_all(&header)?;
        Ok(Self { sink, data_bytes: 0, buffer: Vec::new() })
    }

    /// Writes interleaved PCM; what is beyond full scale is cut.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn write(&mut self, pcm: &[f32]) -> Result<(), FileError> {
        self.buffer.clear();
        let samples = pcm.iter().map(|sample| (sample * 32_768.0).round() as i16);
        self.buffer.extend(samples.flat_map(i16::to_le_bytes));
        self.sink.write_all(&self.buffer)?;
        self.data_bytes += self.buffer.len() as u64;
        Ok(())
    }
}

impl<W: Write + Seek> WavWriter<W> {
    /// Writes the lengths into the header; without it the file can still be read.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn finish(mut self) -> Result<W, FileError> {
        // Beyond 4 GiB the lengths keep meaning "to the end".
        if let Ok(data) = u32::try_from(self.data_bytes)
            && let Some(riff) = data.checked_add(HEADER_BYTES - 8)
        {
            for (at, length) in [(4, riff), (40, data)] {
                self.sink.seek(SeekFrom::Start(at))?;
                self.sink.write_all(&length.to_le_bytes())?;
            }
        }
        self.sink.seek(SeekFrom::End(0))?;
        self.sink.flush()?;
        Ok(self.sink)
    }
}
