//! Where events come from: one stream of all sources, each in its own order.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use metered_realtime::peer::{
    DataChannelEvent, DataChannelEvents, PeerEvent, PeerEvents, RemoteEvent, RemoteEvents,
};
use metered_realtime::signalling::{Event, Events};

/// An event with the source that tells it.
pub(super) enum SourceEvent {
    Signalling(Event),
    Peer(PeerEvent),
    Remote(Arc<str>, RemoteEvent),
    Channel(Arc<str>, DataChannelEvent),
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
