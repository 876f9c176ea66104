//! Tracks that a remote sends, and their sinks.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::SdkError;
use super::inbox::Inbox;
use super::listener::{AudioPacketListener, VideoFrameListener};
use super::pcm::{chunk, format, to_f32_bytes, to_i16_bytes};
use super::raw_bytes::RawBytes;
use super::runtime;
use super::stats::PlayoutStats;
use crate::media::audio::{JitterOptions, Level};
use crate::media::{self, AudioStats, VideoCodec, VideoStats};
use crate::peer;

/// What comes on a track.
#[derive(Clone, Debug, uniffi::Enum)]
pub enum RemoteMedia {
    /// Pictures.
    Video {
        /// The track.
        track: Arc<RemoteVideoTrack>,
    },
    /// Sound.
    Audio {
        /// The track.
        track: Arc<RemoteAudioTrack>,
    },
}

impl From<&peer::RemoteMedia> for RemoteMedia {
    fn from(media: &peer::RemoteMedia) -> Self {
        match media.clone() {
            peer::RemoteMedia::Video(core) => {
                Self::Video { track: Arc::new(RemoteVideoTrack { core }) }
            }
            peer::RemoteMedia::Audio(core) => {
                Self::Audio { track: Arc::new(RemoteAudioTrack { core }) }
            }
        }
    }
}

/// One picture, encoded: what a decoder takes at once.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct AccessUnit {
    /// The codec.
    pub codec: VideoCodec,
    /// The bitstream. H.264 is Annex B, AV1 is OBUs with their sizes.
    pub data: RawBytes,
    /// When it was taken, in microseconds on the sender's clock.
    pub timestamp_us: u64,
    /// Whether a decoder can begin here.
    pub key_frame: bool,
    /// How far it must be turned clockwise: 0, 90, 180 or 270.
    pub rotation_degrees: u16,
}

/// What a track of pictures has to say.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FrameEvent {
    /// A picture, in decode order. The first one of a sink is a key frame, and after a gap too.
    Frame {
        /// The picture.
        unit: AccessUnit,
    },
    /// No picture came for a second.
    Frozen,
    /// Pictures come again.
    Resumed,
    /// This sink was too slow: so many events are lost. It goes on with a key frame.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl From<media::FrameEvent> for FrameEvent {
    fn from(event: media::FrameEvent) -> Self {
        match event {
            media::FrameEvent::Frame(unit) => {
                let data = RawBytes(unit.data.clone());
                let media::AccessUnit { codec, timestamp_us, key_frame, rotation, .. } = *unit;
                let rotation_degrees = rotation.degrees();
                Self::Frame {
                    unit: AccessUnit { codec, data, timestamp_us, key_frame, rotation_degrees },
                }
            }
            media::FrameEvent::Frozen => Self::Frozen,
            media::FrameEvent::Resumed => Self::Resumed,
            media::FrameEvent::Lagged { missed } => Self::Lagged { missed },
        }
    }
}

/// Pictures from a remote.
#[derive(uniffi::Object)]
pub struct RemoteVideoTrack {
    core: media::RemoteVideoTrack,
}

impl fmt::Debug for RemoteVideoTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

#[uniffi::export]
impl RemoteVideoTrack {
    /// A sink. It begins with the next key frame, which is asked for now; the first one of a track begins with what just
    /// came, a second of it at most, if there is a key frame in it.
    pub fn frames(&self) -> Result<Arc<VideoFrames>, SdkError> {
        let core = self.core.clone();
        Ok(Arc::new(VideoFrames { inbox: Inbox::new(Some(core.frames())), core }))
    }

    /// Whether pictures wait for the sound of their stream, which they do unless told otherwise.
    pub fn set_lip_sync(&self, on: bool) -> Result<(), SdkError> {
        self.core.set_lip_sync(on);
        Ok(())
    }

    /// Asks the sender for a key frame, at most one per 300 ms.
    pub fn request_key_frame(&self) -> Result<(), SdkError> {
        self.core.request_key_frame();
        Ok(())
    }

