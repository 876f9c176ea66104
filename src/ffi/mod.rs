//! The surface for other languages, by UniFFI: wrappers over the public Rust API, without logic.
//!
//! ```text
//!   Kotlin, Swift, Python ──▶ objects here ──▶ signalling, peer, media, diagnosis
//!            ▲                  │
//!            └── listeners ◀── Inbox (one queue per object, pulled)
//! ```
//!
//! What every function here keeps to, because an app in another language cannot mend it:
//! - It returns `Result`, and its error is [`SdkError`]; a panic inside becomes one too.
//! - It never blocks. What waits is `async`, runs on a thread of our own that starts with the first use
//!   and ends with [`shutdown_all`], and is aborted when the caller gives up.
//! - No lock is held while the app's code runs, and the app's code may fail, throw or hang.
//! - Events are pulled in batches; listeners are a task that pulls. What is not pulled stays in the queue.
//! - `shutdown` may be called twice, and frees listener, token provider and tasks. Nothing is called `close`
//!   or `destroy`: those are the generated classes' own.
//!
//! JSON payloads pass as text, times as milliseconds with the unit in the name. Media passes as bytes, copied
//! once on its way; what a microphone writes and a loudspeaker pulls is a plain call on their own thread.

#![allow(unsafe_code)] // what UniFFI generates, and how bytes are passed
#![allow(clippy::needless_pass_by_value)] // arguments from another language arrive owned
#![allow(clippy::result_large_err)] // UniFFI takes errors by value and copies them once, at the boundary

mod attempt;
mod audio_mix;
mod data_channel;
mod error;
mod event;
#[cfg(feature = "ffi-test")]
mod faults;
#[cfg(feature = "ffi-test")]
mod feeds;
mod ice_probe;
mod inbox;
mod listener;
mod local_track;
mod logging;
mod metered_peer;
mod options;
mod pace;
mod pcm;
mod raw_bytes;
mod remote_peer;
mod remote_track;
mod runtime;
mod signalling;
mod socket_binder;
mod state;
mod stats;
mod token_provider;

pub use attempt::{Attempt, AttemptClocks, AttemptStep};
pub use audio_mix::AudioMix;
pub use data_channel::DataChannel;
pub use error::{CallbackError, ErrorDetails, SdkError, diagnose_close_code};
pub use event::{
    DataChannelEvent, IceFailure, NegotiationFailure, PeerEvent, PeerFailure, PresencePeer,
    RemoteEvent, RemoteTrack, SignallingEvent, Welcome,
};
#[cfg(feature = "ffi-test")]
#[doc(hidden)]
pub use faults::{panic_in_a_task, panic_inside, sleep};
#[cfg(feature = "ffi-test")]
#[doc(hidden)]
pub use feeds::{FrameFeed, MessageFeed};
pub use ice_probe::{IceServerAnswer, ask_ice_server};
pub use listener::{
    AudioPacketListener, DataChannelListener, LocalTrackListener, PeerListener, RemoteListener,
    SignallingListener, VideoFrameListener,
};
pub use local_track::{LocalAudioTrack, LocalTrack, LocalTrackEvent, LocalVideoTrack, MediaStream};
pub use logging::{LogLevel, LogRecord, next_log_records, start_logging};
pub use metered_peer::{MeteredPeer, PeerStateChange};
pub use options::{
    Credential, DataChannelOptions, Header, IceServer, PeerOptions, ProxySetting, ReconnectOptions,
    SignallingOptions,
};
pub use raw_bytes::RawBytes;
pub use remote_peer::{RemotePeer, RemoteStateChange};
pub use remote_track::{
    AccessUnit, AudioOutput, AudioPacket, AudioPackets, FrameEvent, JitterBounds, PacketEvent,
    RemoteAudioTrack, RemoteMedia, RemoteVideoTrack, VideoFrames,
};
pub use runtime::shutdown_all;
pub use signalling::{PacingFigures, SignallingClient};
pub use socket_binder::SocketBinder;
pub use stats::PlayoutStats;
pub use token_provider::TokenProvider;

uniffi::setup_scaffolding!("metered_realtime");
