//! Tracks that we send, of either kind: what is written is cut once and handed to the sender of every remote.
//!
//! A track knows its senders and nothing of connections. It tells its source what the remotes need by
//! [`LocalTrackEvent`]; the source tells the remotes nothing.

mod error;
mod event;
mod shared;
mod stream;
mod targets;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::error::WriteError;
pub use self::event::{LocalTrackEvent, LocalTrackEvents};
pub(crate) use self::shared::{Attachment, Parcel, Shared};
pub use self::stream::MediaStream;
pub use self::targets::Target;
use super::local_audio::LocalAudioTrack;
use super::local_video::LocalVideoTrack;
use crate::rtc::engine::MediaKind;

/// A track of either kind.
///
/// ```
/// use metered_realtime::media::{LocalAudioTrack, LocalTrack, LocalVideoTrack, MediaKind, VideoCodec};
/// let tracks = [
///     LocalTrack::from(&LocalVideoTrack::with_id(VideoCodec::H264, "camera")),
///     LocalTrack::from(&LocalAudioTrack::with_id("microphone")),
/// ];
/// let pictures = tracks.iter().find(|track| track.kind() == MediaKind::Video);
/// assert_eq!(pictures.map(LocalTrack::id), Some("camera"));
/// ```
#[derive(Clone, Debug)]
pub enum LocalTrack {
    /// Pictures.
    Video(LocalVideoTrack),
    /// Sound.
    Audio(LocalAudioTrack),
}

impl LocalTrack {
    /// Its id.
    pub fn id(&self) -> &str {
        self.shared().id()
    }

    /// What it carries.
    pub fn kind(&self) -> MediaKind {
        self.shared().kind()
    }

    pub(crate) fn mime_type(&self) -> &'static str {
        self.shared().mime_type()
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        match self {
            Self::Video(track) => track.shared(),
            Self::Audio(track) => track.shared(),
        }
    }
}

impl From<&LocalVideoTrack> for LocalTrack {
    fn from(track: &LocalVideoTrack) -> Self {
        Self::Video(track.clone())
    }
}

impl From<&LocalAudioTrack> for LocalTrack {
    fn from(track: &LocalAudioTrack) -> Self {
        Self::Audio(track.clone())
    }
}

impl From<&Self> for LocalTrack {
    fn from(track: &Self) -> Self {
        track.clone()
    }
}

/// 128 random bits, as browsers name their tracks and streams.
pub(super) fn random_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
