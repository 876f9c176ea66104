//! The tracks that a remote sends, the streams that they make up, and who reads them.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::task::JoinSet;

use super::event::{RemoteEvent, RemoteMedia, RemoteTrack};
use crate::events::Hub;
use crate::media::{self, Inbound, Sounds};
use crate::peer::track_metadata::TrackMetadataCache;
use crate::rtc::engine::TrackReceiver;
use crate::rtc::stats::ConnectionStats;

/// Tracks of one remote that are taken, streams included: beyond them it is not calling.
const MAX_TRACKS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Streams {
    /// In the order in which they came.
    tracks: Vec<(String, Arc<RemoteTrack>)>,
    readers: JoinSet<()>,
    sounds: Sounds,
}

impl Streams {
    fn carries(&self, stream: &str) -> bool {
        self.tracks.iter().any(|(_, track)| track.stream_ids.iter().any(|id| id == stream))
    }

    /// The remote sends a track by way of an m-line.
    pub(super) fn add(
        &mut self,
        receiver: Arc<dyn TrackReceiver>,
        said: &TrackMetadataCache,
        hub: &Hub<RemoteEvent>,
    ) {
        while self.readers.try_join_next().is_some() {}
        let info = receiver.info().clone();
        self.end(&info.mid, hub);
        if self.tracks.len() >= MAX_TRACKS {
            return tracing::warn!("a remote sends more than 64 tracks; this one is not taken");
        }
        let metadata = said.of_track(&info.track_id, &info.stream_ids, info.kind.as_str());
        for stream_id in info.stream_ids.iter().filter(|stream| !self.carries(stream)) {
            let metadata = said.of_stream(stream_id).or_else(|| metadata.clone());
            let stream_id = stream_id.clone();
            hub.publish(&RemoteEvent::StreamAdded { stream_id, metadata });
        }
        let (media, work) = match media::receive(receiver, &self.sounds) {
            Inbound::Video(track, work) => (RemoteMedia::Video(track), work),
            Inbound::Audio(track, work) => (RemoteMedia::Audio(track), work),
        };
        self.readers.spawn(work.boxed());
        let track = Arc::new(RemoteTrack {
            track_id: info.track_id,
            kind: info.kind.as_str(),
            codec: info.codec,
            stream_ids: info.stream_ids,
            metadata,
            media,
        });
        self.tracks.push((info.mid, Arc::clone(&track)));
        hub.publish(&RemoteEvent::Track(track));
    }

    /// It sends it no more: the reader ends with the receiver.
    pub(super) fn end(&mut self, mid: &str, hub: &Hub<RemoteEvent>) {
        let Some(at) = self.tracks.iter().position(|(known, _)| known == mid) else { return };
        let (_, track) = self.tracks.remove(at);
        let track_id = track.track_id.clone();
        hub.publish(&RemoteEvent::TrackRemoved { track_id });
        for stream_id in track.stream_ids.iter().filter(|stream| !self.carries(stream)) {
            let stream_id = stream_id.clone();
            hub.publish(&RemoteEvent::StreamRemoved { stream_id });
        }
    }

    /// Adds what is known here to a connection's figures, which know tracks that are sent no more as well.
    pub(super) fn complete(&self, stats: &mut ConnectionStats) {
        stats.tracks.retain_mut(|figures| {
            if figures.direction != "inbound" {
                return true;
            }
            let known = self.tracks.iter().find(|(_, track)| track.track_id == figures.track_id);
            let Some((_, track)) = known else { return false };
            match &track.media {
                RemoteMedia::Video(video) => {
                    let seen = video.stats();
                    figures.frames = seen.frames_received;
                    figures.key_frames = seen.key_frames_received;
                    figures.key_frames_asked = seen.key_frames_asked;
                    figures.freezes = seen.freezes;
                    figures.jitter_ms = Some(seen.jitter_ms);
                }
                RemoteMedia::Audio(audio) => {
                    let heard = audio.stats();
                    figures.concealed_samples = heard.concealed_samples;
                    figures.jitter_ms = Some(heard.jitter_ms);
                }
            }
            true
        });
    }

    /// The connection that they came by is gone.
    pub(super) fn clear(&mut self, hub: &Hub<RemoteEvent>) {
        while let Some((mid, _)) = self.tracks.first().cloned() {
            self.end(&mid, hub);
        }
    }

    /// Ends every reader.
    pub(super) async fn close(&mut self, hub: &Hub<RemoteEvent>) {
        self.clear(hub);
        self.readers.shutdown().await;
    }
}
