//! The actor of a room: turns what the service tells into the roster, and the roster into remotes.

mod remotes;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::remotes::Remotes;
use super::error::PeerError;
use super::event::{Data, DataKind, FatalError, PeerEvent};
use super::metered_peer::Shared;
use super::negotiation::Signal;
use super::remote::{Input, Verdict};
use super::roster::{Output, Roster};
use super::state::PeerState;
use crate::diagnosis::{Diagnosis, of_server_error};
use crate::signalling::{
    ConnectError, Connected, Disconnected, Event, Events, SignallingClient, State, SubscribeOptions,
};
use crate::wire::{Direct, ErrorFrame, Message, PeerPayload};

/// Codes of complaints that answer no request and yet end what the app wanted (JavaScript SDK 1.2.0).
const FATAL_COMPLAINTS: [&str; 5] = [
    "account_suspended",
    "channel_not_authorized",
    "action_not_permitted",
    "invalid_token",
    "token_expired",
];

/// What the handle asks of the actor.
pub(crate) enum Command {
    Join {
        channel: String,
        subscribe: SubscribeOptions,
        reply: oneshot::Sender<Result<(), PeerError>>,
    },
    Close {
        reason: String,
        reply: oneshot::Sender<()>,
    },
    NetworkChanged,
    Foreground,
}

type JoinResult = Result<(), PeerError>;

/// A join under way.
struct Joining {
    work: Pin<Box<dyn Future<Output = JoinResult> + Send>>,
    reply: oneshot::Sender<JoinResult>,
}

pub(crate) struct RoomActor {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
    events: Events,
    /// Changes when the service answered a probe.
    heard: watch::Receiver<u64>,
    epoch: Instant,
    channel: String,
    subscribe: SubscribeOptions,
    joining: Option<Joining>,
    roster: Option<Roster<Arc<Direct>>>,
    remotes: Remotes,
    /// Requests that nobody waits for.
    chores: JoinSet<()>,
}

enum Wake {
    Command(Option<Command>),
    Event(Option<Event>),
    Joined(JoinResult),
    Verdict(Verdict),
    /// The service answered a probe.
    Heard,
    Deadline,
}

impl RoomActor {
    pub(crate) fn new(shared: Arc<Shared>, commands: mpsc::UnboundedReceiver<Command>) -> Self {
        let events = shared.client.events();
        let heard = shared.client.heard();
        let remotes = Remotes::new(Arc::clone(&shared));
        Self {
            shared,
            commands,
            events,
            heard,
            epoch: Instant::now(),
            channel: String::new(),
            subscribe: SubscribeOptions::default(),
            joining: None,
            roster: None,
            remotes,
            chores: JoinSet::new(),
        }
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn state(&self) -> PeerState {
        *self.shared.state.borrow()
    }

    /// Runs until the peer is closed; leaves nothing behind.
    pub(crate) async fn run(mut self) {
        loop {
            match self.wake().await {
                Wake::Command(None) => return self.end("the peer was dropped", None).await,
                Wake::Command(Some(Command::Close { reason, reply })) => {
                    return self.end(&reason, Some(reply)).await;
                }
                Wake::Command(Some(Command::Join { channel, subscribe, reply })) => {
                    self.join(channel, subscribe, reply);
                }
                Wake::Command(Some(Command::NetworkChanged)) => {
                    self.shared.client.network_changed();
                    self.remotes.tell_all(|| Input::NetworkChanged);
                }
                Wake::Command(Some(Command::Foreground)) => {
                    self.shared.client.entered_foreground();
                    self.remotes.tell_all(|| Input::Foreground);
                }
                Wake::Joined(result) => self.joined(result).await,
                Wake::Verdict(verdict) => self.judge(&verdict),
                Wake::Heard => self.remotes.tell_all(|| Input::Heard),
                Wake::Event(Some(event)) => {
                    if let Some(reason) = self.event(event) {
                        return self.end(&reason, None).await;
                    }
                }
                // The client is ours: it cannot be gone.
                Wake::Event(None) => return self.end("the signalling client is gone", None).await,
                Wake::Deadline => {
                    let now = self.now();
                    if let Some(roster) = &mut self.roster {
                        roster.timeout(now);
                    }
                }
            }
            self.settle();
        }
    }

    async fn wake(&mut self) -> Wake {
        let deadline = self.roster.as_ref().and_then(Roster::next_deadline);
        let deadline = deadline.map(|after| self.epoch + after);
        let Self { commands, events, heard, joining, chores, remotes, .. } = self;
        while chores.try_join_next().is_some() {}
        remotes.tidy();
        let joined = async {
            match joining {
                Some(joining) => joining.work.as_mut().await,
                None => std::future::pending().await,
            }
        };
        let timer = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // A flood of events holds neither a close nor a deadline up.
            command = commands.recv() => Wake::Command(command),
            () = timer => Wake::Deadline,
            verdict = remotes.verdict() => Wake::Verdict(verdict),
            // Its sender is the client's, which is ours.
            Ok(()) = heard.changed() => Wake::Heard,
            // What came before the acknowledgement is seen before it.
            event = events.next() => Wake::Event(event),
            result = joined => Wake::Joined(result),
        }
    }

