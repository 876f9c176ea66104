//! The native client of the Metered Realtime Messaging service: pub/sub with presence over one connection,
//! and peer to peer over WebRTC. Both outlive what networks do, until the attempts run out: 100 to the service by
//! default, two minutes for a path to a peer.
//!
//! Start at [`peer::MeteredPeer`] for rooms and connections between peers, at [`signalling::SignallingClient`]
//! for messages alone. Errors of calls answer `code()` and `diagnosis()`: cause and fix. The layers, from below:
//! [`wire`], [`diagnosis`] and [`events`] know nobody, [`credential`] and [`platform`] know them, [`signalling`]
//! and the WebRTC engine know those, [`media`] knows the engine, [`peer`] knows all, and `ffi` (a feature) gives
//! it to other languages.
//!
//! It runs on the tokio runtime that it is used on. One worker thread is best for a call and for data: two wake each
//! other for every packet.
//!
//! ```
//! # metered_scenes::play(async |metered_scenes::Service { server }| {
//! use metered_realtime::signalling::{Event, SignallingClient, SignallingOptions};
//!
//! # let url = server.url();
//! let mut options = SignallingOptions::with_api_key("pk_live_dev")?;
//! options.url = url; // a local server; leave it out for the service
//! let client = SignallingClient::new(options)?;
//! let mut events = client.events();
//! client.connect().await?;
//! client.subscribe("room").await?;
//! client.publish("room", "hello").await?;
//! # assert!(matches!(events.next().await, Some(Event::StateChange { .. })));
//! client.close().await;
//! # Ok(())
//! # });
//! ```

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
pub mod credential;
pub mod diagnosis;
pub mod events;
#[cfg(feature = "ffi")]
pub mod ffi;
pub mod media;
pub mod peer;
pub mod platform;
mod rtc;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use rtc::{fuzz_feedback, fuzz_sdp, fuzz_turn};
pub mod signalling;
pub mod wire;

/// UniFFI's derived code looks for it here.
#[cfg(feature = "ffi")]
#[doc(hidden)]
pub use ffi::UniFfiTag;

/// The README's code is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The guide's code runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/peers.md")]
struct PeersGuide;

/// The page on media, too.
#[cfg(doctest)]
#[doc = include_str!("../docs/media.md")]
struct MediaGuide;
