//! Peers in rooms: who is there, connections to everyone, and what passes between them.
//!
//! ```text
//!   MeteredPeer (handles) ──commands──▶ RoomActor ◀──events── SignallingClient
//!                                        │  └── Roster (pure)
//!                                        ├──▶ RemoteActor, one per remote
//!                                        │     ├── Negotiation, IceRestart (pure)
//!                                        │     ├── rtc::engine::Connection
//!                                        │     └── a reader per data channel
//! ```
//!
//! The pure machines decide, the actors do. Who reconnects: the signalling client its socket, the remote's
//! actor its connection; a lost socket alone leaves every connection as it is. Which queues there are:
//! commands per peer, inputs per remote (256, then dropped and counted), events per subscriber (1,024 or
//! 8 MiB, then `Lagged`), messages of a data channel (the same, then the remote is slowed down).

mod data_channel;
mod departure;
mod error;
mod event;
mod ice_restart;
mod metered_peer;
mod negotiation;
mod options;
mod publishing;
mod remote;
mod room;
mod roster;
#[cfg(test)]
mod simulation;
mod state;
mod track_metadata;
mod tracks;

pub use crate::rtc::stats::{
    CandidatePairStats, CandidateStats, CandidateType, ChannelStats, ConnectionStats, TrackStats,
};
pub use data_channel::{
    ChannelMessage, DEFAULT_MAX_BUFFERED_AMOUNT, DEFAULT_MAX_QUEUED_SENDS, DataChannel,
    DataChannelEvent, DataChannelEvents, DataChannelOptions, ReadyState,
};
pub use error::{
    DataChannelError, IceCandidateError, NegotiationError, PeerError, PeerOptionsError,
};
pub use event::{Data, DataKind, FatalError, PeerEvent, PeerEvents};
pub use metered_peer::{JoinOptions, MeteredPeer, PeerCounters};
pub use options::{IceTransportPolicy, LocalAddresses, PeerOptions, SocketBinder};
pub use remote::{RemoteCounters, RemoteEvent, RemoteEvents, RemoteMedia, RemotePeer, RemoteTrack};
pub use state::{PeerState, RemoteState, StateChange};
