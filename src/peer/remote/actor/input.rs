//! What room and actor of a remote tell each other, and what the actor does then.

use std::time::Duration;

use super::RemoteActor;
use crate::peer::ice_restart::IceRestart;
use crate::peer::negotiation::{Negotiation, Signal};
use crate::peer::state::RemoteState;
use crate::peer::track_metadata::announces_an_offer;
use crate::wire::{IceServer, TrackMetadata};

/// What the room tells the actor.
#[derive(Debug)]
pub(crate) enum Input {
    /// The remote signals.
    Signal(Signal),
    /// The remote says something of a track.
    TrackMetadata(TrackMetadata),
    /// The service gave other ICE servers.
    IceServers(Vec<IceServer>),
    /// The connection to the service is there, or gone.
    Signalling(bool),
    /// The service answered a probe.
    Heard,
    /// The remote is still there after a reconnect of ours.
    Survived,
    /// Our id is another one, so to the remote we are another peer.
    OwnId(String),
    /// The device is on another network.
    NetworkChanged,
    /// The app is in the foreground again: what was lost is looked for at once.
    Foreground,
    /// The service no longer lists the remote, while we are connected to it.
    Departing,
    /// It is listed again.
    Returned,
    /// We leave the room; the end of the inputs follows.
    Goodbye,
}

/// Whether a remote that the service lost is still the one that it was.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) id: String,
    /// The serial that the room gave the actor.
    pub(crate) serial: u64,
    pub(crate) same: bool,
    /// Signals that the actor had taken when it judged.
    pub(crate) signals: u64,
}

impl RemoteActor {
    pub(super) async fn input(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Signal(signal) => {
                self.signals_taken += 1;
                self.negotiation.signal(now, signal);
            }
            Input::TrackMetadata(said) => {
                if let Some(offers) = announces_an_offer(&said) {
                    self.negotiation.announced(now, offers);
                }
                self.metadata.note(said);
            }
            Input::IceServers(servers) => self.set_ice_servers(servers).await,
            Input::Signalling(up) => {
                self.ladder.signalling(now, up);
                match up {
                    false => self.negotiation.away(),
                    // Where the room was told who is there it has been said already.
                    true if self.negotiation.is_away() => self.negotiation.returned(now),
                    true => {}
                }
            }
            Input::Heard => self.ladder.heard(now),
            Input::Survived => {
                self.ladder.returned(now);
                self.negotiation.returned(now);
                self.senders.say_again();
                self.send_tracks().await;
                self.resume(now);
            }
            Input::OwnId(own) => {
                self.senders.say_again();
                let polite = own.as_bytes() < self.shared.id.as_bytes();
                self.shared.details().polite = polite;
                self.negotiation = Negotiation::new(polite);
                self.negotiation.met(now);
                self.ladder = IceRestart::new(polite);
                if self.link.is_some() || self.wants_connection() {
                    self.negotiation.replace_connection(now);
                }
            }
            Input::NetworkChanged if self.link.is_some() || self.wants_connection() => {
                self.ladder.network_changed(now);
            }
            Input::NetworkChanged => {}
            Input::Foreground => {
                if self.ladder.is_climbing() {
                    self.ladder.network_changed(now);
                }
            }
            Input::Departing => {
                let silent = self.shared.state() != RemoteState::Connected;
                self.departure.missing(self.shared.is_linked(), silent);
            }
            Input::Goodbye => self.goodbye = true,
            Input::Returned => {
                let signs = self.signs_of_life();
                self.departure.returned(now, signs);
            }
        }
    }

    /// What was under way when the line broke may be lost. And who saw us leave before there was a path has ended its
    /// side, as official SDKs do: an offer that goes on with ours would be answered by what it has made since, and
    /// neither side would have both descriptions. What we have is offered anew; what it has it offers itself.
    fn resume(&mut self, now: Duration) {
        let never_met =
            !self.was_connected && self.link.as_ref().is_some_and(|link| !link.has_path);
        if never_met && self.wants_connection() {
            self.negotiation.replace_connection(now);
        } else if never_met {
            self.ladder.expects_offer(now);
        } else if self.negotiation.expects_answer() {
            self.restart(now);
        }
    }
}
