//! Tracks of the remote: each announced once, and read until it ends, so that nothing piles up.

use std::sync::{Arc, Mutex, PoisonError};

use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use webrtc::media_stream::track_remote::TrackRemote;

use crate::rtc::engine::{ConnectionEvent, RemoteTrackInfo};

/// Tracks of one remote that are read; those beyond are announced and not read.
const MAX_TRACKS: usize = 64;

#[derive(Debug)]
pub(super) struct Tracks {
    events: mpsc::UnboundedSender<ConnectionEvent>,
    readers: Mutex<JoinSet<()>>,
}

impl Tracks {
    pub(super) fn new(events: mpsc::UnboundedSender<ConnectionEvent>) -> Self {
        Self { events, readers: Mutex::new(JoinSet::new()) }
    }

    pub(super) async fn add(&self, track: Arc<dyn TrackRemote>) {
        let kind = match track.kind().await {
            RtpCodecKind::Audio => "audio",
            RtpCodecKind::Video => "video",
            _ => return,
        };
        let codec = match track.ssrcs().await.first() {
            Some(ssrc) => track.codec(*ssrc).await.map(|codec| codec.mime_type),
            None => None,
        };
        let info = RemoteTrackInfo {
            track_id: track.track_id().await,
            stream_ids: vec![track.stream_id().await],
            kind,
            codec: codec.unwrap_or_default(),
        };
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        while readers.try_join_next().is_some() {}
        if readers.len() < MAX_TRACKS {
            // The crate counts what is read; the counts are in the statistics.
            readers.spawn(async move { while track.poll().await.is_some() {} });
        }
        // Without a reader of the queue the connection is being closed.
        drop(self.events.send(ConnectionEvent::Track(info)));
    }

    /// Ends all readers.
    pub(super) async fn close(&self) {
        let mut readers =
            std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner));
        readers.shutdown().await;
    }
}
