//! States and other plain enumerations, as the core has them.

use crate::peer::{CandidateType, IceTransportPolicy, PeerState, ReadyState, RemoteState};
use crate::signalling::{SendPriority, State as SignallingState};

/// Where a signalling client stands.
#[uniffi::remote(Enum)]
pub enum SignallingState {
    /// Never connected.
    Idle,
    /// The first attempt is under way.
    Connecting,
    /// Requests can be made.
    Connected,
    /// The connection is lost and will be made anew.
    Reconnecting,
    /// Ended.
    Closed,
}

/// Where a peer stands.
#[uniffi::remote(Enum)]
pub enum PeerState {
    /// Never joined, or a join failed.
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

/// Where the connection to a remote stands.
#[uniffi::remote(Enum)]
pub enum RemoteState {
    /// Nothing to connect for yet: neither data channel nor track.
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

/// Where a data channel stands (W3C `RTCDataChannelState`).
#[uniffi::remote(Enum)]
pub enum ReadyState {
    /// Not open yet; a durable channel is here again after a reset.
    Connecting,
    /// Messages pass.
    Open,
    /// Being closed.
    Closing,
    /// Closed for good.
    Closed,
}

/// Which requests go first.
#[uniffi::remote(Enum)]
pub enum SendPriority {
    /// Call set-up: before anything of the app.
    Signalling,
    /// The app's own data.
    App,
}

/// Which candidates may be used.
#[uniffi::remote(Enum)]
pub enum IceTransportPolicy {
    /// All.
    All,
    /// Relayed ones alone: the remote never learns our address. Needs a TURN server.
    Relay,
}

/// Where a candidate's address comes from (RFC 8445 section 5.1.1).
#[uniffi::remote(Enum)]
pub enum CandidateType {
    /// An interface of the device.
    Host,
    /// What a STUN server saw.
    Srflx,
    /// What the remote saw.
    Prflx,
    /// A relay.
    Relay,
}
