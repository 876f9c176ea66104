//! An engine that is played: it makes connections or refuses to, as it is told.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::peer::negotiation::{Op, Reply, model};
use crate::peer::remote::Input;
use crate::rtc::RtcError;
use crate::rtc::engine::*;
use crate::rtc::stats::ConnectionStats;
use crate::wire::{IceCandidate, IceServer, SessionDescription};

#[derive(Debug, Default)]
pub(super) struct Script {
    /// Why no connection can be made. Else its path is found at once.
    pub(super) refuses: Option<&'static str>,
    /// How often a connection was asked for.
    pub(super) asked: u32,
    /// What the room says during the next operation of this name.
    pub(super) during: Option<(&'static str, mpsc::Sender<Input>, Vec<Input>)>,
    /// Of the last connection.
    events: Option<mpsc::UnboundedSender<ConnectionEvent>>,
}

impl Script {
    fn under_way(&mut self, operation: &str) {
        if let Some((_, room, said)) = self.during.take_if(|(name, ..)| *name == operation) {
            said.into_iter().for_each(|input| room.try_send(input).unwrap());
        }
    }

    pub(super) fn tell(&self, event: ConnectionEvent) {
        self.events.as_ref().unwrap().send(event).unwrap();
    }
}

#[derive(Debug)]
pub(super) struct Played(pub(super) Arc<Mutex<Script>>);

#[async_trait]
impl Engine for Played {
    async fn connect(
        &self,
        _: &ConnectionConfig,
        events: mpsc::UnboundedSender<ConnectionEvent>,
    ) -> Result<Arc<dyn Connection>, RtcError> {
        let mut script = self.0.lock().unwrap();
        script.asked += 1;
        script.under_way("connect");
        if let Some(reason) = script.refuses {
            return Err(RtcError::of("connect", reason));
        }
        script.events = Some(events);
        script.tell(ConnectionEvent::Ice(IceState::Connected));
        script.tell(ConnectionEvent::Connected);
        let sessions = Mutex::new(model::Engine::new('a', script.asked));
        Ok(Arc::new(PlayedConnection { script: Arc::clone(&self.0), sessions }))
    }

    fn network_changed(&self) {}
}

#[derive(Debug)]
struct PlayedConnection {
    script: Arc<Mutex<Script>>,
    sessions: Mutex<model::Engine>,
}

impl PlayedConnection {
    fn run(&self, op: &Op) -> Option<SessionDescription> {
        match self.sessions.lock().unwrap().run(op) {
            Reply::Description(description) => Some(description),
            Reply::Nothing => None,
        }
    }

    fn describe(&self, op: &Op) -> Result<SessionDescription, RtcError> {
        self.run(op);
        self.run(&Op::LocalDescription).ok_or(RtcError::of("describe", "None"))
    }
}

#[async_trait]
impl Connection for PlayedConnection {
    async fn offer(&self, ice_restart: bool) -> Result<SessionDescription, RtcError> {
        self.describe(&Op::Offer { ice_restart })
    }

    async fn answer(&self) -> Result<SessionDescription, RtcError> {
        self.describe(&Op::Answer)
    }

    async fn roll_back(&self) -> Result<(), RtcError> {
        self.run(&Op::RollBack);
        Ok(())
    }

    async fn apply_remote(&self, description: SessionDescription) -> Result<(), RtcError> {
        self.run(&Op::ApplyRemote(description));
        Ok(())
    }

    async fn add_candidate(&self, candidate: IceCandidate) -> Result<(), RtcError> {
        self.run(&Op::AddCandidate(candidate));
        Ok(())
    }

    async fn local_description(&self) -> Option<SessionDescription> {
        self.script.lock().unwrap().under_way("local_description");
        self.run(&Op::LocalDescription)
    }

    async fn set_ice_servers(&self, _: &[IceServer]) -> Result<(), RtcError> {
        Ok(())
    }

    async fn open_channel(&self, _: &ChannelInit) -> Result<Arc<dyn Channel>, RtcError> {
        Err(RtcError::of("open_channel", "Played"))
    }

    async fn add_sender(&self, _: &SenderInit) -> Result<Arc<dyn TrackSender>, RtcError> {
        Err(RtcError::of("add_sender", "Played"))
    }

    async fn remove_sender(&self, _: &dyn TrackSender) -> Result<(), RtcError> {
        Ok(())
    }

    fn remote_takes(&self, _: &str) -> bool {
        true
    }

    fn hurry(&self) {}

    fn relax(&self) {}

    async fn path_found(&self) {}

    fn received(&self) -> u64 {
        0
    }

    async fn feedback(&self) -> Option<TransportFeedback> {
        None
    }

    async fn stats(&self) -> ConnectionStats {
        ConnectionStats::default()
    }

    async fn close(&self, _: bool) {}
}
