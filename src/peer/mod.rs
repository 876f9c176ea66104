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
//!
//! A whole conversation, with data channels and statistics, is the example of the guide in `docs/peers.md`.
//!
//! ```
//! # metered_scenes::play(async |service: &metered_scenes::Service| {
//! use metered_realtime::peer::{MeteredPeer, PeerEvent, PeerOptions, PeerState};
//!
//! # let options = |id| service.peer_options(id);
//! let (alice, bob) = (MeteredPeer::new(options("alice")?)?, MeteredPeer::new(options("bob")?)?);
//! let mut events = bob.events();
//! bob.join("room").await?;
//! alice.join("room").await?;
//! assert_eq!((alice.state(), alice.channel().as_deref()), (PeerState::Joined, Some("room")));
//! alice.send(&"to everyone").await?;
//! let said = loop {
//!     match events.next().await {
//!         Some(PeerEvent::Data(data)) => break data,
//!         Some(_) => {}
//!         None => panic!("the peer is gone"),
//!     }
//! };
//! assert_eq!((said.sender_peer_id.as_str(), said.data.as_str()), ("alice", "\"to everyone\""));
//! bob.close().await;
//! let refused = bob.send(&"late").await.unwrap_err();
//! assert_eq!((refused.name(), &*refused.code()), ("MeteredPeerStateError", "not_joined"));
//! alice.close().await;
//! # Ok(())
//! # });
//! ```

mod data_channel;
mod departure;
mod error;
mod event;
mod ice_probe;
mod ice_restart;
mod metered_peer;
mod negotiation;
mod options;
mod publishing;
#[cfg(test)]
mod recording;
mod remote;
mod room;
mod roster;
#[cfg(any(test, feature = "fuzzing"))]
mod roster_model;
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
pub use ice_probe::{IceServerAnswer, ask_ice_server};
pub use metered_peer::{JoinOptions, MeteredPeer, PeerCounters};
pub use options::{IceTransportPolicy, LocalAddresses, PeerOptions, SocketBinder};
pub use remote::{RemoteCounters, RemoteEvent, RemoteEvents, RemoteMedia, RemotePeer, RemoteTrack};
pub use state::{PeerState, RemoteState, StateChange};

/// Runs a random history of two negotiations, for the fuzzer.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub fn fuzz_negotiation(bytes: &[u8]) {
    negotiation::model::run(&bytes[..bytes.len().min(400)]);
}

/// Runs a negotiation with a hostile remote, for the fuzzer.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub fn fuzz_signals(bytes: &[u8]) {
    negotiation::hostile::run(bytes);
}

/// Runs a random history of a roster, for the fuzzer.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub fn fuzz_roster(bytes: &[u8]) {
    roster_model::run(bytes);
}
