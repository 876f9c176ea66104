//! What one session has: a client, a peer, and the channels that it knows.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metered_realtime::peer::{
    DataChannel, DataChannelEvents, MeteredPeer, PeerEvent, RemoteEvent, RemotePeer, RemoteState,
};
use metered_realtime::signalling::{Disconnected, Event, SignallingClient};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::RpcError;
use super::options::Options;
use super::records::Records;
use super::sources::{SourceEvent, Sources};
use super::track_methods::Feeds;
use super::{peer_methods, signalling_methods};
use crate::media::record::Recordings;

/// A request under way: its id and what comes of it.
pub(super) type Reply = Pin<Box<dyn Future<Output = (Value, Result<Value, RpcError>)> + Send>>;
/// A method under way.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<Value, RpcError>> + Send>>;

/// Closed channels that can still be asked for their state.
const MAX_CLOSED_CHANNELS: usize = 1_024;
/// Remotes, with those that left and can still be asked what became of them.
const MAX_REMOTES: usize = 1_024;

/// Channels by their ids, shared with requests under way.
#[derive(Clone, Default)]
pub(super) struct Channels(Arc<Mutex<ChannelTable>>);

#[derive(Default)]
struct ChannelTable {
    known: HashMap<String, DataChannel>,
    /// Opened by a request; their events are not listened to yet.
    new: Vec<(String, DataChannelEvents)>,
}

impl Channels {
    fn lock(&self) -> MutexGuard<'_, ChannelTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, channel: &DataChannel) -> String {
        let id = channel.id().to_owned();
        let mut table = self.lock();
        if table.known.len() >= MAX_CLOSED_CHANNELS {
            use metered_realtime::peer::ReadyState;
            table.known.retain(|_, channel| channel.ready_state() != ReadyState::Closed);
        }
        table.known.insert(id.clone(), channel.clone());
        table.new.push((id.clone(), channel.events()));
        id
    }

    pub(super) fn get(&self, id: &str) -> Result<DataChannel, RpcError> {
        self.lock().known.get(id).cloned().ok_or_else(|| RpcError::unknown("channelId", id))
    }
}

pub(super) struct Session {
    pub(super) client: Option<SignallingClient>,
    pub(super) peer: Option<MeteredPeer>,
    pub(super) channels: Channels,
    pub(super) feeds: Feeds,
    pub(super) records: Records,
    pub(super) recordings: Recordings,
    pub(super) last_disconnected: Option<Arc<Disconnected>>,
    /// Those that left can still be asked for what became of them.
    remotes: HashMap<String, RemotePeer>,
    sources: Sources,
}

pub(super) fn read<T: DeserializeOwned>(params: &Value) -> Result<T, RpcError> {
    // By way of the text: a payload stays JSON text.
    let text = params.to_string();
    let mut json = serde_json::Deserializer::from_str(&text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| RpcError::shape(&error))
}

/// A method that is done at once.
pub(super) fn now(value: Value) -> Running {
    Box::pin(std::future::ready(Ok(value)))
}

/// A method without a result answers `null`.
pub(super) fn done((): ()) -> Value {
    Value::Null
}

impl Default for Session {
    fn default() -> Self {
        let (recordings, told) = Recordings::new();
        let mut sources = Sources::default();
        sources.add_recordings(told);
        Self {
            client: None,
            peer: None,
            channels: Channels::default(),
            feeds: Feeds::default(),
            records: Records::default(),
            recordings,
            last_disconnected: None,
            remotes: HashMap::new(),
            sources,
        }
    }
}

impl Session {
    /// Makes a client; an earlier one is closed first.
    pub(super) async fn create_client(&mut self, params: Value) -> Result<Value, RpcError> {
        let client = SignallingClient::new(Options::signalling(params)?)?;
        if let Some(earlier) = self.client.take() {
            earlier.close().await;
        }
        self.sources.add_signalling(client.events());
        self.client = Some(client);
        self.last_disconnected = None;
        Ok(json!({}))
    }

    /// Makes a peer; an earlier one is closed first.
    pub(super) async fn create_peer(&mut self, params: Value) -> Result<Value, RpcError> {
        let peer = MeteredPeer::new(Options::peer(params)?)?;
        if let Some(earlier) = self.peer.take() {
            earlier.close().await;
        }
        self.feeds.clear();
        self.records.clear();
        self.remotes.clear();
        self.sources.add_peer(peer.events());
        self.peer = Some(peer);
        Ok(json!({}))
    }

    pub(super) async fn close(&mut self) {
        self.feeds.clear();
        self.recordings.finish().await;
        if let Some(client) = &self.client {
            client.close().await;
        }
        if let Some(peer) = &self.peer {
            peer.close().await;
        }
    }

    pub(super) async fn next_event(&mut self) -> SourceEvent {
        self.adopt_what_is_new();
        let event = self.sources.next().await;
        self.note(&event);
        event
    }

    pub(super) fn waiting_event(&mut self) -> Option<SourceEvent> {
        self.adopt_what_is_new();
        let event = self.sources.waiting()?;
        self.note(&event);
        Some(event)
    }

    fn adopt_what_is_new(&mut self) {
        for (id, events) in std::mem::take(&mut self.channels.lock().new) {
            self.sources.add_channel(&id, events);
        }
        for (id, events) in self.feeds.take_new() {
            self.sources.add_local_track(&id, events);
        }
    }

    /// Listens to what an event brings, and remembers what a diagnosis needs.
    fn note(&mut self, event: &SourceEvent) {
        match event {
            SourceEvent::Signalling(Event::Disconnected(lost)) => {
                self.last_disconnected = Some(Arc::clone(lost));
            }
            SourceEvent::Peer(PeerEvent::PeerJoined(remote)) => {
                self.sources.add_remote(remote.id(), remote.events());
                if self.remotes.len() >= MAX_REMOTES {
                    self.remotes.retain(|_, remote| remote.state() != RemoteState::Closed);
                }
                self.remotes.insert(remote.id().to_owned(), remote.clone());
            }
            SourceEvent::Peer(PeerEvent::PeerLeft(remote)) => self.records.left(remote.id()),
            SourceEvent::Remote(_, RemoteEvent::DataChannel(channel)) => {
                self.channels.add(channel);
            }
            SourceEvent::Remote(id, event) => {
                if let RemoteEvent::Track(track) = event {
                    self.sources.add_track(track);
                }
                self.records.note(id, event, &self.recordings);
            }
            _ => {}
        }
    }

    pub(super) fn remote(&self, id: &str) -> Result<RemotePeer, RpcError> {
        self.remotes.get(id).cloned().ok_or_else(|| RpcError::unknown("peerId", id))
    }

    /// Starts a method.
    pub(super) fn call(&self, id: Value, method: &str, params: &Value) -> Reply {
        let running = match method.split_once('.') {
            Some(("signalling", name)) => signalling_methods::start(self, name, params),
            Some((object @ ("peer" | "remote" | "channel"), name)) => {
                peer_methods::start(self, object, name, params)
            }
            _ => None,
        };
        let result = running.unwrap_or_else(|| Err(RpcError::method(method)));
        Box::pin(async move {
            let result = match result {
                Ok(running) => running.await,
                Err(error) => Err(error),
            };
            (id, result)
        })
    }
}
