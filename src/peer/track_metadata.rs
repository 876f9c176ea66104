//! What remotes say of their tracks, remembered until the tracks come.

use std::collections::{HashMap, VecDeque};

use crate::wire::{Json, TrackMetadata};

/// Entries per remote, the oldest forgotten first (JavaScript SDK 1.2.0).
const MAX_ENTRIES: usize = 512;
/// Bytes of all entries of one remote.
const MAX_BYTES: usize = 1024 * 1024;

/// Clearing the metadata of this track, which no sender has, says that one has nothing to offer now. To official
/// SDKs it is a track that they do not know, which they pass over.
const NOTHING_TO_OFFER: &str = "nothing-to-offer";

/// Says that we have nothing to offer.
pub(crate) fn nothing_to_offer() -> TrackMetadata {
    let track_id = NOTHING_TO_OFFER.to_owned();
    TrackMetadata { track_id, metadata: None, stream_id: None, kind: None }
}

/// Whether who says that will offer something soon; `None` if it tells nothing of that.
pub(crate) fn announces_an_offer(said: &TrackMetadata) -> Option<bool> {
    match &said.metadata {
        Some(_) => Some(true),
        None if said.track_id == NOTHING_TO_OFFER => Some(false),
        None => None,
    }
}

/// The metadata of one remote's tracks.
#[derive(Debug, Default)]
pub(crate) struct TrackMetadataCache {
    entries: HashMap<String, TrackMetadata>,
    order: VecDeque<String>,
    bytes: usize,
}

fn size(said: &TrackMetadata) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let metadata = said.metadata.as_ref().map_or(0, |json| json.as_str().len());
    said.track_id.len() + metadata + text(&said.stream_id) + text(&said.kind)
}

impl TrackMetadataCache {
    /// A message of the remote: sets, or clears without metadata.
    pub(crate) fn note(&mut self, said: TrackMetadata) {
        let id = said.track_id.clone();
        if said.metadata.is_none() {
            self.remove(&id);
            self.order.retain(|known| *known != id);
            return;
        }
        self.bytes += size(&said);
        match self.entries.insert(id.clone(), said) {
            Some(before) => self.bytes -= size(&before),
            None => self.order.push_back(id),
        }
        while self.order.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, id: &str) {
        self.bytes -= self.entries.remove(id).as_ref().map_or(0, size);
    }

    /// By the track's id; else by stream and kind if only one entry can be meant, because some browsers mint
    /// track ids of their own.
    pub(crate) fn of_track(&self, id: &str, streams: &[String], kind: &str) -> Option<Json> {
        if let Some(entry) = self.entries.get(id) {
            return entry.metadata.clone();
        }
        let mut meant = self.entries.values().filter(|entry| {
            entry.kind.as_deref() == Some(kind)
                && entry.stream_id.as_ref().is_some_and(|stream| streams.contains(stream))
        });
        let only = meant.next()?;
        if meant.next().is_some() { None } else { only.metadata.clone() }
    }

    /// What any track of a stream says; a stream's metadata is stamped on each of its tracks.
    pub(crate) fn of_stream(&self, stream: &str) -> Option<Json> {
        let mut meant = self.order.iter().filter_map(|id| self.entries.get(id));
        meant.find(|entry| entry.stream_id.as_deref() == Some(stream))?.metadata.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(id: &str, stream: &str, value: Option<&str>) -> TrackMetadata {
        TrackMetadata {
            track_id: id.into(),
            metadata: value.map(|value| Json::parse(value).unwrap()),
            stream_id: Some(stream.into()),
            kind: Some("video".into()),
        }
    }

    #[test]
    fn a_track_with_an_id_of_its_own_is_found_by_its_stream_unless_two_could_be_meant() {
        let mut cache = TrackMetadataCache::default();
        cache.note(said("t", "s", Some("{}")));
        let streams = ["s".to_owned()];
        assert!(cache.of_track("t", &[], "audio").is_some());
        assert!(cache.of_track("minted", &streams, "video").is_some());
        assert!(cache.of_track("minted", &streams, "audio").is_none());
        assert!(cache.of_stream("s").is_some());
        cache.note(said("u", "s", Some("{}")));
        assert!(cache.of_track("minted", &streams, "video").is_none());
        cache.note(said("u", "s", None));
        assert!(cache.of_track("minted", &streams, "video").is_some());
    }

    #[test]
    fn a_flood_forgets_the_oldest() {
        let mut cache = TrackMetadataCache::default();
        for n in 0..10_000 {
            cache.note(said(&n.to_string(), "s", Some("{}")));
        }
        assert_eq!((cache.entries.len(), cache.order.len()), (MAX_ENTRIES, MAX_ENTRIES));
        assert!(cache.of_track("0", &[], "video").is_none());
        assert!(cache.of_track("9999", &[], "video").is_some());
        let large = format!("\"{}\"", "x".repeat(60_000));
        for n in 0..1_000 {
            let metadata = format!("{{\"note\":{large}}}");
            cache.note(said(&n.to_string(), "s", Some(&metadata)));
        }
        assert!(cache.bytes <= MAX_BYTES && cache.order.len() == cache.entries.len());
        for n in 0..1_000 {
            cache.note(said(&n.to_string(), "s", None));
        }
        assert_eq!((cache.bytes, cache.entries.len()), (0, 0));
    }
}
