//! H.264 in RTP (RFC 6184), packetisation mode 1.

use bytes::Bytes;

use super::bits::Reader;

pub(super) const SLICE: u8 = 1;
pub(super) const PARTITION_A: u8 = 2;
pub(super) const IDR: u8 = 5;
pub(super) const SPS: u8 = 7;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// The type of a NAL unit or payload.
pub(super) fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |first| first & 0x1f)
}

/// The NAL units of an access unit, whether Annex B or AVCC with lengths of four bytes.
///
/// Lengths from 256 to 511 look like a start code, so whatever the lengths cover to the last byte is AVCC.
pub(super) fn nal_units(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lengths = avcc(data);
    let codes = if lengths.is_some() { Vec::new() } else { annex_b(data) };
    lengths.unwrap_or(codes).into_iter()
}

fn avcc(data: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = Reader::new(data);
    let mut units = Vec::new();
    while !reader.is_empty() {
        let length = reader.take(4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?);
        let unit = reader.take(usize::try_from(length).ok()?)?;
        // Two bytes is the least; the first bit is always zero (ITU-T H.264 section 7.4.1).
        if unit.len() < 2 || unit[0] & 0x80 != 0 {
            return None;
        }
        units.push(unit);
    }
    (!units.is_empty()).then_some(units)
}

fn annex_b(data: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut begin = None;
    let mut at = 0;
    while at + 3 <= data.len() {
        if data[at..at + 3] == [0, 0, 1] {
            push_unit(&mut units, data, begin, at);
            begin = Some(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    push_unit(&mut units, data, begin, data.len());
    units
}

/// Zeros before a start code belong to no unit (ITU-T H.264 annex B.1).
fn push_unit<'a>(units: &mut Vec<&'a [u8]>, data: &'a [u8], begin: Option<usize>, end: usize) {
    let Some(begin) = begin else { return };
    let unit = &data[begin..end];
    let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if length > 0 {
        units.push(&unit[..length]);
    }
}

/// Payloads of an access unit: small NAL units together, large ones in fragments.
pub(super) fn packetise(data: &[u8], max_payload: usize) -> Vec<Bytes> {
    let mut payloads = Vec::new();
    let mut waiting: Vec<&[u8]> = Vec::new();
    let mut size = 1;
    for nal in nal_units(data).filter(|nal| !matches!(kind(nal), DELIMITER | FILLER)) {
        if size + 2 + nal.len() > max_payload {
            flush(&mut payloads, &mut waiting);
            size = 1;
        }
        if nal.len() + 3 > max_payload {
            fragment(&mut payloads, nal, max_payload);
        } else {
            size += 2 + nal.len();
            waiting.push(nal);
        }
    }
    flush(&mut payloads, &mut waiting);
    payloads
}

fn flush(payloads: &mut Vec<Bytes>, waiting: &mut Vec<&[u8]>) {
    match &**waiting {
        [] => {}
        [only] => payloads.push(Bytes::copy_from_slice(only)),
        several => {
            let importance = several.iter().map(|nal| nal[0] & 0x60).max().unwrap_or(0);
            let mut payload = vec![importance | STAP_A];
            for nal in several {
                // They fit a payload, which is far below 64 KiB.
                payload.extend((nal.len() as u16).to_be_bytes());
                payload.extend_from_slice(nal);
            }
            payloads.push(payload.into());
        }
    }
    waiting.clear();
}

fn fragment(payloads: &mut Vec<Bytes>, nal: &[u8], max_payload: usize) {
    let (head, body) = (nal[0], &nal[1..]);
    let chunks = body.chunks(max_payload - 2);
    let last = chunks.len().saturating_sub(1);
    for (n, chunk) in chunks.enumerate() {
        let begins = if n == 0 { 0x80 } else { 0 };
        let ends = if n == last { 0x40 } else { 0 };
        let header = [head & 0x60 | FU_A, begins | ends | head & 0x1f];
        payloads.push([&header, chunk].concat().into());
    }
}

/// Whether a payload holds the parameter sets that precede a key frame.
pub(super) fn has_sps(payload: &[u8]) -> bool {
    match kind(payload) {
        STAP_A => aggregated(payload).is_some_and(|nals| nals.iter().any(|nal| kind(nal) == SPS)),
        other => other == SPS,
    }
}

/// Whether a payload holds or begins a slice of a key frame.
pub(super) fn has_idr(payload: &[u8]) -> bool {
    match kind(payload) {
        STAP_A => aggregated(payload).is_some_and(|nals| nals.iter().any(|nal| kind(nal) == IDR)),
        FU_A => payload.get(1).is_some_and(|header| header & 0x9f == 0x80 | IDR),
        other => other == IDR,
    }
}

/// Whether a payload is the middle or the end of a NAL unit.
pub(super) fn continues(payload: &[u8]) -> bool {
    kind(payload) == FU_A && payload.get(1).is_some_and(|header| header & 0x80 == 0)
}

fn aggregated(payload: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = Reader::new(payload.get(1..)?);
    let mut nals = Vec::new();
    while !reader.is_empty() {
        let length = reader.take(2)?;
        let nal = reader.take(usize::from(u16::from_be_bytes(length.try_into().ok()?)))?;
        if !nal.is_empty() {
            nals.push(nal);
        }
    }
    Some(nals)
}

/// The access unit of payloads in order, as Annex B; `None` if they do not make one.
pub(super) fn reassemble<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut open = false;
    for payload in payloads {
        if continues(payload) != open {
            return None;
        }
        match kind(payload) {
            SLICE..=23 => {
                out.extend_from_slice(&START_CODE);
                out.extend_from_slice(payload);
            }
            STAP_A => {
                for nal in aggregated(payload)? {
                    out.extend_from_slice(&START_CODE);
                    out.extend_from_slice(nal);
                }
            }
            FU_A => {
                let (indicator, header) = (payload[0], *payload.get(1)?);
                if !open {
                    out.extend_from_slice(&START_CODE);
                    out.push(indicator & 0xe0 | header & 0x1f);
                }
                out.extend_from_slice(&payload[2..]);
                open = header & 0x40 == 0;
            }
            _ => return None,
        }
    }
    (!open && !out.is_empty()).then_some(out)
}
