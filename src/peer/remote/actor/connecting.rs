//! How the actor comes to a connection, and what is put on it.
//!
//! One that cannot be made, such as without a socket, is tried again on the ladder while tracks or channels need it.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::RemoteActor;
use crate::peer::data_channel::{DataChannel, DataChannelOptions};
use crate::peer::error::{NegotiationError, PeerError};
use crate::peer::negotiation::Op;
use crate::peer::remote::link::{self, Link, NO_TURN_SERVER, connect_code};
use crate::peer::state::RemoteState;
use crate::rtc::engine::Connection;
use crate::rtc::{Certificate, RtcError};

impl RemoteActor {
    pub(super) async fn open_channel(
        &mut self,
        label: &str,
        options: DataChannelOptions,
    ) -> Result<DataChannel, PeerError> {
        let connection = match self.connection().await {
            Ok(connection) => connection,
            Err(error) => {
                // The channel is none yet: it is the caller's to try again.
                let (code, message) = (connect_code(&error), error.to_string());
                self.fail(NegotiationError::new(code, &message));
                return Err(PeerError::Engine { code, message });
            }
        };
        let channel = self.channels.open(&*connection, label, options).await?;
        let now = self.now();
        self.negotiation.data_wanted(now);
        self.shared_connecting();
        Ok(channel)
    }

    fn shared_connecting(&self) {
        if *self.shared.state.borrow() == RemoteState::Idle {
            self.shared.set_state(RemoteState::Connecting, "there is something to connect for");
        }
    }

    /// The connection; a new one if there is none.
    async fn connection(&mut self) -> Result<Arc<dyn Connection>, RtcError> {
        if let Some(link) = &self.link {
            return Ok(Arc::clone(&link.connection));
        }
        self.config.certificate = match self.config.certificate.take() {
            Some(certificate) if certificate.is_valid() => Some(certificate),
            _ => Some(Certificate::new()?),
        };
        let (sender, events) = mpsc::unbounded_channel();
        let connection = self.context.engine.connect(&self.config, sender).await;
        self.config.answers_actively = false;
        let connection = connection?;
        connection.hurry();
        self.link = Some(Link::new(Arc::clone(&connection), events));
        Ok(connection)
    }

    pub(super) fn wants_connection(&self) -> bool {
        self.channels.want_connection() || self.senders.want_connection()
    }

    /// No connection could be made, and something needs one: the ladder tries again.
    fn unconnected(&mut self, error: &RtcError) {
        self.fail(NegotiationError::new(connect_code(error), error.to_string()));
        self.shared_connecting();
        let now = self.now();
        self.ladder.lost(now);
    }

    /// Tells of a failure. That there is no relay is told once: every further attempt would say it again.
    pub(super) fn fail(&mut self, error: NegotiationError) {
        if error.code == NO_TURN_SERVER && std::mem::replace(&mut self.told_no_relay, true) {
            self.shared.note_error(error);
        } else {
            self.shared.fail(error);
        }
    }

    /// Puts on a new connection what waits for one.
    async fn equip(&mut self, connection: &dyn Connection) {
        if self.channels.reopen(connection).await {
            let now = self.now();
            self.negotiation.data_wanted(now);
        }
        self.send_tracks().await;
    }

    /// A connection with what waits for one on it; whether there is one.
    pub(super) async fn connect_anew(&mut self) -> bool {
        match self.connection().await {
            Ok(connection) => {
                self.equip(&*connection).await;
                true
            }
            Err(error) => {
                self.unconnected(&error);
                false
            }
        }
    }

    /// The connection for an operation: what waits for one is put on it if it is new.
    pub(super) async fn connection_for(
        &mut self,
        op: &Op,
    ) -> Result<Arc<dyn Connection>, RtcError> {
        let new = self.link.is_none();
        if new {
            self.config.answers_actively = link::offers_data(op);
        }
        let connection = self.connection().await?;
        if new && self.wants_connection() {
            self.equip(&*connection).await;
        }
        self.shared_connecting();
        Ok(connection)
    }

    /// Brings what the remote is sent in line with our tracks; what we say of them goes first.
    pub(super) async fn send_tracks(&mut self) {
        self.senders.describe(&mut self.signals).await;
        if self.link.is_none() && !self.senders.want_connection() {
            return;
        }
        let connection = match self.connection().await {
            Ok(connection) => connection,
            Err(error) => return self.unconnected(&error),
        };
        let connected = self.shared.state() == RemoteState::Connected;
        if self.senders.attach(&connection, &self.shared, connected).await {
            let now = self.now();
            self.negotiation.tracks_changed(now);
            self.shared_connecting();
        }
    }
}
