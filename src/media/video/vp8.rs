//! VP8 in RTP (RFC 7741).

use bytes::Bytes;

use super::bits::Reader;

/// A frame's header (RFC 6386 section 9.1) begins with the inverse key frame flag.
pub(super) fn is_key_frame(data: &[u8]) -> bool {
    data.first().is_some_and(|first| first & 1 == 0) && data.len() > 3
}

/// Whether this can be a frame: what says that it is a key frame has the start code (RFC 6386 section 9.1).
pub(super) fn is_frame(data: &[u8]) -> bool {
    !is_key_frame(data) || data.get(3..6) == Some(&[0x9d, 0x01, 0x2a])
}

/// What a payload descriptor says.
#[derive(Debug)]
pub(super) struct Descriptor<'a> {
    /// Whether the frame begins here.
    pub(super) begins: bool,
    pub(super) data: &'a [u8],
}

/// Reads a payload (RFC 7741 section 4.2); `None` if it is none.
pub(super) fn read(payload: &[u8]) -> Option<Descriptor<'_>> {
    let mut reader = Reader::new(payload);
    let first = reader.byte()?;
    if first & 0x80 != 0 {
        let extension = reader.byte()?;
        if extension & 0x80 != 0 && reader.byte()? & 0x80 != 0 {
            reader.skip(1)?;
        }
        if extension & 0x40 != 0 {
            reader.skip(1)?;
        }
        if extension & 0x30 != 0 {
            reader.skip(1)?;
        }
    }
    let begins = first & 0x10 != 0 && first & 0x07 == 0;
    (!reader.is_empty()).then(|| Descriptor { begins, data: reader.rest() })
}

/// Payloads of a frame, with a picture id of 15 bits.
pub(super) fn packetise(data: &[u8], picture_id: u16, max_payload: usize) -> Vec<Bytes> {
    const DESCRIPTOR: usize = 4;
    let chunks = data.chunks(max_payload - DESCRIPTOR).enumerate();
    let payload = |(n, chunk): (usize, &[u8])| {
        let begins = if n == 0 { 0x10 } else { 0 };
        let [high, low] = picture_id.to_be_bytes();
        [&[0x80 | begins, 0x80, 0x80 | high, low], chunk].concat().into()
    };
    chunks.map(payload).collect()
}
