//! The tracks of a [`MeteredPeer`]: what everyone in the room gets, now and later.

use super::MeteredPeer;
use super::error::PeerError;
use super::state::PeerState;
use super::tracks::{Refusal, Tracks};
use crate::media::{LocalTrack, MediaStream};
use crate::wire::{Json, PeerPayload, TrackMetadata};

impl MeteredPeer {
    /// Sends a track to everyone in the room, and to everyone who comes; before the join as well.
    ///
    /// With a stream the remotes get it as part of that stream. `metadata`, an object, reaches them before the
    /// track does. Adding a track again with the same stream changes nothing; with another one it is an error
    /// (`track_already_attached`).
    pub fn add_track(
        &self,
        track: impl Into<LocalTrack>,
        stream: Option<&MediaStream>,
        metadata: Option<&Json>,
    ) -> Result<(), PeerError> {
        self.may_publish("add_track")?;
        self.add("add_track", track.into(), stream.map(MediaStream::id), metadata)
    }

    /// Stops sending a track. One that was never added is none, and that is no error.
    pub fn remove_track(&self, track_id: &str) -> Result<(), PeerError> {
        self.may_publish("remove_track")?;
        self.change(|tracks| tracks.remove(track_id));
        Ok(())
    }

    /// Puts another track in a track's place, without a negotiation: the remotes see the same track go on.
    /// `None` silences it for those who have it, and forgets it. Not possible while reconnecting.
    ///
    /// The new track must have the old one's codec; otherwise nothing changes, and the error names the peers
    /// that keep the old one.
    pub fn replace_track(&self, track_id: &str, new: Option<&LocalTrack>) -> Result<(), PeerError> {
        const METHOD: &str = "replace_track";
        self.may_publish(METHOD)?;
        if self.state() == PeerState::Reconnecting {
            return Err(self.wrong_state(METHOD));
        }
        let mut result = Ok(());
        self.change(|tracks| {
            result = tracks.replace(track_id, new.cloned());
            result.is_ok()
        });
        result.map_err(|refusal| match refusal {
            Refusal::OtherStream => PeerError::TrackAlreadyAttached { method: METHOD },
            Refusal::Unknown => PeerError::InvalidArgument { what: "the track was never added" },
            Refusal::OtherCodec => PeerError::ReplaceTrack {
                succeeded: Vec::new(),
                failed: self.remote_peers().iter().map(|peer| peer.id().to_owned()).collect(),
            },
        })
    }

    /// Adds every track of a stream; `metadata` is said of each.
    pub fn add_stream(
        &self,
        stream: &MediaStream,
        metadata: Option<&Json>,
    ) -> Result<(), PeerError> {
        const METHOD: &str = "add_stream";
        self.may_publish(METHOD)?;
        for track in stream.tracks() {
            self.add(METHOD, track.clone(), Some(stream.id()), metadata)?;
        }
        Ok(())
    }

    /// Removes every track of a stream.
    pub fn remove_stream(&self, stream: &MediaStream) -> Result<(), PeerError> {
        self.may_publish("remove_stream")?;
        self.change(|tracks| {
            let removed = stream.tracks().iter().filter(|track| tracks.remove(track.id())).count();
            removed > 0
        });
        Ok(())
    }

    /// What was said of a track when it was added.
    pub fn track_metadata(&self, track_id: &str) -> Option<Json> {
        self.inner.shared.tracks.borrow().get(track_id)?.metadata.clone()
    }

    /// What was said of a stream's first track that is published.
    pub fn stream_metadata(&self, stream: &MediaStream) -> Option<Json> {
        self.inner.shared.tracks.borrow().of_stream(stream)
    }

    fn may_publish(&self, method: &'static str) -> Result<(), PeerError> {
        match self.state() {
            PeerState::Leaving | PeerState::Closed => Err(self.wrong_state(method)),
            _ => Ok(()),
        }
    }

    fn add(
        &self,
        method: &'static str,
        track: LocalTrack,
        stream_id: Option<&str>,
        metadata: Option<&Json>,
    ) -> Result<(), PeerError> {
        if let Some(metadata) = metadata {
            self.check_metadata(&track, stream_id, metadata)?;
        }
        let mut result = Ok(false);
        self.change(|tracks| {
            result = tracks.add(track, stream_id, metadata.cloned());
            result == Ok(true)
        });
        result.map(drop).map_err(|_| PeerError::TrackAlreadyAttached { method })
    }

    /// One that the service refuses would be sent again at every reconnect.
    fn check_metadata(
        &self,
        track: &LocalTrack,
        stream_id: Option<&str>,
        metadata: &Json,
    ) -> Result<(), PeerError> {
        if !metadata.as_str().starts_with('{') {
            return Err(PeerError::InvalidArgument {
                what: "the metadata of a track is an object",
            });
        }
        let said = PeerPayload::TrackMetadata(TrackMetadata {
            track_id: track.id().to_owned(),
            metadata: Some(metadata.clone()),
            stream_id: stream_id.map(str::to_owned),
            kind: Some(track.kind().as_str().to_owned()),
        });
        let size = said.encode().ok().flatten().map_or(0, |json| json.as_str().len());
        let cap = self.inner.shared.client.max_message_size();
        if size > cap { Err(PeerError::MetadataTooLarge { size, cap }) } else { Ok(()) }
    }

    fn change(&self, change: impl FnOnce(&mut Tracks) -> bool) {
        self.inner.shared.tracks.send_if_modified(change);
    }
}
