//! The signalling client: one connection to the service, kept alive.
//!
//! ```text
//!   SignallingClient (handles) ──commands──▶ Actor (one task) ──inputs──▶ Session (pure)
//!          ▲                                  │  ▲                           │
//!          └───── events, states, results ────┘  └──────── outputs ──────────┘
//!                                             │
//!                                   socket: names, proxies, TLS, upgrade
//! ```
//!
//! The session decides, the actor does, the handles ask. Who reconnects: the session, by `backoff`. Which
//! queues there are: commands (2,048, then `PacingOverflow`), requests that wait for their turn (as many), and
//! events per subscriber (1,024, then `Lagged`).

mod actor;
mod backoff;
mod client;
mod connection;
mod error;
mod event;
mod options;
mod pacing;
mod requests;
mod session;
mod socket;
mod subscriptions;

pub use crate::events::EVENT_QUEUE;
pub use backoff::ReconnectOptions;
pub use client::{Pacing, SignallingClient, SubscribeOptions};
pub use error::{ConnectError, HttpRefusal, NetworkFailure, RequestError};
pub use event::{Connected, Disconnected, Event, Events, State};
pub use options::{
    DEFAULT_INACTIVITY_TIMEOUT, DEFAULT_TOKEN_TIMEOUT, DEFAULT_URL, OptionsError, ProxySetting,
    SignallingOptions,
};
pub use pacing::{PacingOptions, SendPriority};
pub use requests::ACK_TIMEOUT;
pub use session::{
    CLOSE_TIMEOUT, Counters, PROBE_TIMEOUT, TOKEN_FAILURE_THRESHOLD, WELCOME_TIMEOUT,
    WRITE_STALL_TIMEOUT,
};
pub use socket::{Attempt, AttemptStep, ConnectStep, TargetError};
pub use subscriptions::{REPLAY_RETRIES, REPLAY_RETRY_DELAY};

/// Runs a random history of a session, for the fuzzer.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub fn fuzz_session(bytes: &[u8]) {
    session::model::run(bytes);
}
