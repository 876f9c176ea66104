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
    ///
    /// # Errors
    /// [`PeerError::TrackAlreadyAttached`]; [`PeerError::MetadataTooLarge`] beyond a message's bytes;
    /// [`PeerError::InvalidArgument`] for metadata that is no object; [`PeerError::State`] once the peer is closed.
    ///
    /// ```
    /// use metered_realtime::media::{LocalVideoTrack, VideoCodec};
    /// use metered_realtime::wire::Json;
    /// # use metered_realtime::peer::{MeteredPeer, PeerOptions};
    /// # let peer = MeteredPeer::new(PeerOptions::with_api_key("pk_live_example")?)?;
    /// let screen = LocalVideoTrack::new(VideoCodec::Vp9);
    /// let about = Json::from_serialize(&serde_json::json!({ "source": "screen" }))?;
    /// peer.add_track(&screen, None, Some(&about))?; // before the join, or at any time after it
    /// assert_eq!(peer.track_metadata(screen.id()), Some(about));
    /// peer.remove_track(screen.id())?;
    /// assert_eq!(peer.track_metadata(screen.id()), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// # Errors
    /// [`PeerError::State`] once the peer is closed.
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
    ///
    /// # Errors
    /// [`PeerError::ReplaceTrack`] for another codec, [`PeerError::InvalidArgument`] for a track that was never
    /// added, [`PeerError::TrackAlreadyAttached`] if the new one is published already, [`PeerError::State`] while
    /// reconnecting and once the peer is closed.
    ///
    /// ```
    /// use metered_realtime::media::{LocalTrack, LocalVideoTrack, VideoCodec};
    /// # use metered_realtime::peer::{MeteredPeer, PeerOptions};
    /// # let peer = MeteredPeer::new(PeerOptions::with_api_key("pk_live_example")?)?;
    /// let (front, back) = (LocalVideoTrack::new(VideoCodec::H264), LocalVideoTrack::new(VideoCodec::H264));
    /// peer.add_track(&front, None, None)?;
    /// peer.replace_track(front.id(), Some(&LocalTrack::from(&back)))?; // the other camera
    /// peer.replace_track(back.id(), None)?; // none
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// # Errors
    /// As [`add_track`](Self::add_track), for the first track that is refused; those before it stay added.
    ///
    /// ```
    /// use metered_realtime::media::{LocalAudioTrack, LocalVideoTrack, MediaStream, VideoCodec};
    /// use metered_realtime::wire::Json;
    /// # use metered_realtime::peer::{MeteredPeer, PeerOptions};
    /// # let peer = MeteredPeer::new(PeerOptions::with_api_key("pk_live_example")?)?;
    /// let (camera, microphone) = (LocalVideoTrack::new(VideoCodec::H264), LocalAudioTrack::default());
    /// let stream = MediaStream::default().with_track(&camera).with_track(&microphone);
    /// let about = Json::parse(r#"{"seat":3}"#)?;
    /// peer.add_stream(&stream, Some(&about))?;
    /// assert_eq!(peer.stream_metadata(&stream), Some(about));
    /// peer.remove_stream(&stream)?; // both tracks
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// # Errors
    /// [`PeerError::State`] once the peer is closed.
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
