//! A faithful local implementation of the Metered Realtime Messaging service, with faults on demand.
//!
//! For development and tests: it speaks the service's protocol to the official SDKs and to ours, keeps its
//! limits, and lets everything go wrong that can. It binds to this machine unless told otherwise.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use metered_dev_server::{DevServer, Target};
//! use metered_realtime::signalling::{Event, SignallingClient, SignallingOptions};
//!
//! let server = DevServer::builder().start().await?;
//! let mut options = SignallingOptions::with_api_key(metered_dev_server::DEV_API_KEY)?;
//! options.url = server.url();
//! let client = SignallingClient::new(options)?;
//! let mut events = client.events();
//! client.connect().await?;
//!
//! server.drop_connections(Target::all());
//! while !matches!(events.next().await, Some(Event::Disconnected(_))) {}
//!
//! client.close().await;
//! server.shutdown().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! Where public sources leave the service's behaviour open, it does this: neither or both of `token` and
//! `key` are HTTP 401; an `Origin` header is checked only if there is one; a wildcard in `subscribe` is a
//! plain name; without the action `presence` a connection sees no presence but is seen; pings cost nothing
//! of the message rate, every other frame does.

mod auth;
mod config;
mod connection;
mod dev_api;
mod faults;
mod handle;
mod http;
mod hub;
mod log;
mod page;
mod rest;
mod server;
mod state;
mod token;
mod turn;

pub use config::{
    Action, Config, ConfigError, DEV_API_KEY, DEV_SECRET, DEV_SECRET_ID, KeyConfig, Limits,
    SecretConfig, TurnConfig,
};
pub use faults::{Fault, SnapshotMode, Target};
pub use handle::DevServerHandle;
pub use log::LogEntry;
pub use server::{DevServer, DevServerBuilder, StartError};
pub use token::{DEFAULT_TTL, MAX_TTL, MintError, TokenClaims};

/// The guide's code is run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/dev-server.md")]
struct Guide;