    fn join(
        &mut self,
        channel: String,
        subscribe: SubscribeOptions,
        reply: oneshot::Sender<JoinResult>,
    ) {
        let current_state = self.state();
        if current_state != PeerState::Idle {
            // Without a caller nobody wants the answer.
            drop(reply.send(Err(PeerError::State { method: "join", current_state })));
            return;
        }
        self.channel.clone_from(&channel);
        self.subscribe = subscribe;
        self.shared.set_state(PeerState::Joining, "join was called");
        let client = self.shared.client.clone();
        let work = Box::pin(async move { enter(&client, &channel, subscribe).await });
        self.joining = Some(Joining { work, reply });
    }

    async fn joined(&mut self, result: JoinResult) {
        let Some(Joining { reply, .. }) = self.joining.take() else { return };
        match &result {
            Ok(()) => {
                let peer_id = {
                    let mut details = self.shared.details();
                    details.channel = Some(self.channel.clone());
                    details.peer_id.clone().unwrap_or_default()
                };
                self.shared.set_state(PeerState::Joined, "the service acknowledged the room");
                let channel = self.channel.clone();
                self.shared.hub.publish(&PeerEvent::Joined { peer_id, channel });
                self.settle();
            }
            Err(_) => {
                self.shared.client.close().await;
                // What the close caused is of no use to the next join.
                while self.events.try_next().is_some() {}
                self.roster = None;
                self.shared.details().peer_id = None;
                self.shared.set_state(PeerState::Idle, "the join failed");
            }
        }
        // Without a caller the join stands all the same.
        drop(reply.send(result));
    }

    /// Takes an event of the service; the reason of the end if it was the last.
    fn event(&mut self, event: Event) -> Option<String> {
        match event {
            Event::Connected(connected) => self.connected(&connected),
            Event::Disconnected(lost) => return self.disconnected(&lost),
            Event::Presence { presence, snapshot } if presence.channel == self.channel => {
                let now = self.now();
                if let Some(roster) = &mut self.roster {
                    let connected = |id: &str| self.remotes.is_connected(id);
                    roster.presence(now, snapshot, &presence.joined, &presence.left, connected);
                }
            }
            Event::Message(message) if message.channel == self.channel => self.message(&message),
            Event::Direct(direct) => {
                let now = self.now();
                if let Some(roster) = &mut self.roster {
                    let (from, bytes) = (direct.from.clone(), direct.data.as_str().len());
                    roster.data(now, &from, direct, bytes);
                }
            }
            Event::ServerError(complaint) => self.complaint(&complaint),
            Event::ResubscribeFailed { channel, error } if channel == self.channel => {
                self.shared.fail(FatalError {
                    name: error.code().to_owned(),
                    message: format!("the room could not be joined again: {error}"),
                    diagnosis: error.diagnosis(),
                });
            }
            Event::Lagged { missed } => {
                tracing::warn!(missed, "the room fell behind and asks who is there");
                let now = self.now();
                let own = self.shared.details().peer_id.clone().unwrap_or_default();
                if let Some(roster) = &mut self.roster {
                    roster.away();
                    roster.back(now, &own);
                }
                self.resubscribe();
            }
            _ => {}
        }
        None
    }

