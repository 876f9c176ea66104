//! Pictures and sound without camera and microphone: what `rpc`, `call` and `demo` send, and files of what
//! they receive.
//!
//! A [`Source`] says what to send; opened it is a [`Media`], which makes its track and feeds it. [`record`]
//! writes what a remote's track brings.

mod behind;
mod clip;
mod error;
mod filler;
mod pattern;
pub(crate) mod record;
mod sound;
mod source;
pub(crate) mod watch;
mod whole;

use metered_realtime::media::{LocalAudioTrack, LocalTrack, LocalVideoTrack, MediaKind};

use self::clip::Clip;
pub(crate) use self::error::{Named, SourceError, not_taken};
use self::sound::Sound;
pub(crate) use self::source::Source;
pub(crate) use self::whole::Cut;
#[cfg(test)]
mod tests;

/// A source that was opened.
pub(crate) enum Media {
    Video(Clip),
    Audio(Sound),
}

impl Media {
    pub(crate) const fn kind(&self) -> MediaKind {
        match self {
            Self::Video(_) => MediaKind::Video,
            Self::Audio(_) => MediaKind::Audio,
        }
    }

    /// Where its file is cut off; what is whole before that is sent.
    pub(crate) const fn cut(&self) -> Option<&Cut> {
        match self {
            Self::Video(clip) => clip.cut(),
            Self::Audio(sound) => sound.cut(),
        }
    }

    /// A track for it, with this id or one of its own.
    pub(crate) fn track(&self, id: Option<String>) -> LocalTrack {
        match (self, id) {
            (Self::Video(clip), Some(id)) => (&LocalVideoTrack::with_id(clip.codec(), id)).into(),
            (Self::Video(clip), None) => (&LocalVideoTrack::new(clip.codec())).into(),
            (Self::Audio(_), Some(id)) => (&LocalAudioTrack::with_id(id)).into(),
            (Self::Audio(_), None) => (&LocalAudioTrack::default()).into(),
        }
    }

    /// Feeds a track that [`track`](Self::track) made, to the end of the source or until dropped.
    ///
    /// # Errors
    /// [`SourceError`] when the source's content cannot be sent.
    pub(crate) async fn play(self, track: LocalTrack) -> Result<(), SourceError> {
        match (self, track) {
            (Self::Video(clip), LocalTrack::Video(track)) => clip.play(&track).await,
            (Self::Audio(sound), LocalTrack::Audio(track)) => sound.play(&track).await,
            (media, _) => Err(SourceError::OtherKind { wanted: media.kind().as_str() }),
        }
    }
}
