//! States of a peer and of its remotes, and their history.

use std::collections::VecDeque;
use std::fmt;
use std::time::SystemTime;

use serde::Serialize;

/// Changes that a history remembers.
const MAX_HISTORY: usize = 64;

/// Where a peer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerState {
    /// Never joined, or a join failed.
    #[default]
    Idle,
    /// Being joined.
    Joining,
    /// In the room.
    Joined,
    /// The connection to the service is lost and comes back; with a token calls go on.
    Reconnecting,
    /// Being closed.
    Leaving,
    /// Ended.
    Closed,
}

impl PeerState {
    /// The JavaScript SDK's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Joining => "joining",
            Self::Joined => "joined",
            Self::Reconnecting => "reconnecting",
            Self::Leaving => "leaving",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the connection to a remote stands.
///
/// ```
/// use metered_realtime::peer::RemoteState;
/// /// A mark on the picture of a remote.
/// fn mark(state: RemoteState) -> Option<&'static str> {
///     match state {
///         RemoteState::Connecting => Some("connecting …"),
///         RemoteState::Reconnecting => Some("poor connection"),
///         RemoteState::Idle | RemoteState::Connected | RemoteState::Closed => None,
///     }
/// }
/// assert_eq!(mark(RemoteState::Reconnecting), Some("poor connection"));
/// assert_eq!(RemoteState::Reconnecting.as_str(), "reconnecting"); // for logs
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RemoteState {
    /// Nothing to connect for yet: neither data channel nor track.
    #[default]
    Idle,
    /// Being connected.
    Connecting,
    /// Connected.
    Connected,
    /// The path is lost and looked for anew, or the connection is made anew.
    Reconnecting,
    /// The remote has left, or the peer was closed.
    Closed,
}

impl RemoteState {
    /// The JavaScript SDK's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for RemoteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One change of a state.
///
/// ```
/// use metered_realtime::peer::{PeerState, StateChange};
/// /// How long the peer was in the state before the last change.
/// fn lasted(history: &[StateChange<PeerState>]) -> Option<std::time::Duration> {
///     let [.., before, last] = history else { return None };
///     last.at.duration_since(before.at).ok() // `None` if the clock was set back
/// }
/// # use std::time::{Duration, UNIX_EPOCH};
/// # let change = |s, from, to| StateChange { at: UNIX_EPOCH + Duration::from_secs(s), from, to, reason: "" };
/// let history = [
///     change(10, PeerState::Joined, PeerState::Reconnecting),
///     change(12, PeerState::Reconnecting, PeerState::Joined),
/// ];
/// assert_eq!(lasted(&history), Some(Duration::from_secs(2)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange<S> {
    /// When, by the device's clock.
    pub at: SystemTime,
    /// The state before.
    pub from: S,
    /// The state after.
    pub to: S,
    /// Why, in a few words.
    pub reason: &'static str,
}

/// The latest changes of a state, the oldest first; at most 64.
#[derive(Clone, Debug)]
pub(crate) struct History<S>(VecDeque<StateChange<S>>);

impl<S> Default for History<S> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<S: Copy> History<S> {
    pub(crate) fn note(&mut self, from: S, to: S, reason: &'static str) {
        if self.0.len() >= MAX_HISTORY {
            self.0.pop_front();
        }
        self.0.push_back(StateChange { at: SystemTime::now(), from, to, reason });
    }

    pub(crate) fn all(&self) -> Vec<StateChange<S>> {
        self.0.iter().cloned().collect()
    }
}