    fn connected(&mut self, connected: &Connected) {
        let now = self.now();
        let own = &connected.peer_id;
        self.shared.details().peer_id = Some(own.clone());
        if let Some(servers) = &connected.ice_servers {
            self.remotes.set_service_servers(servers.clone());
        }
        self.remotes.set_own_id(own);
        match &mut self.roster {
            Some(roster) => roster.back(now, own),
            None => self.roster = Some(Roster::new(own)),
        }
    }

    fn disconnected(&mut self, lost: &Disconnected) -> Option<String> {
        let fatal = || FatalError {
            name: match &*lost.error {
                ConnectError::TokenProvider(_) => "TokenProviderError".to_owned(),
                error => error.code().into_owned(),
            },
            message: lost.error.to_string(),
            diagnosis: lost.error.diagnosis(),
        };
        if self.joining.is_some() {
            // The join's result says it, and for refusals the event does too, as in the JavaScript SDK.
            if matches!(lost.code.get(), 4001..=4003 | 4012 | 4020) {
                self.shared.fail(fatal());
            }
            return None;
        }
        if !matches!(self.state(), PeerState::Joined | PeerState::Reconnecting) {
            return None;
        }
        if !lost.will_reconnect {
            self.shared.fail(fatal());
            return Some(lost.error.to_string());
        }
        self.shared.set_state(PeerState::Reconnecting, "the connection to the service is lost");
        if let Some(roster) = &mut self.roster {
            roster.away();
        }
        self.remotes.tell_all(|| Input::Signalling(false));
        None
    }

    fn complaint(&self, complaint: &ErrorFrame) {
        let code = complaint.code.as_str();
        if complaint.request_id.is_none() && FATAL_COMPLAINTS.contains(&code) {
            self.shared.fail(FatalError {
                name: code.to_owned(),
                message: format!("the server complained with {code}"),
                diagnosis: of_server_error(code),
            });
        }
    }

    fn message(&self, message: &Message) {
        // The service does not echo; an older one did.
        if self.shared.details().peer_id.as_deref() == Some(&message.from) {
            return;
        }
        self.data(&message.from, message.data.clone(), DataKind::Broadcast, &message.from_metadata);
    }

    fn data(
        &self,
        from: &str,
        data: crate::wire::Json,
        kind: DataKind,
        metadata: &Option<crate::wire::Json>,
    ) {
        let sender_metadata = metadata.clone();
        let data = Data { sender_peer_id: from.to_owned(), data, kind, sender_metadata };
        self.shared.hub.publish(&PeerEvent::Data(Arc::new(data)));
    }

    /// Does what the roster wants. Before the join is acknowledged it waits.
    fn settle(&mut self) {
        if !matches!(self.state(), PeerState::Joined | PeerState::Reconnecting) {
            return;
        }
        while let Some(output) = self.roster.as_mut().and_then(Roster::poll_output) {
            match output {
                Output::Joined(peer) => self.remotes.join(peer),
                Output::Survived(id) => self.remotes.survived(&id),
                Output::Left(id) => self.remotes.leave(&id),
                Output::Departing(id) => self.remotes.tell(&id, Input::Departing),
                Output::Returned(id) => self.remotes.tell(&id, Input::Returned),
                Output::Deliver { from, data } => self.deliver(&from, &data),
                Output::Reconciled => {
                    self.remotes.tell_all(|| Input::Signalling(true));
                    self.shared.set_state(PeerState::Joined, "the room is known again");
                }
                Output::Resubscribe => self.resubscribe(),
                Output::ReconcileTimeout => {
                    self.shared.fail(reconcile_timeout());
                    self.remotes.tell_all(|| Input::Signalling(true));
                    self.shared.set_state(PeerState::Joined, "the room's snapshot stayed away");
                }
            }
        }
        if let Some(roster) = &self.roster {
            let dropped = roster.dropped();
            let mut details = self.shared.details();
            details.counters.peers_beyond_limit = dropped.peers;
            details.counters.from_strangers = dropped.data;
        }
    }

