//! What room and actor of a remote tell each other.

use crate::peer::negotiation::Signal;
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
