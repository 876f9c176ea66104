//! What a peer tells its app.

use std::sync::Arc;

use crate::diagnosis::Diagnosis;
use crate::events::{self, Event};
use crate::peer::remote::RemotePeer;
use crate::peer::state::PeerState;
use crate::wire::Json;

/// How data came.
///
/// ```
/// use metered_realtime::peer::{Data, DataKind};
/// # use metered_realtime::wire::Json;
/// let data = Data {
///     sender_peer_id: "bob".into(),
///     data: Json::parse("\"psst\"")?,
///     kind: DataKind::Direct,
///     sender_metadata: None,
/// };
/// let line = match data.kind {
///     DataKind::Broadcast => format!("{}: {}", data.sender_peer_id, data.data.to::<String>()?),
///     DataKind::Direct => format!("{} whispers: {}", data.sender_peer_id, data.data.to::<String>()?),
/// };
/// assert_eq!(line, "bob whispers: psst");
/// # Ok::<(), metered_realtime::wire::JsonError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DataKind {
    /// To everyone in the room.
    Broadcast,
    /// To us alone.
    Direct,
}

/// Data of another peer, or of the app's backend.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Data {
    /// The sender; for data of a backend, whatever it chose.
    pub sender_peer_id: String,
    /// The payload.
    pub data: Json,
    /// How it came.
    pub kind: DataKind,
    /// The sender's `peerMetadata`: always with direct data, with broadcasts if the join asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_metadata: Option<Json>,
}

/// A failure that the app should know of.
///
/// ```
/// use metered_realtime::peer::FatalError;
/// /// What the app does about it.
/// fn screen(error: &FatalError) -> &'static str {
///     match error.name.as_str() {
///         "invalid_token" | "token_expired" | "TokenProviderError" => "sign in again",
///         "admin_disconnect" => "you were removed",
///         _ => "tell the developer", // with error.message and error.diagnosis
///     }
/// }
/// # use metered_realtime::diagnosis::Diagnosis;
/// let error = FatalError {
///     name: "admin_disconnect".into(),
///     message: "closed with 4020".into(),
///     diagnosis: Diagnosis::new("…", "…"),
/// };
/// assert_eq!(screen(&error), "you were removed");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatalError {
    /// The JavaScript SDK's name of it: `invalid_token`, `token_expired`, `channel_not_authorized`,
    /// `account_suspended`, `admin_disconnect`, `action_not_permitted`, `TokenProviderError`,
    /// `ReconcileTimeoutError`; ours where it has none.
    pub name: String,
    /// One line for people.
    pub message: String,
    /// Cause and fix.
    pub diagnosis: Diagnosis,
}

/// Something that happened to a peer.
///
/// ```
/// use metered_realtime::peer::{PeerEvent, PeerState};
/// /// A line for the screen.
/// fn line(event: &PeerEvent) -> Option<String> {
///     Some(match event {
///         PeerEvent::PeerJoined(remote) => format!("{} came", remote.id()),
///         PeerEvent::PeerLeft(remote) => format!("{} left", remote.id()),
///         PeerEvent::Data(data) => format!("{}: {}", data.sender_peer_id, data.data.as_str()),
///         PeerEvent::StateChange { to: PeerState::Reconnecting, .. } => "Connection lost".into(),
///         PeerEvent::Error(error) => format!("{}. {}", error.message, error.diagnosis),
///         _ => return None,
///     })
/// }
/// let lost = PeerEvent::StateChange { from: PeerState::Joined, to: PeerState::Reconnecting };
/// assert_eq!(line(&lost).as_deref(), Some("Connection lost"));
/// assert_eq!(lost.name(), "state-change");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PeerEvent {
    /// The room was joined.
    Joined {
        /// Our id.
        peer_id: String,
        /// The room's channel.
        channel: String,
    },
    /// The room was left for good.
    Left {
        /// Why.
        reason: String,
    },
    /// The state changed.
    StateChange {
        /// The state before.
        from: PeerState,
        /// The state now.
        to: PeerState,
    },
    /// Another peer is in the room.
    PeerJoined(RemotePeer),
    /// Another peer left the room.
    PeerLeft(RemotePeer),
    /// Data came by way of the service.
    Data(Arc<Data>),
    /// Something failed that does not mend itself, or not without the app.
    Error(Arc<FatalError>),
    /// This subscriber was too slow: so many of its oldest waiting events were dropped.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl PeerEvent {
    /// The JavaScript SDK's name of the event; ours where it has none.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Joined { .. } => "joined",
            Self::Left { .. } => "left",
            Self::StateChange { .. } => "state-change",
            Self::PeerJoined(_) => "peer-joined",
            Self::PeerLeft(_) => "peer-left",
            Self::Data(_) => "data",
            Self::Error(_) => "error",
            Self::Lagged { .. } => "lagged",
        }
    }
}

impl Event for PeerEvent {
    fn lagged(missed: u64) -> Self {
        Self::Lagged { missed }
    }

    fn size(&self) -> usize {
        match self {
            Self::Data(data) => data.data.as_str().len(),
            _ => 0,
        }
    }
}

/// A subscription to a peer's events.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Peer { peer, .. }| {
/// use metered_realtime::peer::{PeerEvent, PeerEvents};
/// let mut events: PeerEvents = peer.events();
/// peer.join("room").await?;
/// let joined = loop {
///     if let Some(PeerEvent::Joined { peer_id, channel }) = events.next().await {
///         break (peer_id, channel);
///     }
/// };
/// assert_eq!(joined, ("alice".to_owned(), "room".to_owned()));
/// peer.close().await;
/// # Ok(())
/// # });
/// ```
pub type PeerEvents = events::Events<PeerEvent>;
