//! The remotes of a room: their actors, and what reaches them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::peer::event::PeerEvent;
use crate::peer::metered_peer::Shared;
use crate::peer::remote::{self, Input, RemoteActor, Verdict};
use crate::peer::state::RemoteState;
use crate::rtc::engine::ConnectionConfig;
use crate::wire::{IceServer, PresencePeer};

/// What may wait for a remote's actor. It is busy for milliseconds at most: who fills this is not negotiating.
const INPUT_QUEUE: usize = 256;

struct Entry {
    shared: Arc<remote::Shared>,
    /// `None` if connections are off.
    inputs: Option<mpsc::Sender<Input>>,
    /// Our id when it was told.
    own: String,
    /// Tells it from others that had the same id.
    serial: u64,
    /// Signals of the remote that were handed to the actor.
    signals: u64,
}

impl Entry {
    fn tell(&mut self, shared: &Shared, input: Input) {
        let Some(inputs) = &self.inputs else { return };
        let signal = matches!(input, Input::Signal(_));
        match inputs.try_send(input) {
            Ok(()) => self.signals += u64::from(signal),
            Err(_) => shared.details().counters.signals_overflow += 1,
        }
    }
}

pub(super) struct Remotes {
    shared: Arc<Shared>,
    entries: BTreeMap<String, Entry>,
    actors: JoinSet<()>,
    own: String,
    service_servers: Vec<IceServer>,
    serial: u64,
    verdicts: (mpsc::UnboundedSender<Verdict>, mpsc::UnboundedReceiver<Verdict>),
}

impl Remotes {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            entries: BTreeMap::new(),
            actors: JoinSet::new(),
            own: String::new(),
            service_servers: Vec::new(),
            serial: 0,
            verdicts: mpsc::unbounded_channel(),
        }
    }

    /// Whether there is a connection to a remote, heard or not.
    pub(super) fn is_connected(&self, id: &str) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.shared.is_linked())
    }

    /// What an actor found out about a remote that the service lost.
    pub(super) async fn verdict(&mut self) -> Verdict {
        match self.verdicts.1.recv().await {
            Some(verdict) => verdict,
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    /// Whether the remote is the same; `None` if the verdict is about an earlier one. A signal that the actor
    /// had not seen when it judged may belong to the connection that it has by now.
    pub(super) fn weigh(&self, verdict: &Verdict) -> Option<bool> {
        let entry = self.entries.get(&verdict.id).filter(|entry| entry.serial == verdict.serial)?;
        Some(verdict.same || entry.signals != verdict.signals)
    }

    pub(super) fn tidy(&mut self) {
        while self.actors.try_join_next().is_some() {}
    }

    pub(super) fn set_own_id(&mut self, own: &str) {
        own.clone_into(&mut self.own);
    }

    fn ice_servers(&self) -> Vec<IceServer> {
        self.service_servers.iter().chain(&self.shared.ice_servers).cloned().collect()
    }

    pub(super) fn set_service_servers(&mut self, servers: Vec<IceServer>) {
        if servers != self.service_servers {
            self.service_servers = servers;
            let all = self.ice_servers();
            self.tell_all(|| Input::IceServers(all.clone()));
        }
    }

    pub(super) fn join(&mut self, peer: PresencePeer) {
        let PresencePeer { peer_id: id, metadata } = peer;
        let polite = self.own.as_bytes() < id.as_bytes();
        self.serial += 1;
        let client = self.shared.client.clone();
        let rtc = self.shared.rtc;
        let (remote, commands) = remote::Shared::new(id.clone(), metadata, polite, rtc, client);
        let inputs = rtc.then(|| {
            let (inputs, receiver) = mpsc::channel(INPUT_QUEUE);
            let config = ConnectionConfig {
                ice_servers: self.ice_servers(),
                ice_transport_policy: self.shared.ice_transport_policy,
                answers_actively: false,
                certificate: None,
            };
            let context = self.shared.context.clone();
            let verdicts = (self.verdicts.0.clone(), self.serial);
            let remote = Arc::clone(&remote);
            let tracks = self.shared.tracks.subscribe();
            let actor =
                RemoteActor::new(context, remote, commands, receiver, config, verdicts, tracks);
            self.actors.spawn(actor.run().boxed());
            inputs
        });
        let handle = remote.handle();
        self.shared.details().remotes.insert(id.clone(), handle.clone());
        let (own, serial) = (self.own.clone(), self.serial);
        self.entries.insert(id, Entry { shared: remote, inputs, own, serial, signals: 0 });
        self.shared.hub.publish(&PeerEvent::PeerJoined(handle));
    }

    pub(super) fn leave(&mut self, id: &str) {
        let Some(entry) = self.entries.remove(id) else { return };
        self.shared.details().remotes.remove(id);
        entry.shared.set_state(RemoteState::Closed, "the remote left the room");
        self.shared.hub.publish(&PeerEvent::PeerLeft(entry.shared.handle()));
    }

    /// A remote is still there after our reconnect; if our id is another one, we are a stranger to it.
    pub(super) fn survived(&mut self, id: &str) {
        let own = self.own.clone();
        let Some(entry) = self.entries.get_mut(id) else { return };
        let changed = std::mem::replace(&mut entry.own, own.clone()) != own;
        self.tell(id, if changed { Input::OwnId(own) } else { Input::Survived });
    }

    pub(super) fn tell(&mut self, id: &str, input: Input) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.tell(&self.shared, input);
        }
    }

    pub(super) fn tell_all(&mut self, input: impl Fn() -> Input) {
        for entry in self.entries.values_mut() {
            entry.tell(&self.shared, input());
        }
    }

    /// Ends every actor and awaits it.
    pub(super) async fn close(&mut self) {
        self.tell_all(|| Input::Goodbye);
        for entry in std::mem::take(&mut self.entries).into_values() {
            entry.shared.set_state(RemoteState::Closed, "the peer was closed");
        }
        self.shared.details().remotes.clear();
        while self.actors.join_next().await.is_some() {}
    }
}
