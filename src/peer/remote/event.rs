//! What a remote tells its app.

use std::sync::Arc;

use crate::events::{self, Event};
use crate::media::{RemoteAudioTrack, RemoteVideoTrack};
use crate::peer::data_channel::DataChannel;
use crate::peer::error::{IceCandidateError, NegotiationError};
use crate::peer::state::RemoteState;
use crate::wire::Json;

/// A track that the remote sends.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Filmed { camera, track, .. }| {
/// use metered_realtime::peer::RemoteTrack;
/// let RemoteTrack { track_id, kind, codec, stream_ids, .. } = &*track;
/// assert_eq!((*kind, codec.as_str(), track_id.as_str()), ("video", "video/VP8", camera.id()));
/// println!("{track_id} of {stream_ids:?}");
/// assert!(track.video().is_some() && track.audio().is_none());
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct RemoteTrack {
    /// The track's id. Some browsers mint their own; the metadata is found all the same.
    pub track_id: String,
    /// `audio` or `video`.
    pub kind: &'static str,
    /// Such as `video/VP8`: what the remote prefers; empty while unknown.
    pub codec: String,
    /// The streams that it belongs to.
    pub stream_ids: Vec<String>,
    /// What the remote says of it. An object.
    pub metadata: Option<Json>,
    /// What comes on it.
    pub media: RemoteMedia,
}

impl RemoteTrack {
    /// Its pictures, if it has any.
    pub const fn video(&self) -> Option<&RemoteVideoTrack> {
        match &self.media {
            RemoteMedia::Video(track) => Some(track),
            RemoteMedia::Audio(_) => None,
        }
    }

    /// Its sound, if it has any.
    pub const fn audio(&self) -> Option<&RemoteAudioTrack> {
        match &self.media {
            RemoteMedia::Audio(track) => Some(track),
            RemoteMedia::Video(_) => None,
        }
    }
}

/// What comes on a track.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Heard { track, .. }| {
/// use metered_realtime::media::audio::PcmFormat;
/// use metered_realtime::peer::RemoteMedia;
/// match &track.media {
///     RemoteMedia::Audio(sound) => {
///         let output = sound.playout(PcmFormat::OPUS_STEREO)?; // to the loudspeaker's thread
///         # let _ = output;
///     }
///     RemoteMedia::Video(pictures) => {
///         let frames = pictures.frames(); // to the decoder's
///         # let _ = frames;
///     }
///     _ => println!("of a newer version"),
/// }
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RemoteMedia {
    /// Pictures.
    Video(RemoteVideoTrack),
    /// Sound.
    Audio(RemoteAudioTrack),
}

/// Something that happened to a remote.
///
/// ```
/// use metered_realtime::peer::RemoteEvent;
/// /// What changes on the screen.
/// fn change(event: &RemoteEvent) -> Option<String> {
///     Some(match event {
///         RemoteEvent::Track(track) => format!("a view for {}", track.track_id),
///         RemoteEvent::TrackRemoved { track_id } => format!("no view for {track_id} any more"),
///         RemoteEvent::DataChannel(channel) => format!("the channel {}", channel.label()),
///         RemoteEvent::NegotiationError(error) if error.name == "IceRestartExhaustedError" => {
///             format!("no way to them. {}", error.diagnosis)
///         }
///         _ => return None, // mended without the user
///     })
/// }
/// let gone = RemoteEvent::TrackRemoved { track_id: "camera".into() };
/// assert_eq!(change(&gone).as_deref(), Some("no view for camera any more"));
/// assert_eq!(gone.name(), "track-removed");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RemoteEvent {
    /// The connection's state changed.
    StateChange {
        /// The state before.
        from: RemoteState,
        /// The state now.
        to: RemoteState,
    },
    /// A step of the negotiation failed.
    NegotiationError(Arc<NegotiationError>),
    /// A STUN or TURN server does not serve, or a candidate of the remote could not be used.
    IceCandidateError(Arc<IceCandidateError>),
    /// The remote sends a track.
    Track(Arc<RemoteTrack>),
    /// The remote opened a data channel.
    DataChannel(DataChannel),
    /// The first track of a stream came.
    StreamAdded {
        /// The stream.
        stream_id: String,
        /// What the remote says of it. An object.
        metadata: Option<Json>,
    },
    /// The remote sends a track no more; its sinks end.
    TrackRemoved {
        /// The track.
        track_id: String,
    },
    /// The last track of a stream went.
    StreamRemoved {
        /// The stream.
        stream_id: String,
    },
    /// The connection was made anew: data channels that are not durable are closed, and the app may open
    /// them again now.
    ConnectionReset,
    /// This subscriber was too slow: so many of its oldest waiting events were dropped.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl RemoteEvent {
    /// The JavaScript SDK's name of the event; ours where it has none.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::StateChange { .. } => "state-change",
            Self::NegotiationError(_) => "negotiation-error",
            Self::IceCandidateError(_) => "ice-candidate-error",
            Self::Track(_) => "track",
            Self::DataChannel(_) => "data-channel",
            Self::StreamAdded { .. } => "stream-added",
            Self::StreamRemoved { .. } => "stream-removed",
            Self::TrackRemoved { .. } => "track-removed",
            Self::ConnectionReset => "connection-reset",
            Self::Lagged { .. } => "lagged",
        }
    }
}

impl Event for RemoteEvent {
    fn lagged(missed: u64) -> Self {
        Self::Lagged { missed }
    }
}

/// A subscription to a remote's events.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Met { bob, to_bob, .. }| {
/// use metered_realtime::peer::RemoteEvents;
/// let mut events: RemoteEvents = to_bob.events();
/// bob.close().await;
/// while let Some(event) = events.next().await {
///     println!("{}", event.name()); // up to the last change of state
/// }
/// # Ok(())
/// # });
/// ```
pub type RemoteEvents = events::Events<RemoteEvent>;
