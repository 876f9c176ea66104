//! Local tracks that belong together.

use super::{LocalTrack, random_id};

/// Tracks that belong together: a remote plays them in time with each other.
///
/// ```
/// use metered_realtime::media::{LocalAudioTrack, LocalVideoTrack, MediaStream, VideoCodec};
///
/// let (camera, microphone) = (LocalVideoTrack::new(VideoCodec::H264), LocalAudioTrack::default());
/// let stream = MediaStream::default().with_track(&camera).with_track(&microphone);
/// assert_eq!(stream.tracks().len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct MediaStream {
    id: String,
    tracks: Vec<LocalTrack>,
}

impl Default for MediaStream {
    fn default() -> Self {
        Self::with_id(random_id())
    }
}

impl MediaStream {
    /// An empty stream with this id.
    ///
    /// ```
    /// use metered_realtime::media::{LocalAudioTrack, MediaStream};
    /// let stream = MediaStream::with_id("stage").with_track(&LocalAudioTrack::default());
    /// assert_eq!((stream.id(), stream.tracks().len()), ("stage", 1)); // the remotes see that id
    /// ```
    pub fn with_id(id: impl Into<String>) -> Self {
        Self { id: id.into(), tracks: Vec::new() }
    }

    /// Adds a track; one that is in the stream already stays as it is.
    #[must_use]
    pub fn with_track(mut self, track: impl Into<LocalTrack>) -> Self {
        let track = track.into();
        if self.tracks.iter().all(|known| known.id() != track.id()) {
            self.tracks.push(track);
        }
        self
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its tracks.
    pub fn tracks(&self) -> &[LocalTrack] {
        &self.tracks
    }
}
