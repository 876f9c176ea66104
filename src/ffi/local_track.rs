//! Tracks that we send.

use std::fmt;
use std::sync::Arc;

use super::error::SdkError;
use super::inbox::Inbox;
use super::listener::LocalTrackListener;
use super::pcm::{format, from_f32_bytes, from_i16_bytes};
use super::raw_bytes::RawBytes;
use super::runtime;
use crate::events::Events;
use crate::media::audio::{Level, OpusApplication, OpusOptions};
use crate::media::{
    self, LocalTrackEvent as Event, Rotation, Target, TrackBitrate, TrackPriority, VideoCodec,
};

/// A codec of video.
#[uniffi::remote(Enum)]
pub enum VideoCodec {
    /// VP8 (RFC 6386).
    Vp8,
    /// VP9.
    Vp9,
    /// H.264.
    H264,
    /// AV1.
    Av1,
}

/// What the sound is, for the encoder's choice of tools.
#[uniffi::remote(Enum)]
pub enum OpusApplication {
    /// Speech: intelligible at any bitrate.
    Voice,
    /// Music and everything else: true to the original.
    Music,
}

/// How sound is encoded.
#[uniffi::remote(Record)]
pub struct OpusOptions {
    /// Speech or music.
    pub application: OpusApplication,
    /// Bits per second, from 6,000 to 128,000.
    pub bitrate_bps: u32,
    /// In silence, a packet every 400 ms is enough.
    pub dtx: bool,
}

/// How loud sound is, in decibels below full scale: 0.0 is full scale, -127.0 is silence.
#[uniffi::remote(Record)]
pub struct Level {
    /// Root mean square.
    pub rms_dbfs: f32,
    /// The highest sample.
    pub peak_dbfs: f32,
}

/// What an encoder shall make.
#[uniffi::remote(Record)]
pub struct Target {
    /// Bits per second; 0 for nothing at all.
    pub bits_per_second: u64,
    /// Pictures per second that look best at this bitrate; 0 for sound.
    pub frame_rate: u32,
}

/// Who gets more when there is too little.
#[uniffi::remote(Enum)]
pub enum TrackPriority {
    /// Half of low.
    VeryLow,
    /// What tracks have.
    Low,
    /// Twice low.
    Medium,
    /// Four times low.
    High,
}

/// What a track wants of the bits to each remote.
#[uniffi::remote(Record)]
pub struct TrackBitrate {
    /// Who gets more when there is too little.
    pub priority: TrackPriority,
    /// Bits per second below which it is of no use. Sound gets them always; a picture gets them or nothing,
    /// but for the most important one, which goes on with what there is.
    pub minimum: u64,
    /// Bits per second beyond which it does not get better. Not below the minimum.
    pub maximum: u64,
}

/// What a track is told by its remotes.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum LocalTrackEvent {
    /// The encoder shall make its next picture a key frame. At most one per 300 ms.
    KeyFrameWanted,
    /// A remote takes the track.
    CodecAgreed {
        /// The remote.
        peer_id: String,
    },
    /// A remote cannot take the track's codec and gets nothing of it.
    CodecNotSupported {
        /// The remote.
        peer_id: String,
        /// Such as `video/H264`.
        codec: String,
    },
    /// What a remote's path has room for changed: by a tenth or more, and at most twice a second but for falls.
    TargetBitrate {
        /// The remote; none for all of them, as the slowest decides.
        peer_id: Option<String>,
        /// Bits per second that an encoder shall make; 0 for nothing at all.
        bits_per_second: u64,
        /// Pictures per second that look best at this bitrate; 0 for sound.
        frame_rate: u32,
    },
    /// Events were not taken fast enough: so many of the oldest were dropped.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl From<Event> for LocalTrackEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::KeyFrameWanted => Self::KeyFrameWanted,
            Event::CodecAgreed { peer_id } => Self::CodecAgreed { peer_id },
            Event::CodecNotSupported { peer_id, codec } => {
                Self::CodecNotSupported { peer_id, codec: codec.to_owned() }
            }
            Event::TargetBitrate { peer_id, bits_per_second, frame_rate } => {
                Self::TargetBitrate { peer_id, bits_per_second, frame_rate }
            }
            Event::Lagged { missed } => Self::Lagged { missed },
        }
    }
}

/// Pictures for the remotes, from an encoder of the app.
#[derive(uniffi::Object)]
pub struct LocalVideoTrack {
    core: media::LocalVideoTrack,
    inbox: Inbox<Events<Event>>,
}

impl fmt::Debug for LocalVideoTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

#[uniffi::export]
impl LocalVideoTrack {
    /// A track with this id, which must differ from every other's, or with one of its own.
    #[uniffi::constructor(default(id = None))]
    pub fn new(codec: VideoCodec, id: Option<String>) -> Result<Arc<Self>, SdkError> {
        let core = match id {
            Some(id) => media::LocalVideoTrack::with_id(codec, id),
            None => media::LocalVideoTrack::new(codec),
        };
        Ok(Arc::new(Self { core, inbox: Inbox::new(None) }))
    }

