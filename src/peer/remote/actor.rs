//! The actor of one remote: does what negotiation and ladder decide, and tells what happens.

mod connecting;
mod input;
#[cfg(test)]
mod tests;
mod verdicts;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::channels::Channels;
use super::event::RemoteEvent;
use super::link::{self, Link, NO_TURN_SERVER, connect_code};
use super::senders::Senders;
use super::signals::Signals;
use super::streams::Streams;
use super::{Command, Shared};
use crate::peer::departure::Departure;
use crate::peer::error::{IceCandidateError, NegotiationError, PeerError};
use crate::peer::ice_restart::{self, IceRestart};
use crate::peer::negotiation::{Failure, Identity, Negotiation, Op, Output, Reply};
use crate::peer::state::RemoteState;
use crate::peer::track_metadata::{TrackMetadataCache, nothing_to_offer};
use crate::peer::tracks::Tracks;
use crate::rtc::engine::{ConnectionConfig, ConnectionEvent, Engine, IceState};
use crate::signalling::{RequestError, SignallingClient};
use crate::wire::IceServer;

pub(crate) use input::{Input, Verdict};

/// What all remotes of a room share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) client: SignallingClient,
}

pub(crate) struct RemoteActor {
    context: Context,
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Ends when the room lets the remote go.
    inputs: mpsc::Receiver<Input>,
    config: ConnectionConfig,
    epoch: Instant,
    negotiation: Negotiation,
    ladder: IceRestart,
    link: Option<Link>,
    channels: Channels,
    signals: Signals,
    metadata: TrackMetadataCache,
    streams: Streams,
    senders: Senders,
    /// Connections that are being closed.
    closing: JoinSet<()>,
    verdicts: (mpsc::UnboundedSender<Verdict>, u64),
    departure: Departure,
    /// Whether the remote shall know that we leave for good.
    goodbye: bool,
    /// Signals of the remote that were taken.
    signals_taken: u64,
    /// Whether a connection was ever up: what follows is a return.
    was_connected: bool,
    /// Whether the app knows that there is no relay, since the last connection or other ICE servers.
    told_no_relay: bool,
}

/// What woke the actor.
enum Wake {
    Input(Option<Input>),
    Command(Option<Command>),
    Event(ConnectionEvent),
    SignalFailed(RequestError),
    /// Our tracks changed.
    Tracks,
    /// A channel of ours ended that may be opened again.
    ChannelReset,
    Deadline,
}

impl RemoteActor {
    pub(crate) fn new(
        context: Context,
        shared: Arc<Shared>,
        commands: mpsc::UnboundedReceiver<Command>,
        inputs: mpsc::Receiver<Input>,
        config: ConnectionConfig,
        verdicts: (mpsc::UnboundedSender<Verdict>, u64),
        tracks: watch::Receiver<Tracks>,
    ) -> Self {
        let polite = shared.details().polite;
        let signals = Signals::new(context.client.clone(), shared.id.clone());
        let mut negotiation = Negotiation::new(polite);
        negotiation.met(Duration::ZERO);
        Self {
            context,
            shared,
            commands,
            inputs,
            config,
            epoch: Instant::now(),
            negotiation,
            ladder: IceRestart::new(polite),
            link: None,
            channels: Channels::new(),
            signals,
            metadata: TrackMetadataCache::default(),
            streams: Streams::default(),
            senders: Senders::new(tracks),
            closing: JoinSet::new(),
            verdicts,
            departure: Departure::default(),
            goodbye: false,
            signals_taken: 0,
            was_connected: false,
            told_no_relay: false,
        }
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Runs until the room lets the remote go; leaves nothing behind.
    pub(crate) async fn run(mut self) {
        self.send_tracks().await;
        while self.turn().await {}
        self.end().await;
    }

    /// Does what is wanted, and takes the next thing that happens; whether the room still holds the remote.
    async fn turn(&mut self) -> bool {
        self.settle().await;
        match self.wake().await {
            Wake::Input(None) => return false,
            Wake::Input(Some(input)) => self.input(input).await,
            // The handles are gone; the room still holds the remote.
            Wake::Command(None) => {}
            Wake::Command(Some(command)) => self.command(command).await,
            Wake::Event(event) => self.event(event).await,
            Wake::SignalFailed(error) => self.signal_failed(&error),
            Wake::Tracks => self.send_tracks().await,
            Wake::ChannelReset => {}
            Wake::Deadline => {
                let now = self.now();
                self.negotiation.timeout(now);
                self.ladder.timeout(now);
                self.give_handshake_up(now);
                self.miss_addresses(now);
            }
        }
        self.judge();
        self.judge_channels();
        true
    }

    async fn end(&mut self) {
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::OpenChannel { reply, .. } = command {
                // The caller may have gone as well.
                drop(reply.send(Err(PeerError::RemoteGone)));
            }
        }
        self.channels.close().await;
        self.streams.close(&self.shared.hub).await;
        self.senders.close().await;
        self.unlink();
        while self.closing.join_next().await.is_some() {}
        self.shared.set_state(RemoteState::Closed, "the remote left or the peer was closed");
        self.shared.hub.end();
    }

