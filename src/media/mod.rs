//! Media between encoders and decoders outside and the wire inside: access units become RTP payloads and
//! come out whole again.
//!
//! ```text
//!   LocalVideoTrack ──Packetiser──▶ Outbound (one per remote) ──▶ rtc::engine::Sender
//!   sinks ◀── RemoteVideoTrack ◀── VideoJitterBuffer, Depacketiser ◀── rtc::engine::Receiver
//! ```
//!
//! `Bandwidth`, one per connection, estimates the path, shares it among the tracks and paces the Outbounds.
//!
//! [`video`], [`audio`] and [`files`] decide without hardware, sockets or tasks: they are told the time and know
//! no connection. Nothing here encodes or decodes pictures; sound is Opus.

pub mod audio;
mod bandwidth;
pub mod files;
mod inbound;
mod local;
mod outbound;
#[cfg(test)]
mod tests;
pub mod video;

pub use crate::rtc::engine::MediaKind;
pub(crate) use bandwidth::Bandwidth;
pub use bandwidth::{TrackBitrate, TrackPriority};
pub use inbound::{
    AudioPacket, AudioPackets, FrameEvent, PacketEvent, RemoteAudioTrack, RemoteVideoTrack,
    VideoFrames, VideoStats,
};
pub(crate) use inbound::{Inbound, receive};
pub use local::{
    LocalAudioTrack, LocalTrack, LocalTrackEvent, LocalTrackEvents, LocalVideoTrack, MediaStream,
    Target, WriteError,
};
pub(crate) use outbound::Outbound;
pub use video::{AccessUnit, PacketiseError, Rotation, VideoCodec};

/// Feeds a jitter buffer and the depacketisers behind it with what the bytes stand for, for the fuzzer.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub fn fuzz_video(bytes: &[u8]) {
    video::fuzz(bytes);
}
