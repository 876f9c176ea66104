//! The crate's callbacks run inside its driver, which waits for them: each one only puts an event into the
//! queue.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use tokio::sync::mpsc;
use webrtc::data_channel::{DataChannel, RTCDataChannelId};
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnectionEventHandler, RTCIceConnectionState, RTCIceGatheringState,
    RTCPeerConnectionIceEvent, RTCPeerConnectionState,
};

use super::association::Association;
use super::channel::CrateChannel;
use super::congestion::Feedback;
use super::tracks::Tracks;
use crate::rtc::engine::{ConnectionEvent, IceState};
use crate::rtc::runtime::Selection;
use crate::wire::IceCandidate;

#[derive(Debug)]
pub(super) struct Handler {
    events: mpsc::UnboundedSender<ConnectionEvent>,
    pub(super) association: Arc<Association>,
    selection: Arc<Selection>,
    pub(super) tracks: Arc<Tracks>,
    /// A channel of ours that nobody uses, nor polls.
    ignored: OnceLock<RTCDataChannelId>,
}

impl Handler {
    pub(super) fn new(
        events: mpsc::UnboundedSender<ConnectionEvent>,
        selection: Arc<Selection>,
        feedback: Arc<Feedback>,
    ) -> Self {
        let tracks = Arc::new(Tracks::new(events.clone(), feedback));
        let association = Arc::new(Association::new(events.clone()));
        Self { events, association, selection, tracks, ignored: OnceLock::new() }
    }

    /// The crate announces a channel without a reader as if it were the remote's: not this one.
    pub(super) fn ignore_channel(&self, id: RTCDataChannelId) {
        self.ignored.get_or_init(|| id);
    }

    fn tell(&self, event: ConnectionEvent) {
        // Without a reader the connection is being closed.
        drop(self.events.send(event));
    }
}

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_negotiation_needed(&self) {
        self.tell(ConnectionEvent::NegotiationNeeded);
    }

    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        // The fields that the crate leaves empty are filled in from the local description when it leaves.
        if let Ok(init) = event.candidate.to_json() {
            self.tell(ConnectionEvent::Candidate(IceCandidate {
                candidate: init.candidate,
                ..IceCandidate::default()
            }));
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.tell(ConnectionEvent::GatheringComplete);
        }
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        match state {
            RTCIceConnectionState::Checking => self.selection.checking(),
            RTCIceConnectionState::Connected | RTCIceConnectionState::Completed => {
                self.selection.selected();
                self.association.path.settled();
            }
            RTCIceConnectionState::Disconnected | RTCIceConnectionState::Failed => {
                self.association.path.lost();
            }
            _ => {}
        }
        self.tell(ConnectionEvent::Ice(match state {
            RTCIceConnectionState::Checking => IceState::Checking,
            RTCIceConnectionState::Connected | RTCIceConnectionState::Completed => {
                IceState::Connected
            }
            RTCIceConnectionState::Disconnected => IceState::Disconnected,
            RTCIceConnectionState::Failed => IceState::Failed,
            _ => return,
        }));
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        match state {
            RTCPeerConnectionState::Connected => {
                self.association.transport_up();
                self.tell(ConnectionEvent::Connected);
            }
            RTCPeerConnectionState::Closed => {
                self.association.transport_closed();
                self.association.path.settled();
                self.tell(ConnectionEvent::TransportClosed);
            }
            _ => {}
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        if self.ignored.get() == Some(&channel.id()) {
            return;
        }
        // Reading its properties needs the lock that the driver has released while it awaits us.
        match CrateChannel::adopt(channel, Arc::clone(&self.association)).await {
            Ok(channel) => self.tell(ConnectionEvent::Channel(Arc::new(channel))),
            Err(error) => tracing::debug!(%error, "a channel was gone before it was announced"),
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.tracks.opened(track);
    }
}