    async fn wake(&mut self) -> Wake {
        let deadline = [
            self.negotiation.next_deadline(),
            self.ladder.next_deadline(),
            self.departure.next_deadline(),
            self.channels.next_deadline(),
            self.link.as_ref().and_then(Link::next_deadline),
        ];
        let deadline = deadline.into_iter().flatten().min().map(|after| self.epoch + after);
        let Self { inputs, commands, link, signals, closing, senders, channels, .. } = self;
        let event = async {
            match link {
                Some(link) => match link.events.recv().await {
                    Some(event) => event,
                    None => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        let timer = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        while closing.try_join_next().is_some() {}
        tokio::select! {
            event = event => Wake::Event(event),
            input = inputs.recv() => Wake::Input(input),
            command = commands.recv() => Wake::Command(command),
            error = signals.failed() => Wake::SignalFailed(error),
            () = senders.changed() => Wake::Tracks,
            () = channels.was_reset() => Wake::ChannelReset,
            () = timer => Wake::Deadline,
        }
    }

    /// For this connection's next gathering, whichever side begins it, and for the connections to come.
    async fn set_ice_servers(&mut self, servers: Vec<IceServer>) {
        if let Some(link) = &self.link
            && let Err(error) = link.connection.set_ice_servers(&servers).await
        {
            tracing::debug!(%error, "the connection keeps its ICE servers");
        }
        self.told_no_relay &= servers == self.config.ice_servers;
        self.config.ice_servers = servers;
    }

    /// A restart of the path; of the connection if there is nothing to restart.
    fn restart(&mut self, now: Duration) {
        if let Some(link) = &self.link {
            link.connection.hurry();
        }
        if self.was_connected {
            let reason = "the path is looked for anew";
            self.shared.set_state(RemoteState::Reconnecting, reason);
        }
        self.negotiation.restart(now);
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::OpenChannel { label, options, reply } => {
                let result = self.open_channel(&label, options).await;
                // Without a caller the channel stays: the remote may have seen it.
                drop(reply.send(result));
            }
            Command::Stats(reply) => {
                let mut stats = match &self.link {
                    Some(link) => link.connection.stats().await,
                    None => Default::default(),
                };
                self.senders.complete(&mut stats);
                self.streams.complete(&mut stats);
                drop(reply.send(stats));
            }
        }
    }

    /// Lets the connection go; it is closed beside us.
    fn unlink(&mut self) {
        self.shared.set_linked(false);
        if let Some(link) = self.link.take() {
            self.closing.spawn(link::close(link.connection, self.goodbye).boxed());
        }
    }

    /// Does what negotiation and ladder want, until they want nothing more.
    async fn settle(&mut self) {
        loop {
            if let Some(output) = self.ladder.poll_output() {
                self.climb(output).await;
            } else if let Some(output) = self.negotiation.poll_output() {
                self.negotiate(output).await;
            } else {
                // What is dropped leads to no operation, so it is not noted with one.
                self.shared.note_dropped(self.negotiation.dropped());
                return;
            }
        }
    }

    async fn climb(&mut self, output: ice_restart::Output) {
        match output {
            ice_restart::Output::Restart => {
                let now = self.now();
                self.restart(now);
            }
            ice_restart::Output::Exhausted if self.link.is_none() => {
                // The last attempt said why; that there is no relay was said before all of them.
                let last = self.shared.details().last_error.clone();
                let code = match last.as_ref().map_or("connection_failed", |error| &error.code) {
                    NO_TURN_SERVER => "ice_restart_exhausted",
                    code => code,
                };
                let message = "no connection could be made in nine attempts";
                self.shared.fail(NegotiationError::new(code, message));
            }
            ice_restart::Output::Exhausted => {
                let error = NegotiationError::new(
                    "ice_restart_exhausted",
                    "no path to the remote was found in nine attempts",
                );
                self.shared.fail(error);
            }
        }
    }

    async fn negotiate(&mut self, output: Output) {
        match output {
            Output::Do(op) => {
                let result = self.operate(op).await;
                self.take_inputs().await;
                let now = self.now();
                self.negotiation.done(now, result);
                self.channels.set_limit(self.negotiation.remote_max_message_size());
            }
            Output::Send(signal) => self.signals.send(signal).await,
            Output::NothingToOffer => self.signals.send_metadata(nothing_to_offer()).await,
            Output::Rebuild(identity) => self.rebuild(identity).await,
            Output::Negotiated => {
                let now = self.now();
                self.ladder.negotiated(now);
                if let Some(link) = &mut self.link {
                    link.negotiated(now);
                }
                let connection = self.link.as_ref().map(|link| &*link.connection);
                self.senders.negotiated(connection);
            }
            Output::NoAnswer => {
                let now = self.now();
                self.ladder.lost(now);
            }
            Output::Failed(failure) => {
                self.fail(NegotiationError::new(failure.code, failure.message));
            }
            Output::CandidateFailed(_, failure) => self.candidate_failed(failure),
        }
    }

    /// What was said while an operation took its time counts before anything else is sent. Another id of ours begins
    /// another negotiation: that must not take the operation's result for its own, so what follows waits.
    async fn take_inputs(&mut self) {
        while let Ok(input) = self.inputs.try_recv() {
            let begins_anew = matches!(input, Input::OwnId(_));
            self.input(input).await;
            if begins_anew {
                return;
            }
        }
    }

    fn candidate_failed(&self, failure: Failure) {
        let error = IceCandidateError {
            url: String::new(),
            code: "remote_candidate_unusable",
            error_code: 0,
            reason: failure.message,
            diagnosis: crate::diagnosis::of_negotiation_error(failure.code),
        };
        self.shared.ice_failed(error);
    }

    async fn operate(&mut self, op: Op) -> Result<Reply, Failure> {
        let connection = self
            .connection_for(&op)
            .await
            .map_err(|error| Failure { code: connect_code(&error), message: error.to_string() })?;
        link::operate(&*connection, op).await
    }

    /// A new connection in the old one's place; the app hears of it if the old one was of any use.
    async fn rebuild(&mut self, identity: Identity) {
        self.departure.ended();
        // The remote's close may have closed the channels already.
        let was_up = self.link.as_ref().is_some_and(Link::was_up);
        self.channels.detach();
        self.senders.detach();
        self.unlink();
        if self.negotiation.identity(identity, self.wants_connection()) == Identity::New {
            self.config.certificate = None;
        }
        self.streams.clear(&self.shared.hub);
        if self.was_connected {
            self.shared.set_state(RemoteState::Reconnecting, "the connection is made anew");
        }
        let now = self.now();
        self.ladder.rebuilt(now);
        // Nothing else would try again: then the ladder does not rest.
        let failed = self.wants_connection() && !self.connect_anew().await;
        self.negotiation.rebuilt(now);
        if self.negotiation.is_idle() && !failed {
            self.ladder.rest();
            let reason = "the connection ended and nothing needs another";
            self.shared.set_state(RemoteState::Idle, reason);
        }
        if was_up {
            self.shared.hub.publish(&RemoteEvent::ConnectionReset);
        }
    }

    async fn event(&mut self, event: ConnectionEvent) {
        let now = self.now();
        match event {
            // What must be negotiated is known here; the engine's wish comes late and too often.
            ConnectionEvent::NegotiationNeeded => {}
            ConnectionEvent::Candidate(candidate) => {
                self.negotiation.local_candidate(now, candidate);
            }
            ConnectionEvent::GatheringComplete => self.negotiation.gathering_complete(now),
            ConnectionEvent::Ice(state) => self.ice(now, state).await,
            ConnectionEvent::Connected => {
                self.was_connected = true;
                self.told_no_relay = false;
                self.ladder.found();
                if let Some(link) = &mut self.link {
                    link.secured();
                    link.connection.relax();
                }
                self.senders.connected();
                self.shared.set_linked(true);
                self.shared.set_state(RemoteState::Connected, "a path was found");
            }
            ConnectionEvent::TransportClosed => self.transport_closed(),
            ConnectionEvent::Channel(channel) => {
                if self.channels.is_full() {
                    // Already gone is as good as closed.
                    drop(channel.close().await);
                } else {
                    let channel = self.channels.adopt(channel).await;
                    self.shared.hub.publish(&RemoteEvent::DataChannel(channel));
                }
            }
            ConnectionEvent::Track(receiver) => {
                self.streams.add(receiver, &self.metadata, &self.shared.hub);
            }
            ConnectionEvent::TrackEnded { mid } => self.streams.end(&mid, &self.shared.hub),
            ConnectionEvent::IceServerError(error) => {
                self.shared.ice_failed(error.into());
            }
        }
    }

    async fn ice(&mut self, now: Duration, state: IceState) {
        if let Some(link) = &mut self.link {
            link.has_path = state == IceState::Connected;
        }
        match state {
            IceState::Checking => {}
            IceState::Connected => {
                self.ladder.found();
                if let Some(link) = &self.link {
                    link.connection.path_found().await;
                }
                if self.was_connected {
                    self.shared.set_state(RemoteState::Connected, "a path was found");
                }
                if let Some(link) = &self.link {
                    link.connection.relax();
                }
            }
            IceState::Disconnected => {
                self.departure.unheard();
                if self.was_connected {
                    let reason = "nothing was heard on the path for 3 s";
                    self.shared.set_state(RemoteState::Reconnecting, reason);
                    self.ladder.silent(now);
                }
            }
            IceState::Failed => {
                self.departure.unheard();
                if self.was_connected {
                    self.shared.set_state(RemoteState::Reconnecting, "the path is lost");
                }
                self.ladder.lost(now);
                // What took the path may have taken the socket too, and a restart needs it: it is probed.
                self.context.client.network_changed();
            }
        }
    }

    /// A browser that never begins to gather is not healed from here, so the app hears of it.
    fn miss_addresses(&mut self, now: Duration) {
        let late = self.link.as_mut().is_some_and(|link| link.lacks_addresses(now));
        if late && !self.negotiation.named_addresses() {
            let message = "the remote agreed to connect and named no address of its own";
            self.shared.fail(NegotiationError::new("remote_without_addresses", message));
        }
    }

    /// A path without keys carries nothing.
    fn give_handshake_up(&mut self, now: Duration) {
        if self.link.as_mut().is_some_and(|link| link.is_stuck(now)) {
            self.shared.fail(NegotiationError::new(
                "handshake_timeout",
                "the keys of the connection were not agreed on in time",
            ));
            self.negotiation.replace_connection(now);
        }
    }

    /// The remote closed its side: it begins anew, or leaves.
    fn transport_closed(&mut self) {
        let now = self.now();
        self.negotiation.replace_connection(now);
    }

    fn signal_failed(&self, error: &RequestError) {
        let known = matches!(
            error,
            // The line broke: after the reconnect the room says who is still there.
            RequestError::NotConnected { .. } | RequestError::Disconnected { .. }
        ) || error.code() == "peer_not_found";
        if known {
            tracing::debug!(code = error.code(), sent = self.signals.sent(), "a signal was lost");
        } else {
            self.shared.fail(NegotiationError::refused(error));
        }
    }
}
