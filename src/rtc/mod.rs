//! Connections to other peers: the only place that names the `webrtc` crate.
//!
//! ```text
//!   peer ──▶ engine (traits) ◀── crate_engine (webrtc) ──▶ runtime (clock, sockets, TURN)
//! ```
//!
//! `peer` speaks to [`engine::Connection`] and [`engine::Channel`] alone. What the crate does differently
//! from the W3C's text, or not at all, is dealt with in [`crate_engine`]; each file there says what. The
//! driver of a connection never waits for us: what it has to tell goes into a queue.

mod certificate;
pub(crate) mod crate_engine;
pub(crate) mod engine;
mod error;
pub(crate) mod h264;
pub(crate) mod runtime;
pub(crate) mod sdp;
pub(crate) mod stats;

pub(crate) use certificate::Certificate;
pub(crate) use error::RtcError;

/// Reads any text as a description, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub fn fuzz_sdp(text: &str) {
    sdp::fuzz(text);
}

/// Reads any bytes as a remote's feedback on what we sent, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub fn fuzz_feedback(bytes: &[u8]) {
    crate_engine::congestion::fuzz(bytes);
}

/// Reads any bytes as what a TURN server sends, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub fn fuzz_turn(bytes: &[u8]) {
    runtime::fuzz::turn(bytes);
}
