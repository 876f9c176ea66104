//! Media in files, for those without camera and microphone: IVF (VP8, VP9, AV1), H.264 in Annex B, Ogg
//! Opus and WAV, read and written as a stream.
//!
//! A reader holds one frame at a time, never the file, and never trusts a length: what is too long, cut
//! short or damaged is a [`FileError`]. Pictures are [`AccessUnit`](super::AccessUnit)s. Times are
//! microseconds from the file's start. Any [`MediaReader`] can be [`Looped`]. Opening files is the caller's:
//! everything here takes [`Read`](std::io::Read) and [`Write`](std::io::Write).

mod annex_b;
mod error;
mod ivf;
mod looped;
mod ogg;
mod ogg_opus;
mod wav;

pub use annex_b::{AnnexBReader, AnnexBWriter};
pub use error::FileError;
pub use ivf::{IvfHeader, IvfReader, IvfWriter};
pub use looped::{Looped, MediaReader, Timed};
pub use ogg_opus::{OggOpusHead, OggOpusPacket, OggOpusReader, OggOpusWriter};
pub use wav::{PcmChunk, WavReader, WavWriter};

/// Bytes of one video frame that are read at most: ten times a key frame of 4K.
///
/// ```
/// use metered_realtime::media::VideoCodec;
/// use metered_realtime::media::files::{FileError, IvfHeader, IvfWriter, MAX_FRAME_BYTES};
/// use std::io::Cursor;
/// let header = IvfHeader { codec: VideoCodec::Vp8, width: 64, height: 48, rate: 25, scale: 1 };
/// let mut writer = IvfWriter::new(Cursor::new(Vec::new()), header)?;
/// let error = writer.write(0, &vec![0; MAX_FRAME_BYTES + 1]).unwrap_err();
/// assert!(matches!(error, FileError::TooBig { most: MAX_FRAME_BYTES, .. }));
/// # Ok::<(), FileError>(())
/// ```
pub const MAX_FRAME_BYTES: usize = 8 * 1024 * 1024;

/// Fills a buffer; whether there was anything at all. Cut short in the middle is an error.
fn fill(
    source: &mut impl std::io::Read,
    buffer: &mut [u8],
    what: &'static str,
) -> Result<bool, FileError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(FileError::CutShort { what }),
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Fills a buffer, which must be there.
fn need(
    source: &mut impl std::io::Read,
    buffer: &mut [u8],
    what: &'static str,
) -> Result<(), FileError> {
    if buffer.is_empty() || fill(source, buffer, what)? {
        Ok(())
    } else {
        Err(FileError::CutShort { what })
    }
}

/// Reads a payload whose length was told, growing with what is there and not with what was claimed.
fn payload(
    source: &mut impl std::io::Read,
    bytes: usize,
    what: &'static str,
) -> Result<Vec<u8>, FileError> {
    use std::io::Read;
    let mut data = Vec::with_capacity(bytes.min(64 * 1024));
    source.take(bytes as u64).read_to_end(&mut data)?;
    if data.len() < bytes { Err(FileError::CutShort { what }) } else { Ok(data) }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

/// Bytes of a header whose length was checked; zeros beyond its end.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    if let Some(found) = bytes.get(at..at + N) {
        array.copy_from_slice(found);
    }
    array
}

#[cfg(test)]
mod tests;
