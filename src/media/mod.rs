//! Media between encoders and decoders outside and the wire inside: access units become RTP payloads and
//! come out whole again.
//!
//! ```text
//!   LocalVideoTrack ──Packetiser──▶ Outbound (one per remote) ──▶ rtc::engine::Sender
//!   sinks ◀── RemoteVideoTrack ◀── VideoJitterBuffer, Depacketiser ◀── rtc::engine::Receiver
//!
//!   PCM ──▶ LocalAudioTrack ──OpusEncoder──▶ Outbound (one per remote) ──▶ rtc::engine::Sender
//!   PCM ◀── AudioMix ◀── AudioOutput, AudioPlayout ◀── RemoteAudioTrack ◀── rtc::engine::Receiver
//! ```
//!
//! `Bandwidth`, one per connection, estimates the path, shares it among the tracks and paces the Outbounds.
//!
//! [`video`], [`audio`] and [`files`] decide without hardware, sockets or tasks: they are told the time and know
//! no connection. Nothing here encodes or decodes pictures; sound is Opus, whose codec is the feature `opus`, on by
//! default.
//!
//! What each track gets of a path that is too narrow for all of them:
//!
//! ```
//! use metered_realtime::media::{
//!     LocalVideoTrack, MediaKind, TrackBitrate, TrackPriority, VideoCodec,
//! };
//! let (screen, camera) = (LocalVideoTrack::new(VideoCodec::Vp9), LocalVideoTrack::new(VideoCodec::Vp8));
//! let usual = TrackBitrate::of(MediaKind::Video);
//! // Text must stay readable; of what is left when all minimums are met, the screen gets four parts of five.
//! screen.set_bitrate(TrackBitrate { priority: TrackPriority::High, minimum: 300_000, ..usual });
//! camera.set_bitrate(TrackBitrate { priority: TrackPriority::Low, maximum: 600_000, ..usual });
//! ```

pub mod audio;
mod audio_mix;
mod bandwidth;
#[cfg(test)]
mod endurance;
pub mod files;
mod inbound;
mod local;
mod local_audio;
mod local_video;
mod outbound;
mod remote_audio;
mod remote_video;
#[cfg(test)]
mod scripted;
mod sounds;
mod sync;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod together;
#[cfg(test)]
mod traces;
pub mod video;

pub use crate::rtc::engine::MediaKind;
pub use audio_mix::{AudioMix, MixInput};
pub(crate) use bandwidth::Bandwidth;
pub use bandwidth::{TrackBitrate, TrackPriority};
pub(crate) use inbound::{Inbound, receive};
pub use local::{LocalTrack, LocalTrackEvent, LocalTrackEvents, MediaStream, Target, WriteError};
pub use local_audio::LocalAudioTrack;
pub use local_video::LocalVideoTrack;
pub(crate) use outbound::{Outbound, Refusal};
pub use remote_audio::{
    AudioOutput, AudioPacket, AudioPackets, AudioStats, PacketEvent, RemoteAudioTrack,
};
pub use remote_video::{FrameEvent, RemoteVideoTrack, VideoFrames, VideoStats};
pub(crate) use sounds::Sounds;
pub use video::{AccessUnit, PacketiseError, Rotation, VideoCodec};

/// Feeds a jitter buffer and the depacketisers behind it with what the bytes stand for, for the fuzzer.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub fn fuzz_video(bytes: &[u8]) {
    video::fuzz(bytes);
}