    /// Figures since the track came.
    pub fn stats(&self) -> Result<VideoStats, SdkError> {
        Ok(self.core.stats())
    }
}

/// A sink of pictures. Ends with its track. One that is not pulled keeps up to 8 MiB; let go of it, or shut
/// it down, when it is of no more use.
#[derive(uniffi::Object)]
pub struct VideoFrames {
    core: media::RemoteVideoTrack,
    inbox: Inbox<media::VideoFrames>,
}

#[uniffi::export]
impl VideoFrames {
    /// Up to `max` events (1,024 at most), at least one; none after the track's end or `shutdown`.
    pub async fn next_events(&self, max: u32) -> Result<Vec<FrameEvent>, SdkError> {
        self.inbox.pull(max, || self.core.frames()).await
    }

    /// Hands all events to a listener, instead of one that was set before and of `next_events`.
    pub fn set_listener(&self, listener: Arc<dyn VideoFrameListener>) -> Result<(), SdkError> {
        self.inbox.listen(
            || self.core.frames(),
            listener,
            |listener, events| async move { listener.on_events(events).await },
        )
    }

    /// Frees the listener.
    pub fn clear_listener(&self) -> Result<(), SdkError> {
        self.inbox.clear_listener();
        Ok(())
    }

    /// Ends the sink and frees its listener. A second call does nothing.
    pub async fn shutdown(self: Arc<Self>) -> Result<(), SdkError> {
        runtime::finish(async move { self.inbox.end().await }).await
    }
}

/// An Opus packet.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct AudioPacket {
    /// Counts packets, and wraps: tells what is lost or out of order.
    pub sequence: u16,
    /// In samples at 48 kHz, and wraps.
    pub timestamp: u32,
    /// Whether sound begins here after silence.
    pub begins: bool,
    /// The packet (RFC 6716 section 3).
    pub payload: RawBytes,
}

/// What a track of sound has to say.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum PacketEvent {
    /// A packet, as it came: late ones and duplicates too.
    Packet {
        /// The packet.
        packet: AudioPacket,
    },
    /// This sink was too slow: so many packets are lost.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl From<media::PacketEvent> for PacketEvent {
    fn from(event: media::PacketEvent) -> Self {
        match event {
            media::PacketEvent::Packet(packet) => Self::Packet {
                packet: AudioPacket {
                    sequence: packet.sequence,
                    timestamp: packet.timestamp,
                    begins: packet.marker,
                    payload: RawBytes(packet.payload.clone()),
                },
            },
            media::PacketEvent::Lagged { missed } => Self::Lagged { missed },
        }
    }
}

/// Bounds of the delay between a packet's arrival and its sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct JitterBounds {
    /// The delay that is steered to is never below.
    #[uniffi(default = 10)]
    pub min_delay_ms: u64,
    /// It is never above, and what waits longer is skipped; up to 5,000.
    #[uniffi(default = 500)]
    pub max_delay_ms: u64,
    /// The delay before anything was measured.
    #[uniffi(default = 40)]
    pub start_delay_ms: u64,
}

impl From<JitterBounds> for JitterOptions {
    fn from(bounds: JitterBounds) -> Self {
        Self {
            min_delay: Duration::from_millis(bounds.min_delay_ms),
            max_delay: Duration::from_millis(bounds.max_delay_ms),
            start_delay: Duration::from_millis(bounds.start_delay_ms),
        }
    }
}

/// Sound from a remote.
#[derive(uniffi::Object)]
pub struct RemoteAudioTrack {
    pub(super) core: media::RemoteAudioTrack,
}

impl fmt::Debug for RemoteAudioTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

#[uniffi::export]
impl RemoteAudioTrack {
    /// A sink of PCM with a jitter buffer of its own: 8,000 to 48,000 Hz, one or two channels. It begins with
    /// what came in the last half second if it is the first.
    #[uniffi::method(default(bounds = None))]
    pub fn playout(
        &self,
        sample_rate_hz: u32,
        channels: u8,
        bounds: Option<JitterBounds>,
    ) -> Result<Arc<AudioOutput>, SdkError> {
        let format = format(sample_rate_hz, channels)?;
        let options = bounds.map_or_else(JitterOptions::default, Into::into);
        let core = Mutex::new(self.core.playout_with(format, options)?);
        Ok(Arc::new(AudioOutput { core }))
    }

