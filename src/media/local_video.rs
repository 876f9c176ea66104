//! Pictures that we send: an encoder's output, cut once for all remotes.

use std::sync::Arc;

use tokio::time::Instant;

use super::local::{LocalTrackEvents, Parcel, Shared, WriteError, random_id};
use super::video::{AccessUnit, VideoCodec, h264_profile};
use crate::rtc::engine::MediaKind;

/// Pictures for the remotes, from an encoder outside. Handles are cheap clones of one track.
///
/// ```
/// use metered_realtime::media::{AccessUnit, LocalVideoTrack, VideoCodec};
/// let track = LocalVideoTrack::new(VideoCodec::Vp8);
/// let key_frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 2, 0, 2, 0];
/// track.write(&AccessUnit::new(VideoCodec::Vp8, key_frame.into(), 0))?;
/// # Ok::<(), metered_realtime::media::WriteError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LocalVideoTrack {
    shared: Arc<Shared>,
    codec: VideoCodec,
}

impl LocalVideoTrack {
    /// A track with an id of its own.
    pub fn new(codec: VideoCodec) -> Self {
        Self::with_id(codec, random_id())
    }

    /// A track with this id, which must differ from every other's.
    ///
    /// ```
    /// use metered_realtime::media::{LocalVideoTrack, VideoCodec};
    /// let screen = LocalVideoTrack::with_id(VideoCodec::Vp9, "screen-1");
    /// assert_eq!((screen.id(), screen.codec()), ("screen-1", VideoCodec::Vp9));
    /// let camera = LocalVideoTrack::new(VideoCodec::Vp8);
    /// assert!(camera.id().len() > 16); // random
    /// ```
    pub fn with_id(codec: VideoCodec, id: impl Into<String>) -> Self {
        let shared = Shared::new(id.into(), MediaKind::Video, codec.mime_type());
        Self { shared, codec }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.shared.id()
    }

    /// Its codec.
    pub const fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// Hands a picture to every remote. Never waits: a remote that is too slow misses it and gets the next
    /// key frame, which is asked for.
    ///
    /// # Errors
    /// [`WriteError::OtherCodec`]; [`WriteError::Packetise`] for what is no bitstream of the codec, empty, or
    /// above 4 MiB. Nothing was sent then.
    pub fn write(&self, unit: &AccessUnit) -> Result<(), WriteError> {
        if unit.codec != self.codec {
            let (expected, found) = (self.codec.mime_type(), unit.codec.mime_type());
            return Err(WriteError::OtherCodec { expected, found });
        }
        let payloads = self.shared.packetise(unit)?;
        let profile = h264_profile(unit);
        if let Some(profile) = profile {
            self.shared.set_profile(profile);
        }
        self.shared.write(Parcel {
            payloads,
            timestamp_us: unit.timestamp_us,
            captured: Instant::now(),
            key_frame: unit.key_frame,
            profile,
            rotation: Some(unit.rotation),
            marker: true,
        });
        Ok(())
    }

    /// What the remotes need. The first subscription gets what came before it.
    ///
    /// ```
    /// use metered_realtime::media::{AccessUnit, LocalVideoTrack, VideoCodec};
    /// let track = LocalVideoTrack::new(VideoCodec::Vp8);
    /// let mut events = track.events();
    /// // For each picture: what is wanted of the encoder since the last one.
    /// while let Some(event) = events.try_next() {
    ///     println!("{event:?}");
    /// }
    /// ```
    pub fn events(&self) -> LocalTrackEvents {
        self.shared.events()
    }

    /// Stops or resumes sending. Its remotes keep the track; after a pause a key frame is wanted.
    ///
    /// ```
    /// use metered_realtime::media::{LocalVideoTrack, VideoCodec};
    /// let camera = LocalVideoTrack::new(VideoCodec::Vp8);
    /// camera.set_muted(true); // the lens is covered; switch the encoder off, too
    /// camera.set_muted(false); // a key frame is wanted by whoever has the track
    /// ```
    pub fn set_muted(&self, muted: bool) {
        self.shared.set_muted(muted);
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}
