//! What the crate does not tell of the association under the data channels: when a channel may be opened on
//! it, and when the remote has ended it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use rtc::peer_connection::transport::RTCSctpTransportState;
use tokio::sync::{mpsc, watch};
use webrtc::peer_connection::PeerConnection;

use super::path::Path;
use crate::rtc::engine::ConnectionEvent;

/// First pause between looks at an association whose transport is up: its handshake takes two round trips,
/// and the crate has no event for its end.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// The longest pause: a handshake that takes longer has lost packets.
const LOOK_RARELY: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    New,
    Up,
    Closed,
}

/// The association of one connection, as its channels need to know it.
pub(super) struct Association {
    /// Weak: the connection owns its channels, not the other way round.
    connection: OnceLock<Weak<dyn PeerConnection>>,
    transport: watch::Sender<Transport>,
    pub(super) path: Arc<Path>,
    events: mpsc::UnboundedSender<ConnectionEvent>,
    told: AtomicBool,
}

impl fmt::Debug for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Association").finish_non_exhaustive()
    }
}

impl Association {
    pub(super) fn new(events: mpsc::UnboundedSender<ConnectionEvent>) -> Self {
        let transport = watch::Sender::new(Transport::New);
        Self {
            connection: OnceLock::new(),
            transport,
            path: Arc::default(),
            events,
            told: AtomicBool::new(false),
        }
    }

    /// Said once, when the connection exists.
    pub(super) fn belongs_to(&self, connection: Weak<dyn PeerConnection>) {
        self.connection.get_or_init(|| connection);
    }

    pub(super) fn transport_up(&self) {
        self.transport.send_if_modified(|transport| {
            let first = *transport == Transport::New;
            if first {
                *transport = Transport::Up;
            }
            first
        });
    }

    pub(super) fn transport_closed(&self) {
        self.transport.send_replace(Transport::Closed);
    }

    fn connection(&self) -> Option<Arc<dyn PeerConnection>> {
        self.connection.get()?.upgrade()
    }

    /// `None` before descriptions agreed on an association.
    async fn state(&self) -> Option<RTCSctpTransportState> {
        self.connection()?.sctp().await?.state().await.ok()
    }

    /// Whether the association's handshake is ahead or under way. The crate sends the announcement of a
    /// channel that is opened during the handshake at once, and it is lost. Before descriptions are agreed on
    /// it waits for the end of the handshake as it should.
    pub(super) async fn is_under_way(&self) -> bool {
        self.state().await.is_some_and(|state| state != RTCSctpTransportState::Connected)
    }

    /// Whether the association stands. The crate opens a channel with an agreed number on it at once, and does
    /// not say so.
    pub(super) async fn stands(&self) -> bool {
        self.state().await == Some(RTCSctpTransportState::Connected)
    }

    /// The connection, once channels can be opened on it; `None` if that will never be.
    pub(super) async fn ready(&self) -> Option<Arc<dyn PeerConnection>> {
        let mut transport = self.transport.subscribe();
        let mut pause = LOOK_AGAIN / 2;
        loop {
            let now = *transport.borrow_and_update();
            match now {
                Transport::New => {}
                Transport::Closed => return None,
                // "Closed" is also said of one whose handshake the remote has just begun.
                Transport::Up if self.state().await == Some(RTCSctpTransportState::Connected) => {
                    return self.connection();
                }
                Transport::Up => pause = (pause * 2).min(LOOK_RARELY),
            }
            tokio::select! {
                // The sender lives as long as `self`.
                _ = transport.changed() => {}
                () = tokio::time::sleep(pause), if now == Transport::Up => {}
            }
        }
    }

    /// A channel was closed from outside. A remote that closes its connection aborts the association (W3C
    /// WebRTC section 4.4.2, `close`), and the crate reports that as the close of every channel and of nothing
    /// else: the path would look alive until its silence counts as failure.
    pub(super) async fn channel_closed(&self) {
        let alive = self.state().await == Some(RTCSctpTransportState::Connected);
        if !alive && !self.told.swap(true, Ordering::Relaxed) {
            // Without a reader the connection is being closed.
            drop(self.events.send(ConnectionEvent::TransportClosed));
        }
    }
}
