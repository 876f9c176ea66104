//! Where events come from: one stream of all sources, each in its own order.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{BoxStream, SelectAll, Stream, StreamExt};
use metered_realtime::media::{
    AccessUnit, FrameEvent, LocalTrackEvent, LocalTrackEvents, RemoteAudioTrack, RemoteVideoTrack,
};
use metered_realtime::peer::{
    DataChannelEvent, DataChannelEvents, PeerEvent, PeerEvents, RemoteEvent, RemoteEvents,
    RemoteTrack,
};
use metered_realtime::signalling::{Event, Events};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::events;
use crate::media::record::RecordEvent;
use crate::media::watch::Listener;

/// An event with the source that tells it.
pub(super) enum SourceEvent {
    Signalling(Event),
    Peer(PeerEvent),
    Remote(Arc<str>, RemoteEvent),
    Channel(Arc<str>, DataChannelEvent),
    /// What there is to say of a track: the event's name and payload.
    Track(Arc<str>, &'static str, Value),
    Recording(RecordEvent),
}

/// Between two events with a track's figures.
const STATS_PAUSE: Duration = Duration::from_secs(1);

/// A track's figures, once a second until it ends, and its first picture.
fn told(track: &RemoteTrack) -> BoxStream<'static, SourceEvent> {
    let id = Arc::<str>::from(track.track_id.as_str());
    match (track.video(), track.audio()) {
        (Some(video), _) => of_pictures(id, video.clone()).boxed(),
        (None, Some(audio)) => of_sound(id, audio.clone()).boxed(),
        (None, None) => futures_util::stream::empty().boxed(),
    }
}

fn of_pictures(id: Arc<str>, track: RemoteVideoTrack) -> impl Stream<Item = SourceEvent> {
    let (frames, began) = (track.frames(), Instant::now());
    futures_util::stream::unfold((track, frames, false), move |(track, mut frames, mut seen)| {
        let id = Arc::clone(&id);
        async move {
            let first = async {
                while let Some(event) = frames.next().await {
                    if let (FrameEvent::Frame(unit), false) = (event, seen) {
                        return Some(unit);
                    }
                }
                None
            };
            let event = match tokio::time::timeout(STATS_PAUSE, first).await {
                Ok(None) => return None,
                Ok(Some(unit)) => {
                    seen = true;
                    let after_ms = began.elapsed().as_secs_f64() * 1e3;
                    SourceEvent::Track(id, "first-frame", first_frame(&unit, after_ms))
                }
                Err(_) => SourceEvent::Track(id, "stats", json!(track.stats())),
            };
            Some((event, (track, frames, seen)))
        }
    })
}

fn first_frame(unit: &AccessUnit, after_ms: f64) -> Value {
    let mut told = json!({
        "codec": unit.codec.mime_type(),
        "keyFrame": unit.key_frame,
        "rotation": unit.rotation.degrees(),
        "afterMs": after_ms,
    });
    if let Some((width, height)) = unit.size() {
        told["width"] = width.into();
        told["height"] = height.into();
    }
    told
}

/// The sound is played as a loudspeaker would, so that delay and concealment are those of a listener.
fn of_sound(id: Arc<str>, track: RemoteAudioTrack) -> impl Stream<Item = SourceEvent> {
    let listener = match Listener::start(&track) {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::error!(track = &*id, code = error.code(), "nobody plays it: {error}");
            None
        }
    };
    let packets = track.packets();
    futures_util::stream::unfold((packets, listener), move |(mut packets, listener)| {
        let (id, track) = (Arc::clone(&id), track.clone());
        async move {
            let over = async { while packets.next().await.is_some() {} };
            if tokio::time::timeout(STATS_PAUSE, over).await.is_ok() {
                return None;
            }
            let mut stats = json!(track.stats());
            // A frame of sound is a packet.
            stats["framesReceived"] = stats["packetsReceived"].clone();
            if let Some(listener) = &listener {
                stats["levelDbfs"] = listener.take_level().rms_dbfs.into();
            }
            Some((SourceEvent::Track(id, "stats", stats), (packets, listener)))
        }
    })
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
        self.0.push(told(track));
    }

    /// A track of ours: a remote that takes none of it.
    pub(super) fn add_local_track(&mut self, id: &str, events: LocalTrackEvents) {
        let id = Arc::<str>::from(id);
        let told = events.filter_map(move |event| {
            let told = match event {
                LocalTrackEvent::CodecNotSupported { peer_id, codec } => {
                    Some(("codec-not-supported", events::codec_not_supported(&peer_id, codec)))
                }
                LocalTrackEvent::Lagged { missed } => Some(("lagged", json!({ "missed": missed }))),
                _ => None,
            };
            let told = told.map(|(kind, told)| SourceEvent::Track(Arc::clone(&id), kind, told));
            std::future::ready(told)
        });
        self.0.push(told.boxed());
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
