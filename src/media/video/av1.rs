//! AV1 in RTP (RTP Payload Format For AV1, version 1.0).

use bytes::Bytes;

use super::bits::{Reader, put_leb128};

pub(super) const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;
const EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;

/// An OBU of a bitstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Obu<'a> {
    header: u8,
    extension: Option<u8>,
    body: &'a [u8],
}

/// The bytes are no sequence of OBUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotObus;

impl<'a> Obu<'a> {
    pub(super) const fn body(&self) -> &'a [u8] {
        self.body
    }

    pub(super) const fn kind(&self) -> u8 {
        self.header >> 3 & 0x0f
    }

    /// As an element of a payload: without its size, which the payload gives.
    fn element(&self) -> Vec<u8> {
        let mut element = vec![self.header & !HAS_SIZE];
        element.extend(self.extension);
        element.extend_from_slice(self.body);
        element
    }
}

/// Whether this can be a temporal unit: what is first has a type, and 0 is kept for later (section 6.2.2 of the
/// specification). Without a size it would be all that follows, whatever that is.
pub(super) fn is_unit(data: &[u8]) -> bool {
    data.first().is_some_and(|first| first >> 3 & 0x0f != 0)
}

/// The OBUs of a temporal unit in the low-overhead format (AV1 specification section 5.2).
pub(super) fn obus(data: &[u8]) -> Result<Vec<Obu<'_>>, NotObus> {
    let mut reader = Reader::new(data);
    let mut obus = Vec::new();
    while !reader.is_empty() {
        obus.push(read_obu(&mut reader).ok_or(NotObus)?);
    }
    Ok(obus)
}

fn read_obu<'a>(reader: &mut Reader<'a>) -> Option<Obu<'a>> {
    let header = reader.byte()?;
    if header & 0x80 != 0 {
        return None;
    }
    let extension = if header & EXTENSION == 0 { None } else { Some(reader.byte()?) };
    let size = match header & HAS_SIZE {
        0 => reader.rest().len(),
        _ => reader.leb128()?,
    };
    Some(Obu { header, extension, body: reader.take(size)? })
}

/// Payloads of a temporal unit. Each element carries its length (W = 0).
pub(super) fn packetise(
    data: &[u8],
    key_frame: bool,
    max_payload: usize,
) -> Result<Vec<Bytes>, NotObus> {
    let dropped = |obu: &Obu<'_>| matches!(obu.kind(), TEMPORAL_DELIMITER | TILE_LIST | PADDING);
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    let mut open = Vec::from([0_u8]);
    for obu in obus(data)?.iter().filter(|obu| !dropped(obu)) {
        let element = obu.element();
        let mut rest = &element[..];
        while !rest.is_empty() {
            // Two bytes are enough for the length of what fits a payload.
            let room = max_payload.saturating_sub(open.len() + 2);
            if room == 0 || (rest.len() > room && open.len() > 1 && room < 64) {
                payloads.push(std::mem::replace(&mut open, vec![0]));
                continue;
            }
            let (part, left) = rest.split_at(rest.len().min(room));
            put_leb128(&mut open, part.len());
            open.extend_from_slice(part);
            rest = left;
            if !rest.is_empty() {
                // Y here, Z there: the element goes on.
                open[0] |= 0x40;
                payloads.push(std::mem::replace(&mut open, vec![0x80]));
            } else if open.len() + 2 >= max_payload {
                payloads.push(std::mem::replace(&mut open, vec![0]));
            }
        }
    }
    if open.len() > 1 {
        payloads.push(open);
    }
    if let Some(first) = payloads.first_mut().filter(|_| key_frame) {
        // N: a coded video sequence begins.
        first[0] |= 0x08;
    }
    Ok(payloads.into_iter().map(Bytes::from).collect())
}

/// Whether a payload begins with the rest of an element.
pub(super) fn continues(payload: &[u8]) -> bool {
    payload.first().is_some_and(|head| head & 0x80 != 0)
}

/// Whether a coded video sequence begins with this payload.
pub(super) fn begins_sequence(payload: &[u8]) -> bool {
    payload.first().is_some_and(|head| head & 0x88 == 0x08)
}

/// The elements of a payload.
fn elements(payload: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = Reader::new(payload);
    let count = usize::from(reader.byte()? >> 4 & 3);
    let mut elements = Vec::new();
    while !reader.is_empty() {
        let last = count > 0 && elements.len() + 1 == count;
        let length = if last { reader.rest().len() } else { reader.leb128()? };
        elements.push(reader.take(length)?);
    }
    (count == 0 || elements.len() == count).then_some(elements)
}

/// The temporal unit of payloads in order; each OBU with its size. `None` if they do not make one.
pub(super) fn reassemble<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    for payload in payloads {
        if continues(payload) != open.is_some() {
            return None;
        }
        let goes_on = payload.first()? & 0x40 != 0;
        let elements = elements(payload)?;
        let last = elements.len().checked_sub(1)?;
        for (n, element) in elements.into_iter().enumerate() {
            let mut whole = open.take().unwrap_or_default();
            whole.extend_from_slice(element);
            if n == last && goes_on {
                open = Some(whole);
            } else {
                put_obu(&mut out, &whole)?;
            }
        }
    }
    (open.is_none() && !out.is_empty()).then_some(out)
}

fn put_obu(out: &mut Vec<u8>, element: &[u8]) -> Option<()> {
    if element.is_empty() {
        return Some(());
    }
    let mut reader = Reader::new(element);
    let obu = read_obu(&mut reader).filter(|_| reader.is_empty())?;
    if matches!(obu.kind(), TEMPORAL_DELIMITER | TILE_LIST) {
        return Some(());
    }
    out.push(obu.header | HAS_SIZE);
    out.extend(obu.extension);
    put_leb128(out, obu.body.len());
    out.extend_from_slice(obu.body);
    Some(())
}