    /// The Opus packets from now on, as they come. Who is the first to ask gets those of the last half second too.
    pub fn packets(&self) -> Result<Arc<AudioPackets>, SdkError> {
        let core = self.core.clone();
        Ok(Arc::new(AudioPackets { inbox: Inbox::new(Some(core.packets())), core }))
    }

    /// How loud the last 100 ms were, as its outputs heard them; silence if nobody plays it.
    pub fn level(&self) -> Result<Level, SdkError> {
        Ok(self.core.level())
    }

    /// Figures since the track came.
    pub fn stats(&self) -> Result<AudioStats, SdkError> {
        Ok(self.core.stats())
    }

    /// Whether the remote sends it no more.
    pub fn is_ended(&self) -> Result<bool, SdkError> {
        Ok(self.core.is_ended())
    }
}

/// A sink of PCM. Pull from it at the pace of what plays it; what is lost or late on the way is concealed.
/// Detached when let go of.
#[derive(uniffi::Object)]
pub struct AudioOutput {
    core: Mutex<media::AudioOutput>,
}

impl AudioOutput {
    fn core(&self) -> MutexGuard<'_, media::AudioOutput> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn filled(&self, samples: u32) -> Result<Vec<f32>, SdkError> {
        let mut core = self.core();
        let mut pcm = chunk(core.format(), samples)?;
        core.pull(&mut pcm);
        Ok(pcm)
    }
}

#[uniffi::export]
impl AudioOutput {
    /// So many samples of interleaved PCM, all channels counted, whose first moment is heard now: 16 bits
    /// each in little-endian order. Never waits; after the track's end it gives silence. Up to one second.
    pub fn pull_i16(&self, samples: u32) -> Result<RawBytes, SdkError> {
        Ok(to_i16_bytes(&self.filled(samples)?))
    }

    /// As `pull_i16`, with samples from -1.0 to 1.0 of 32 bits each.
    pub fn pull_f32(&self, samples: u32) -> Result<RawBytes, SdkError> {
        Ok(to_f32_bytes(&self.filled(samples)?))
    }

    /// How loud the last 100 ms were; silence if nothing was pulled for half a second.
    pub fn level(&self) -> Result<Level, SdkError> {
        Ok(self.core().level())
    }

    /// What was counted and measured so far.
    pub fn stats(&self) -> Result<PlayoutStats, SdkError> {
        Ok(self.core().stats().into())
    }

    /// Whether the remote sends the track no more. What is on its way to the ear is still to be pulled.
    pub fn is_ended(&self) -> Result<bool, SdkError> {
        Ok(self.core().is_ended())
    }
}

/// A sink of Opus packets. Ends with its track.
#[derive(uniffi::Object)]
pub struct AudioPackets {
    core: media::RemoteAudioTrack,
    inbox: Inbox<media::AudioPackets>,
}

#[uniffi::export]
impl AudioPackets {
    /// Up to `max` events (1,024 at most), at least one; none after the track's end or `shutdown`.
    pub async fn next_events(&self, max: u32) -> Result<Vec<PacketEvent>, SdkError> {
        self.inbox.pull(max, || self.core.packets()).await
    }

    /// Hands all events to a listener, instead of one that was set before and of `next_events`.
    pub fn set_listener(&self, listener: Arc<dyn AudioPacketListener>) -> Result<(), SdkError> {
        self.inbox.listen(
            || self.core.packets(),
            listener,
            |listener, events| async move { listener.on_events(events).await },
        )
    }

    /// Frees the listener.
    pub fn clear_listener(&self) -> Result<(), SdkError> {
        self.inbox.clear_listener();
        Ok(())
    }

    /// Ends the sink and frees its listener. A second call does nothing.
    pub async fn shutdown(self: Arc<Self>) -> Result<(), SdkError> {
        runtime::finish(async move { self.inbox.end().await }).await
    }
}
