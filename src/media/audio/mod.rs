//! Sound: PCM to Opus packets, Opus packets as they arrive to PCM in time, and several of those into one.
//!
//! PCM is interleaved `f32` from -1.0 to 1.0 inside; [`PcmFormat`] says rate and channels. The way of a
//! sender: [`Resampler`], [`OpusEncoder`]. The way of a receiver: [`JitterBuffer`], [`OpusDecoder`], time
//! stretching, [`Resampler`], all in [`AudioPlayout`]; several receivers meet in a [`Mixer`]. Nothing here
//! reads a clock: time comes as a [`Duration`](std::time::Duration) since a start that the caller chose.

mod capture;
mod error;
mod jitter;
mod level;
mod mixer;
mod opus;
mod pcm;
mod playout;
mod resample;
mod stretch;
mod tone;

pub(crate) use capture::{Capture, Captured};
pub use error::AudioError;
pub(crate) use jitter::PacketCounter;
pub use jitter::{ArrivedPacket, Frame, JitterBuffer, JitterOptions, JitterStats, Tempo};
pub(crate) use level::LevelWindow;
pub use level::{Level, LevelMeter, SILENCE_DBFS};
pub use mixer::{MAX_GAIN, Mixer};
pub use opus::{
    MAX_BITRATE_BPS, MAX_PACKET_BYTES, MIN_BITRATE_BPS, OPUS_CLOCK_HZ, OpusApplication,
    OpusDecoder, OpusEncoder, OpusOptions, OpusPacketInfo,
};
pub use pcm::{PcmFormat, from_i16, in_channels, to_i16};
pub use playout::{AudioPlayout, PlayoutStats};
pub use resample::Resampler;
pub use tone::{Tone, tone_share};
