//! Media between encoders and decoders outside and the wire inside: access units become RTP payloads and
//! come out whole again.
//!
//! ```text
//!   LocalVideoTrack ──Packetiser──▶ Outbound (one per remote) ──▶ rtc::engine::Sender
//!   sinks ◀── RemoteVideoTrack ◀── VideoJitterBuffer, Depacketiser ◀── rtc::engine::Receiver
//! ```
//!
//! `video` is pure: it is told the time and knows no connection. Nothing here encodes or decodes pictures.

pub mod video;

pub use video::{AccessUnit, PacketiseError, Rotation, VideoCodec};
