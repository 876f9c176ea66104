//! Where events come from: one stream of all sources, each in its own order.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use metered_realtime::peer::{
    DataChannelEvent, DataChannelEvents, PeerEvent, PeerEvents, RemoteEvent, RemoteEvents,
    RemoteTrack,
};
use metered_realtime::signalling::{Event, Events};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::media::record::RecordEvent;

/// An event with the source that tells it.
pub(super) enum SourceEvent {
    Signalling(Event),
    Peer(PeerEvent),
    Remote(Arc<str>, RemoteEvent),
    Channel(Arc<str>, DataChannelEvent),
    /// A remote track's figures.
    TrackStats(Arc<str>, Value),
    Recording(RecordEvent),
}

/// Between two events with a track's figures.
const STATS_PAUSE: Duration = Duration::from_secs(1);

/// Figures of a track, once a second until it ends.
fn figures(track: &RemoteTrack) -> BoxStream<'static, SourceEvent> {
    let id = Arc::<str>::from(track.track_id.as_str());
    if let Some(video) = track.video().cloned() {
        let frames = video.frames();
        return futures_util::stream::unfold(
            (id, video, frames),
            |(id, video, mut frames)| async {
                let over = async { while frames.next().await.is_some() {} };
                let ended = tokio::time::timeout(STATS_PAUSE, over).await.is_ok();
                let stats = SourceEvent::TrackStats(Arc::clone(&id), json!(video.stats()));
                (!ended).then_some((stats, (id, video, frames)))
            },
        )
        .boxed();
    }
    let Some(audio) = track.audio().cloned() else {
        return futures_util::stream::empty().boxed();
    };
    let packets = audio.packets();
    futures_util::stream::unfold((id, audio, packets), |(id, audio, mut packets)| async {
        let over = async { while packets.next().await.is_some() {} };
        let ended = tokio::time::timeout(STATS_PAUSE, over).await.is_ok();
        let mut stats = json!(audio.stats());
        // A frame of sound is a packet.
        stats["framesReceived"] = stats["packetsReceived"].clone();
        let stats = SourceEvent::TrackStats(Arc::clone(&id), stats);
        (!ended).then_some((stats, (id, audio, packets)))
    })
    .boxed()
}

#[derive(Default)]
pub(super) struct Sources(SelectAll<BoxStream<'static, SourceEvent>>);

impl Sources {
    pub(super) fn add_signalling(&mut self, events: Events) {
        self.0.push(events.map(SourceEvent::Signalling).boxed());
    }

    pub(super) fn add_peer(&mut self, events: PeerEvents) {
        self.0.push(events.map(SourceEvent::Peer).boxed());
    }

    pub(super) fn add_remote(&mut self, id: &str, events: RemoteEvents) {
        let id = Arc::<str>::from(id);
        self.0.push(events.map(move |event| SourceEvent::Remote(Arc::clone(&id), event)).boxed());
    }

    pub(super) fn add_channel(&mut self, id: &str, events: DataChannelEvents) {
        let id = Arc::<str>::from(id);
        self.0.push(events.map(move |event| SourceEvent::Channel(Arc::clone(&id), event)).boxed());
    }

    pub(super) fn add_track(&mut self, track: &RemoteTrack) {
        self.0.push(figures(track));
    }

    pub(super) fn add_recordings(&mut self, told: UnboundedReceiver<RecordEvent>) {
        let events = futures_util::stream::unfold(told, |mut told| async {
            let event = told.recv().await?;
            Some((SourceEvent::Recording(event), told))
        });
        self.0.push(events.boxed());
    }

    /// The next event; pending while there is no source.
    pub(super) async fn next(&mut self) -> SourceEvent {
        match self.0.next().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// An event that is there already.
    pub(super) fn waiting(&mut self) -> Option<SourceEvent> {
        self.0.next().now_or_never()?
    }
}