    /// Its id.
    pub fn id(&self) -> Result<String, SdkError> {
        Ok(self.core.id().to_owned())
    }

    /// Its codec.
    pub fn codec(&self) -> Result<VideoCodec, SdkError> {
        Ok(self.core.codec())
    }

    /// Hands a picture to every remote, and never waits: a remote that is too slow misses it and gets the
    /// next key frame, which is asked for.
    ///
    /// `data` is one access unit: VP8 and VP9 frames; H.264 in Annex B, or AVCC with lengths of four bytes;
    /// AV1 OBUs with their sizes. `timestamp_us` is when it was taken, on a clock of the track's own. Whether
    /// it is a key frame is read from the bitstream if `key_frame` is left out. `rotation_degrees` says how
    /// far the remotes turn it clockwise: 0, 90, 180 or 270.
    #[uniffi::method(default(key_frame = None, rotation_degrees = 0))]
    pub fn write(
        &self,
        data: RawBytes,
        timestamp_us: u64,
        key_frame: Option<bool>,
        rotation_degrees: u16,
    ) -> Result<(), SdkError> {
        let Some(rotation) = Rotation::from_degrees(rotation_degrees) else {
            return Err(SdkError::invalid_argument(
                "a picture is turned by 0, 90, 180 or 270 degrees",
                "Round the device's orientation to a quarter of a turn.",
            ));
        };
        let mut unit = media::AccessUnit::new(self.core.codec(), data.0, timestamp_us);
        unit.key_frame = key_frame.unwrap_or(unit.key_frame);
        unit.rotation = rotation;
        Ok(self.core.write(&unit)?)
    }

    /// What an encoder for all remotes shall make, as the slowest decides; for one remote if its id is given.
    /// None while nobody, or it, gets the track.
    #[uniffi::method(default(peer_id = None))]
    pub fn target(&self, peer_id: Option<String>) -> Result<Option<Target>, SdkError> {
        Ok(match peer_id {
            Some(peer_id) => self.core.target_for(&peer_id),
            None => self.core.target(),
        })
    }

    /// Priority and bounds; 30 kbit/s to 2.5 Mbit/s before. They count from the next report of each remote on.
    pub fn set_bitrate(&self, bitrate: TrackBitrate) -> Result<(), SdkError> {
        self.core.set_bitrate(bitrate);
        Ok(())
    }

    /// The worst share of packets lost, 0 to 1, of what the remotes last reported.
    pub fn reported_loss(&self) -> Result<f64, SdkError> {
        Ok(self.core.reported_loss())
    }

    /// Stops or resumes sending. Its remotes keep the track; after a pause a key frame is wanted.
    pub fn set_muted(&self, muted: bool) -> Result<(), SdkError> {
        self.core.set_muted(muted);
        Ok(())
    }

    /// Up to `max` events (1,024 at most), at least one; none after `shutdown`. The first pull or listener of
    /// all also gets what came before it.
    pub async fn next_events(&self, max: u32) -> Result<Vec<LocalTrackEvent>, SdkError> {
        self.inbox.pull(max, || self.core.events()).await
    }

    /// Hands all events to a listener, instead of one that was set before and of `next_events`.
    pub fn set_listener(&self, listener: Arc<dyn LocalTrackListener>) -> Result<(), SdkError> {
        self.inbox.listen(
            || self.core.events(),
            listener,
            |listener, events| async move { listener.on_events(events).await },
        )
    }

    /// Frees the listener.
    pub fn clear_listener(&self) -> Result<(), SdkError> {
        self.inbox.clear_listener();
        Ok(())
    }

    /// Frees this object's listener and ends its pulls; a peer that sends the track goes on with it. A second
    /// call does nothing.
    pub async fn shutdown(self: Arc<Self>) -> Result<(), SdkError> {
        runtime::finish(async move { self.inbox.end().await }).await
    }
}

/// Sound for the remotes: PCM that the track encodes, or Opus packets of the app. Not both: their clocks
/// differ.
#[derive(uniffi::Object)]
pub struct LocalAudioTrack {
    core: media::LocalAudioTrack,
    inbox: Inbox<Events<Event>>,
}

impl fmt::Debug for LocalAudioTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

#[uniffi::export]
impl LocalAudioTrack {
    /// A track with this id, which must differ from every other's, or with one of its own.
    #[uniffi::constructor(default(id = None))]
    pub fn new(id: Option<String>) -> Result<Arc<Self>, SdkError> {
        let core = id.map_or_else(Default::default, media::LocalAudioTrack::with_id);
        Ok(Arc::new(Self { core, inbox: Inbox::new(None) }))
    }

    /// Its id.
    pub fn id(&self) -> Result<String, SdkError> {
        Ok(self.core.id().to_owned())
    }

    /// Takes interleaved PCM, 16 bits per sample in little-endian order, in chunks of any size as it is
    /// recorded: encodes it and hands it to every remote. 8,000 to 48,000 Hz, one or two channels.
    ///
    /// Never waits, and takes as long as the encoder does: about a sixtieth of what the sound lasts. What is
    /// written while muted is dropped.
    pub fn write_pcm_i16(
        &self,
        sample_rate_hz: u32,
        channels: u8,
        pcm: RawBytes,
    ) -> Result<(), SdkError> {
        let format = format(sample_rate_hz, channels)?;
        Ok(self.core.write_pcm(format, &from_i16_bytes(&pcm.0)?)?)
    }

