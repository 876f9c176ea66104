//! Ogg pages (RFC 3533): framed, numbered and checked, with packets across them.

use std::collections::VecDeque;
use std::io::{Read, Write};

use bytes::{Bytes, BytesMut};

use super::{FileError, fill, need, u32_at};

/// Segments of a page: of 255 bytes each, so that a page is below 64 KiB.
const MOST_SEGMENTS: usize = 255;
const HEADER_BYTES: usize = 27;
/// A packet that spans pages is no longer; tags with a picture are the longest.
const MOST_PACKET_BYTES: usize = 4 * 1024 * 1024;

const CONTINUED: u8 = 1;
const FIRST: u8 = 2;
const LAST: u8 = 4;

/// Reads the packets of the first stream of a kind; others in the file are passed over.
#[derive(Debug)]
pub(super) struct OggReader {
    serial: Option<u32>,
    sequence: u32,
    /// A packet that goes on in the next page.
    partial: BytesMut,
    continues: bool,
    ready: VecDeque<Bytes>,
    ended: bool,
}

impl OggReader {
    pub(super) fn new() -> Self {
        Self {
            serial: None,
            sequence: 0,
            partial: BytesMut::new(),
            continues: false,
            ready: VecDeque::new(),
            ended: false,
        }
    }

    /// The next packet of the stream whose first packet begins with `magic`.
    pub(super) fn next(
        &mut self,
        source: &mut impl Read,
        magic: &[u8],
    ) -> Result<Option<Bytes>, FileError> {
        loop {
            if let Some(packet) = self.ready.pop_front() {
                return Ok(Some(packet));
            }
            if self.ended || !self.page(source, magic)? {
                return Ok(None);
            }
        }
    }

    /// Reads a page; whether there was one.
    fn page(&mut self, source: &mut impl Read, magic: &[u8]) -> Result<bool, FileError> {
        let mut header = [0; HEADER_BYTES];
        if !fill(source, &mut header, "a page's header")? {
            return Ok(false);
        }
        if &header[..4] != b"OggS" || header[4] != 0 {
            return Err(if self.serial.is_none() {
                FileError::NotThis { format: "an Ogg file" }
            } else {
                FileError::Damaged { what: "a page does not begin where the last one ends" }
            });
        }
        let (flags, serial, sequence) = (header[5], u32_at(&header, 14), u32_at(&header, 18));
        let mut segments = [0; MOST_SEGMENTS];
        let segments = &mut segments[..usize::from(header[26])];
        need(source, segments, "a page")?;
        let mut body = vec![0; segments.iter().map(|length| usize::from(*length)).sum()];
        need(source, &mut body, "a page")?;
        let claimed = u32_at(&header, 22);
        header[22..26].fill(0);
        // A fuzzer would not get beyond it.
        if !cfg!(fuzzing) && crc(&[&header, segments, &body]) != claimed {
            return Err(FileError::Damaged { what: "the checksum of a page" });
        }
        if flags & FIRST != 0 && self.serial.is_none() && body.starts_with(magic) {
            (self.serial, self.sequence) = (Some(serial), sequence);
        } else if self.serial != Some(serial) {
            return Ok(true);
        } else if sequence != self.sequence.wrapping_add(1) {
            return Err(FileError::Damaged { what: "a page is missing" });
        }
        self.sequence = sequence;
        if (flags & CONTINUED != 0) != self.continues {
            return Err(FileError::Damaged { what: "a packet across pages" });
        }
        self.split(segments, &body, flags & LAST != 0)?;
        Ok(true)
    }

    fn split(&mut self, segments: &[u8], mut body: &[u8], last: bool) -> Result<(), FileError> {
        for length in segments {
            let (part, rest) = body.split_at(usize::from(*length));
            body = rest;
            self.partial.extend_from_slice(part);
            if self.partial.len() > MOST_PACKET_BYTES {
                let bytes = self.partial.len() as u64;
                return Err(FileError::TooBig { what: "a packet", bytes, most: MOST_PACKET_BYTES });
            }
            if usize::from(*length) < MOST_SEGMENTS {
                self.ready.push_back(self.partial.split().freeze());
                self.continues = false;
            } else {
                self.continues = true;
            }
        }
        self.ended = last;
        Ok(())
    }
}

/// Writes packets of one stream.
#[derive(Debug)]
pub(super) struct OggWriter {
    serial: u32,
    sequence: u32,
    segments: Vec<u8>,
    body: Vec<u8>,
    granule: u64,
}

impl OggWriter {
    pub(super) const fn new(serial: u32) -> Self {
        Self { serial, sequence: 0, segments: Vec::new(), body: Vec::new(), granule: 0 }
    }

    /// Adds a packet that ends at a granule position, and writes the page before it if there is no room.
    pub(super) fn packet(
        &mut self,
        sink: &mut impl Write,
        packet: &[u8],
        granule: u64,
    ) -> Result<(), FileError> {
        let segments = packet.len() / MOST_SEGMENTS + 1;
        if segments > MOST_SEGMENTS {
            let bytes = packet.len() as u64;
            let most = MOST_SEGMENTS * MOST_SEGMENTS - 1;
            return Err(FileError::TooBig { what: "a packet", bytes, most });
        }
        if self.segments.len() + segments > MOST_SEGMENTS {
            self.page(sink, false)?;
        }
        self.segments.resize(self.segments.len() + segments - 1, 255);
        self.segments.push((packet.len() % MOST_SEGMENTS) as u8);
        self.body.extend_from_slice(packet);
        self.granule = granule;
        Ok(())
    }

    /// Segments that wait for their page.
    pub(super) const fn waiting(&self) -> usize {
        self.segments.len()
    }

    /// Writes what waits as a page.
    pub(super) fn page(&mut self, sink: &mut impl Write, last: bool) -> Result<(), FileError> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        let flags = if self.sequence == 0 { FIRST } else { 0 } | if last { LAST } else { 0 };
        header.extend_from_slice(b"OggS\0");
        header.push(flags);
        header.extend_from_slice(&self.granule.to_le_bytes());
        header.extend_from_slice(&self.serial.to_le_bytes());
        header.extend_from_slice(&self.sequence.to_le_bytes());
        header.extend_from_slice(&[0; 4]);
        header.push(self.segments.len() as u8);
        let crc = crc(&[&header, &self.segments, &self.body]);
        header[22..26].copy_from_slice(&crc.to_le_bytes());
        for part in [&header, &self.segments, &self.body] {
            sink.write_all(part)?;
        }
        self.segments.clear();
        self.body.clear();
        self.sequence = self.sequence.wrapping_add(1);
        Ok(())
    }
}

/// The checksum of RFC 3533: polynomial 0x04c11db7, not reflected, from 0.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut value = (n as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            value = (value << 1) ^ if value & 0x8000_0000 != 0 { 0x04c1_1db7 } else { 0 };
            bit += 1;
        }
        table[n] = value;
        n += 1;
    }
    table
};

fn crc(parts: &[&[u8]]) -> u32 {
    parts
        .iter()
        .copied()
        .flatten()
        .fold(0, |crc, byte| (crc << 8) ^ CRC_TABLE[usize::from((crc >> 24) as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_reference_one() {
        // CRC-32 with these parameters, of the usual check string.
        assert_eq!(crc(&[b"1234", b"56789"]), 0x89a1_897f);
    }
}
