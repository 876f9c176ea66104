//! The tracks that a peer publishes: what every remote shall get. Pure.
//!
//! Rules of the JavaScript SDK 1.2.0: a track is added once, with the stream and metadata of the first call; a
//! replaced one goes on under its successor's id; one replaced by nothing is silent where it is, and forgotten.

use crate::media::{LocalTrack, MediaKind, MediaStream};
use crate::wire::Json;

/// A track that is published.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// The id that descriptions name: the first track's behind it.
    pub(crate) wire_id: String,
    /// `None` if it is silent, for those who have it.
    pub(crate) track: Option<LocalTrack>,
    pub(crate) kind: MediaKind,
    pub(crate) mime_type: &'static str,
    pub(crate) stream_id: Option<String>,
    pub(crate) metadata: Option<Json>,
}

impl Published {
    fn is(&self, id: &str) -> bool {
        self.track.as_ref().is_some_and(|track| track.id() == id)
    }
}

/// Why a track was not added or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    OtherStream,
    Unknown,
    OtherCodec,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Tracks(Vec<Published>);

impl Tracks {
    pub(crate) fn all(&self) -> &[Published] {
        &self.0
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Published> {
        self.0.iter().find(|published| published.is(id))
    }

    /// Whether it is new.
    pub(crate) fn add(
        &mut self,
        track: LocalTrack,
        stream_id: Option<&str>,
        metadata: Option<Json>,
    ) -> Result<bool, Refusal> {
        if let Some(known) = self.get(track.id()) {
            let same = known.stream_id.as_deref() == stream_id;
            return if same { Ok(false) } else { Err(Refusal::OtherStream) };
        }
        // An id that a silent or replaced one left on the wire is not used twice.
        let taken = |id: &String| self.0.iter().any(|known| known.wire_id == *id);
        let mut wire_id = track.id().to_owned();
        for n in 2.. {
            if !taken(&wire_id) {
                break;
            }
            wire_id = format!("{}-{n}", track.id());
        }
        self.0.push(Published {
            wire_id,
            kind: track.kind(),
            mime_type: track.mime_type(),
            track: Some(track),
            stream_id: stream_id.map(str::to_owned),
            metadata,
        });
        Ok(true)
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|published| !published.is(id));
        self.0.len() < before
    }

    pub(crate) fn replace(&mut self, id: &str, new: Option<LocalTrack>) -> Result<(), Refusal> {
        if let Some(new) = &new
            && new.id() != id
            && self.get(new.id()).is_some()
        {
            return Err(Refusal::OtherStream);
        }
        let known = self.0.iter_mut().find(|known| known.is(id)).ok_or(Refusal::Unknown)?;
        if new.as_ref().is_some_and(|new| new.mime_type() != known.mime_type) {
            return Err(Refusal::OtherCodec);
        }
        if new.is_none() {
            known.metadata = None;
        }
        known.track = new;
        Ok(())
    }

    /// The metadata of the first track of a stream that is published.
    pub(crate) fn of_stream(&self, stream: &MediaStream) -> Option<Json> {
        let mut known = stream.tracks().iter().filter_map(|track| self.get(track.id()));
        known.next()?.metadata.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{LocalAudioTrack, LocalVideoTrack, VideoCodec};

    fn video(id: &str) -> LocalTrack {
        (&LocalVideoTrack::with_id(VideoCodec::Vp8, id)).into()
    }

    #[test]
    fn a_track_is_added_once_and_replaced_under_one_id_on_the_wire() {
        let mut tracks = Tracks::default();
        assert_eq!(tracks.add(video("a"), Some("s"), None), Ok(true));
        assert_eq!(tracks.add(video("a"), Some("s"), None), Ok(false));
        assert_eq!(tracks.add(video("a"), None, None), Err(Refusal::OtherStream));
        assert_eq!(tracks.replace("x", None), Err(Refusal::Unknown));
        let audio = LocalTrack::from(&LocalAudioTrack::with_id("audio"));
        assert_eq!(tracks.replace("a", Some(audio)), Err(Refusal::OtherCodec));
        tracks.replace("a", Some(video("b"))).unwrap();
        assert_eq!(
            (tracks.get("b").unwrap().wire_id.as_str(), tracks.get("a").is_none()),
            ("a", true)
        );
        // The first one again, beside its successor.
        tracks.add(video("a"), None, None).unwrap();
        assert_eq!(tracks.get("a").unwrap().wire_id, "a-2");
        tracks.replace("b", None).unwrap();
        assert!(tracks.get("b").is_none() && tracks.all().len() == 2);
        assert!(tracks.remove("a") && !tracks.remove("a"));
    }
}