    /// As `write_pcm_i16`, for samples from -1.0 to 1.0 of 32 bits each.
    pub fn write_pcm_f32(
        &self,
        sample_rate_hz: u32,
        channels: u8,
        pcm: RawBytes,
    ) -> Result<(), SdkError> {
        let format = format(sample_rate_hz, channels)?;
        Ok(self.core.write_pcm(format, &from_f32_bytes(&pcm.0)?)?)
    }

    /// Hands an Opus packet to every remote. `timestamp_us` is the time of its first sample on a clock of the
    /// track's own; `begins` says that it follows silence. Never waits.
    #[uniffi::method(default(begins = false))]
    pub fn write_opus(
        &self,
        packet: RawBytes,
        timestamp_us: u64,
        begins: bool,
    ) -> Result<(), SdkError> {
        Ok(self.core.write(packet.0, timestamp_us, begins)?)
    }

    /// How PCM is encoded from now on.
    pub fn set_encoding(&self, options: OpusOptions) -> Result<(), SdkError> {
        Ok(self.core.set_encoding(options)?)
    }

    /// How PCM is encoded.
    pub fn encoding(&self) -> Result<OpusOptions, SdkError> {
        Ok(self.core.encoding())
    }

    /// How loud the last 100 ms of PCM were; silence while muted, and when nothing is written.
    pub fn level(&self) -> Result<Level, SdkError> {
        Ok(self.core.level())
    }

    /// What an encoder for all remotes shall make, as the slowest decides; for one remote if its id is given.
    /// None while nobody, or it, gets the track.
    #[uniffi::method(default(peer_id = None))]
    pub fn target(&self, peer_id: Option<String>) -> Result<Option<Target>, SdkError> {
        Ok(match peer_id {
            Some(peer_id) => self.core.target_for(&peer_id),
            None => self.core.target(),
        })
    }

    /// Priority and bounds; 16 to 64 kbit/s before. They count from the next report of each remote on.
    pub fn set_bitrate(&self, bitrate: TrackBitrate) -> Result<(), SdkError> {
        self.core.set_bitrate(bitrate);
        Ok(())
    }

    /// The worst share of packets lost, 0 to 1, of what the remotes last reported.
    pub fn reported_loss(&self) -> Result<f64, SdkError> {
        Ok(self.core.reported_loss())
    }

    /// Stops or resumes sending. Its remotes keep the track, and its time goes on.
    pub fn set_muted(&self, muted: bool) -> Result<(), SdkError> {
        self.core.set_muted(muted);
        Ok(())
    }

    /// Up to `max` events (1,024 at most), at least one; none after `shutdown`. The first pull or listener of
    /// all also gets what came before it.
    pub async fn next_events(&self, max: u32) -> Result<Vec<LocalTrackEvent>, SdkError> {
        self.inbox.pull(max, || self.core.events()).await
    }

    /// Hands all events to a listener, instead of one that was set before and of `next_events`.
    pub fn set_listener(&self, listener: Arc<dyn LocalTrackListener>) -> Result<(), SdkError> {
        self.inbox.listen(
            || self.core.events(),
            listener,
            |listener, events| async move { listener.on_events(events).await },
        )
    }

    /// Frees the listener.
    pub fn clear_listener(&self) -> Result<(), SdkError> {
        self.inbox.clear_listener();
        Ok(())
    }

    /// Frees this object's listener and ends its pulls; a peer that sends the track goes on with it. A second
    /// call does nothing.
    pub async fn shutdown(self: Arc<Self>) -> Result<(), SdkError> {
        runtime::finish(async move { self.inbox.end().await }).await
    }
}

/// A track of either kind.
#[derive(Clone, Debug, uniffi::Enum)]
pub enum LocalTrack {
    /// Pictures.
    Video {
        /// The track.
        track: Arc<LocalVideoTrack>,
    },
    /// Sound.
    Audio {
        /// The track.
        track: Arc<LocalAudioTrack>,
    },
}

impl From<LocalTrack> for media::LocalTrack {
    fn from(track: LocalTrack) -> Self {
        match track {
            LocalTrack::Video { track } => (&track.core).into(),
            LocalTrack::Audio { track } => (&track.core).into(),
        }
    }
}

/// Tracks that belong together: a remote plays them in time with each other.
#[derive(Clone, Debug, uniffi::Record)]
pub struct MediaStream {
    /// Its id, which must differ from every other stream's.
    pub id: String,
    /// Its tracks.
    pub tracks: Vec<LocalTrack>,
}

impl From<MediaStream> for media::MediaStream {
    fn from(stream: MediaStream) -> Self {
        let MediaStream { id, tracks } = stream;
        tracks.into_iter().fold(Self::with_id(id), |stream, track| {
            stream.with_track(media::LocalTrack::from(track))
        })
    }
}
