//! A connection and what it tells.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::peer::negotiation::{Failure, Op, Reply};
use crate::rtc::RtcError;
use crate::rtc::engine::{Connection, ConnectionEvent};
use crate::rtc::sdp::SdpFacts;
use crate::wire::DescriptionKind;

/// An operation of the engine takes milliseconds; one that hangs must not hang the remote with it.
const OPERATION_LIMIT: Duration = Duration::from_secs(10);

/// How long path and keys of an agreed connection may take. A path that is not found fails sooner, and keys
/// take three round trips.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(20);

/// How long a remote may take to name its first address: those of its own interfaces come at once.
const ADDRESS_LIMIT: Duration = Duration::from_secs(5);

/// The code of a connection that may use relays only and has none.
pub(super) const NO_TURN_SERVER: &str = "no_turn_server";

pub(super) struct Link {
    pub(super) connection: Arc<dyn Connection>,
    pub(super) events: mpsc::UnboundedReceiver<ConnectionEvent>,
    /// Whether there is a path at the moment.
    pub(super) has_path: bool,
    /// Whether keys were agreed on.
    secured: bool,
    /// Until when they must be.
    secured_by: Option<Duration>,
    /// Until when the remote must have named an address; asked once.
    addressed_by: Option<Duration>,
    was_agreed: bool,
}

impl Link {
    pub(super) fn new(
        connection: Arc<dyn Connection>,
        events: mpsc::UnboundedReceiver<ConnectionEvent>,
    ) -> Self {
        let (secured_by, addressed_by) = (None, None);
        let (has_path, secured, was_agreed) = (false, false, false);
        Self { connection, events, has_path, secured, secured_by, addressed_by, was_agreed }
    }

    pub(super) fn negotiated(&mut self, now: Duration) {
        self.secured_by = (!self.secured).then_some(now + HANDSHAKE_LIMIT);
        if !std::mem::replace(&mut self.was_agreed, true) {
            self.addressed_by = Some(now + ADDRESS_LIMIT);
        }
    }

    pub(super) fn secured(&mut self) {
        self.secured = true;
        self.secured_by = None;
    }

    /// Whether it was ever up: the app may hold something that ends with it.
    pub(super) fn was_up(&self) -> bool {
        self.secured
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        [self.secured_by, self.addressed_by].into_iter().flatten().min()
    }

    /// Whether the remote has had its time to name an address, and there is no path: once.
    pub(super) fn lacks_addresses(&mut self, now: Duration) -> bool {
        let due = self.addressed_by.is_some_and(|due| now >= due);
        if due {
            self.addressed_by = None;
        }
        due && !self.has_path
    }

    /// Whether there is a path, and the keys took too long: no other deadline ends that. Without a path the
    /// ladder looks for one.
    pub(super) fn is_stuck(&mut self, now: Duration) -> bool {
        let late = self.secured_by.is_some_and(|due| now >= due);
        if late {
            self.secured_by = None;
        }
        late && self.has_path
    }
}

/// Does what the negotiation wants.
pub(super) async fn operate(connection: &dyn Connection, op: Op) -> Result<Reply, Failure> {
    let result = match tokio::time::timeout(OPERATION_LIMIT, run(connection, op)).await {
        Ok(result) => result,
        Err(_) => Err(RtcError::of("operation", "TimedOut")),
    };
    result.map_err(|error| Failure { code: "negotiation_failed", message: error.to_string() })
}

async fn run(connection: &dyn Connection, op: Op) -> Result<Reply, RtcError> {
    let reply = |()| Reply::Nothing;
    match op {
        Op::Offer { ice_restart } => connection.offer(ice_restart).await.map(Reply::Description),
        Op::Answer => connection.answer().await.map(Reply::Description),
        Op::RollBack => connection.roll_back().await.map(reply),
        Op::ApplyRemote(description) => connection.apply_remote(description).await.map(reply),
        Op::AddCandidate(candidate) => connection.add_candidate(candidate).await.map(reply),
        Op::LocalDescription => match connection.local_description().await {
            Some(description) => Ok(Reply::Description(description)),
            None => Err(RtcError::of("local_description", "None")),
        },
    }
}

/// Whether an operation applies an offer with data channels.
pub(super) fn offers_data(op: &Op) -> bool {
    let Op::ApplyRemote(description) = op else { return false };
    description.kind == DescriptionKind::Offer
        && SdpFacts::read(&description.sdp).is_some_and(|facts| facts.has_data)
}

/// Closes a connection; one that does not end is told of, not waited for.
pub(super) async fn close(connection: Arc<dyn Connection>, goodbye: bool) {
    if tokio::time::timeout(OPERATION_LIMIT, connection.close(goodbye)).await.is_err() {
        tracing::warn!("a connection did not close in time");
    }
}

/// The stable code of a connection that could not be made.
pub(super) fn connect_code(error: &RtcError) -> &'static str {
    match error.reason.as_str() {
        "NoTurnServer" => NO_TURN_SERVER,
        _ => "connection_failed",
    }
}
