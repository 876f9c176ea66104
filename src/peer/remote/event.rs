//! What a remote tells its app.

use std::sync::Arc;

use crate::events::{self, Event};
use crate::media::{RemoteAudioTrack, RemoteVideoTrack};
use crate::peer::data_channel::DataChannel;
use crate::peer::error::{IceCandidateError, NegotiationError};
use crate::peer::state::RemoteState;
use crate::wire::Json;

/// A track that the remote sends.
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
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RemoteMedia {
    /// Pictures.
    Video(RemoteVideoTrack),
    /// Sound.
    Audio(RemoteAudioTrack),
}

/// Something that happened to a remote.
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
pub type RemoteEvents = events::Events<RemoteEvent>;