    /// Whether a peer that the service lost is the one that it was.
    fn judge(&mut self, verdict: &Verdict) {
        let Some(same) = self.remotes.weigh(verdict) else { return };
        if let Some(roster) = &mut self.roster {
            if same { roster.same(&verdict.id) } else { roster.gone(&verdict.id) }
        }
    }

    fn deliver(&mut self, from: &str, direct: &Direct) {
        let input = match PeerPayload::decode(&direct.data) {
            PeerPayload::Description(description) => {
                Input::Signal(Signal::Description(description))
            }
            PeerPayload::Candidate(candidate) => Input::Signal(Signal::Candidate(candidate)),
            PeerPayload::TrackMetadata(said) => Input::TrackMetadata(said),
            PeerPayload::App => {
                let (data, metadata) = (direct.data.clone(), &direct.from_metadata);
                return self.data(from, data, DataKind::Direct, metadata);
            }
        };
        self.remotes.tell(from, input);
    }

    /// A new subscription brings a new snapshot.
    fn resubscribe(&mut self) {
        let (client, channel) = (self.shared.client.clone(), self.channel.clone());
        let subscribe = self.subscribe;
        self.chores.spawn(
            async move {
                if let Err(error) = client.subscribe_with(&channel, subscribe).await {
                    tracing::debug!(code = error.code(), "the snapshot could not be asked for");
                }
            }
            .boxed(),
        );
    }

    async fn end(mut self, reason: &str, reply: Option<oneshot::Sender<()>>) {
        let was_in = matches!(self.state(), PeerState::Joined | PeerState::Reconnecting);
        self.shared.set_state(PeerState::Leaving, "the peer is being closed");
        if let Some(Joining { reply, work }) = self.joining.take() {
            drop(work);
            let error = PeerError::State { method: "join", current_state: PeerState::Leaving };
            drop(reply.send(Err(error)));
        }
        self.remotes.close().await;
        self.chores.shutdown().await;
        if self.shared.client.close_with(1000, reason).await.is_err() {
            // The reason is too long for a close frame.
            self.shared.client.close().await;
        }
        if was_in {
            self.shared.hub.publish(&PeerEvent::Left { reason: reason.to_owned() });
        }
        self.shared.set_state(PeerState::Closed, "the peer was closed");
        self.shared.hub.end();
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Join { reply, .. } => {
                    let error =
                        PeerError::State { method: "join", current_state: PeerState::Closed };
                    drop(reply.send(Err(error)));
                }
                Command::Close { reply, .. } => {
                    reply.send(()).ok();
                }
                Command::NetworkChanged | Command::Foreground => {}
            }
        }
        if let Some(reply) = reply {
            // Without a caller nobody waits for the end.
            reply.send(()).ok();
        }
    }
}

async fn enter(
    client: &SignallingClient,
    channel: &str,
    subscribe: SubscribeOptions,
) -> JoinResult {
    if matches!(client.state(), State::Idle | State::Closed) {
        client.connect().await?;
    }
    Ok(client.subscribe_with(channel, subscribe).await?)
}

fn reconcile_timeout() -> FatalError {
    FatalError {
        name: "ReconcileTimeoutError".to_owned(),
        message: "the service did not say who is in the room, though asked three times".to_owned(),
        diagnosis: Diagnosis::new(
            "After the reconnect the service sent no presence snapshot for the room; the roster may be out of date.",
            "Check that the key or token has the action presence. Otherwise call reconnect_now, or make a new peer.",
        ),
    }
}
