//! What apps implement to be told of events.
//!
//! Asynchronous, so that a slow listener holds no thread of ours up: while it works, events wait in their
//! queue. One that fails gets the next events all the same.

use async_trait::async_trait;

use super::error::CallbackError;
use super::event::{DataChannelEvent, PeerEvent, RemoteEvent, SignallingEvent};
use super::local_track::LocalTrackEvent;
use super::remote_track::{FrameEvent, PacketEvent};

/// Is told of a signalling client's events.
#[uniffi::export(with_foreign)]
#[async_trait]
pub trait SignallingListener: Send + Sync {
    /// Events in order; the next ones come when this has returned.
    async fn on_events(&self, events: Vec<SignallingEvent>) -> Result<(), CallbackError>;
}

/// Is told of a peer's events.
#[uniffi::export(with_foreign)]
#[async_trait]
pub trait PeerListener: Send + Sync {
    /// Events in order; the next ones come when this has returned.
    async fn on_events(&self, events: Vec<PeerEvent>) -> Result<(), CallbackError>;
}

/// Is told of a remote's events.
#[uniffi::export(with_foreign)]
#[async_trait]
pub trait RemoteListener: Send + Sync {
    /// Events in order; the next ones come when this has returned.
    async fn on_events(&self, events: Vec<RemoteEvent>) -> Result<(), CallbackError>;
}

/// Is told of a data channel's events.
#[uniffi::export(with_foreign)]
#[async_trait]
pub trait DataChannelListener: Send + Sync {
    /// Events in order; while this works the remote is slowed down and nothing is lost.
    async fn on_events(&self, events: Vec<DataChannelEvent>) -> Result<(), CallbackError>;
}

/// Is told of a local track's events.
#[uniffi::export(with_foreign)]
#[async_trait]
pub trait LocalTrackListener: Send + Sync {
    /// Events in order; the next ones come when this has returned.
    async fn on_events(&self, events: Vec<LocalTrackEvent>) -> Result<(), CallbackError>;
}

/// Is told of the pictures of a sink.
#[uniffi::export(with_foreign)]
#[async_trait]
pub trait VideoFrameListener: Send + Sync {
    /// Pictures in decode order; the next ones come when this has returned.
    async fn on_events(&self, events: Vec<FrameEvent>) -> Result<(), CallbackError>;
}

/// Is told of the packets of a sink.
#[uniffi::export(with_foreign)]
#[async_trait]
pub trait AudioPacketListener: Send + Sync {
    /// Packets as they came; the next ones come when this has returned.
    async fn on_events(&self, events: Vec<PacketEvent>) -> Result<(), CallbackError>;
}
