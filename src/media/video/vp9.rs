//! VP9 in RTP (RFC 9628).

use bytes::Bytes;

use super::bits::Reader;

/// Reads the uncompressed header's first bits (VP9 bitstream specification section 6.2).
pub(super) fn is_key_frame(data: &[u8]) -> bool {
    let Some(first) = data.first() else { return false };
    if first >> 6 != 2 {
        return false;
    }
    // Profile 3 has a reserved bit before show_existing_frame.
    let profile = (first >> 5 & 1) | (first >> 4 & 1) << 1;
    let shift = if profile == 3 { 2 } else { 3 };
    let (existing, inter) = (first >> shift & 1, first >> (shift - 1) & 1);
    existing == 0 && inter == 0
}

/// Whether this can be a frame: it begins with the frame marker (section 6.2 there).
pub(super) fn is_frame(data: &[u8]) -> bool {
    data.first().is_some_and(|first| first >> 6 == 2)
}

/// What a payload descriptor says.
#[derive(Debug)]
pub(super) struct Descriptor<'a> {
    /// Whether the picture's lowest layer begins here.
    pub(super) begins: bool,
    /// Whether it refers to no earlier picture.
    pub(super) intra: bool,
    pub(super) data: &'a [u8],
}

/// Reads a payload (RFC 9628 section 4.2); `None` if it is none.
pub(super) fn read(payload: &[u8]) -> Option<Descriptor<'_>> {
    let mut reader = Reader::new(payload);
    let first = reader.byte()?;
    let has = |bit: u8| first & bit != 0;
    let (picture_id, inter, layers, flexible) = (has(0x80), has(0x40), has(0x20), has(0x10));
    if picture_id && reader.byte()? & 0x80 != 0 {
        reader.skip(1)?;
    }
    let mut spatial_layer = 0;
    if layers {
        spatial_layer = reader.byte()? >> 1 & 7;
        if !flexible {
            reader.skip(1)?;
        }
    }
    if flexible && inter {
        // Up to three references; the last bit of each says whether another follows.
        for _ in 0..3 {
            if reader.byte()? & 1 == 0 {
                break;
            }
        }
    }
    if has(0x02) {
        skip_scalability(&mut reader)?;
    }
    let begins = has(0x08) && spatial_layer == 0;
    let data = reader.rest();
    (!data.is_empty()).then_some(Descriptor { begins, intra: !inter, data })
}

/// The scalability structure (RFC 9628 section 4.2.1).
fn skip_scalability(reader: &mut Reader<'_>) -> Option<()> {
    let head = reader.byte()?;
    if head & 0x10 != 0 {
        reader.skip(4 * (usize::from(head >> 5) + 1))?;
    }
    if head & 0x08 != 0 {
        for _ in 0..reader.byte()? {
            let references = reader.byte()? >> 2 & 3;
            reader.skip(usize::from(references))?;
        }
    }
    Some(())
}

/// Payloads of a frame in flexible mode: a delta frame names the picture before it.
pub(super) fn packetise(
    data: &[u8],
    picture_id: u16,
    key_frame: bool,
    max_payload: usize,
) -> Vec<Bytes> {
    const DESCRIPTOR: usize = 4;
    let chunks = data.chunks(max_payload - DESCRIPTOR);
    let last = chunks.len().saturating_sub(1);
    let payload = |(n, chunk): (usize, &[u8])| {
        let [high, low] = picture_id.to_be_bytes();
        let mut first = 0x90;
        first |= if key_frame { 0 } else { 0x40 };
        first |= if n == 0 { 0x08 } else { 0 };
        first |= if n == last { 0x04 } else { 0 };
        let reference: &[u8] = if key_frame { &[] } else { &[1 << 1] };
        [&[first, 0x80 | high, low], reference, chunk].concat().into()
    };
    chunks.enumerate().map(payload).collect()
}
