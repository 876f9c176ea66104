//! RTP payloads into access units. A payload is a stranger's: what is wrong is `None`, nothing fails.

use bytes::Bytes;

use super::{VideoCodec, av1, h264, vp8, vp9};

/// Whether a frame may begin with this payload, if the one before it ended another.
pub(crate) fn starts_frame(codec: VideoCodec, payload: &[u8]) -> bool {
    match codec {
        VideoCodec::Vp8 => vp8::read(payload).is_some_and(|descriptor| descriptor.begins),
        VideoCodec::Vp9 => vp9::read(payload).is_some_and(|descriptor| descriptor.begins),
        VideoCodec::H264 => !h264::continues(payload),
        VideoCodec::Av1 => !av1::continues(payload),
    }
}

/// Whether a key frame begins with this payload. `first` says whether the packet before it is known to belong
/// to another frame; without that knowledge H.264 must begin with its parameter sets.
pub(crate) fn is_key_frame_start(codec: VideoCodec, payload: &[u8], first: bool) -> bool {
    match codec {
        VideoCodec::Vp8 => {
            vp8::read(payload).is_some_and(|read| read.begins && vp8::is_key_frame(read.data))
        }
        VideoCodec::Vp9 => vp9::read(payload)
            .is_some_and(|read| read.begins && read.intra && vp9::is_key_frame(read.data)),
        VideoCodec::H264 => h264::has_sps(payload) || (first && h264::has_idr(payload)),
        VideoCodec::Av1 => av1::begins_sequence(payload),
    }
}

/// The access unit of its payloads in order; `None` if they do not make one.
pub(crate) fn reassemble<'a>(
    codec: VideoCodec,
    payloads: impl Iterator<Item = &'a Bytes>,
) -> Option<Bytes> {
    let mut payloads = payloads.map(|payload| &payload[..]);
    match codec {
        VideoCodec::Vp8 => joined(payloads.map(|payload| vp8::read(payload).map(|read| read.data))),
        VideoCodec::Vp9 => joined(payloads.map(|payload| vp9::read(payload).map(|read| read.data))),
        VideoCodec::H264 => h264::reassemble(&mut payloads).map(Bytes::from),
        VideoCodec::Av1 => av1::reassemble(&mut payloads).map(Bytes::from),
    }
}

fn joined<'a>(parts: impl Iterator<Item = Option<&'a [u8]>>) -> Option<Bytes> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(part?);
    }
    (!out.is_empty()).then(|| out.into())
}
