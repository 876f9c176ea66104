//! The way of a local track to one remote's sender: RTP headers, time, pace, and what the remote asks.
//!
//! The track behind a sender may be swapped; the sender's packets go on in one row, with their time.

mod clock;
mod refusal;
mod task;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

pub(crate) use self::refusal::Refusal;
use self::task::Task;
use super::bandwidth::Bandwidth;
use super::local::Shared;
use crate::rtc::engine::TrackSender;
use crate::rtc::h264::StreamProfile;

/// What the owner of the sender says.
#[derive(Clone, Debug, Default)]
struct Orders {
    source: Option<Arc<Shared>>,
    /// Counts negotiations: what was agreed on is read anew.
    negotiations: u64,
    /// Whether packets reach the remote.
    connected: bool,
}

/// The owner's handle. The task ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Outbound {
    orders: watch::Sender<Orders>,
    figures: Arc<Figures>,
    refusal: Arc<Refusal>,
}

/// What a sender sent.
#[derive(Debug, Default)]
struct Figures {
    frames: AtomicU64,
    key_frames: AtomicU64,
    /// Bits per second of the path; 0 while unknown.
    share: AtomicU64,
}

impl Outbound {
    #[cfg(test)]
    pub(crate) fn new(
        sender: Arc<dyn TrackSender>,
        source: Arc<Shared>,
        bandwidth: Arc<Bandwidth>,
        connected: bool,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let refusal = Refusal::new(&Arc::default(), None);
        Self::after(sender, source, bandwidth, connected, refusal)
    }

    /// The handle and the task of a sender on the connection that the bandwidth is of.
    pub(crate) fn after(
        sender: Arc<dyn TrackSender>,
        source: Arc<Shared>,
        bandwidth: Arc<Bandwidth>,
        connected: bool,
        refusal: Arc<Refusal>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let kind = source.kind();
        let orders = Orders { source: Some(source), negotiations: 0, connected };
        let (orders, receiver) = watch::channel(orders);
        let figures = Arc::<Figures>::default();
        let task = Task::new(sender, kind, receiver, bandwidth, &figures, &refusal);
        (Self { orders, figures, refusal }, task.run())
    }

    /// Another source behind the same sender; `None` for silence.
    pub(crate) fn set_source(&self, source: Option<Arc<Shared>>) {
        self.orders.send_modify(|orders| orders.source = source);
    }

    /// Whole pictures that were sent, the key frames among them, and the bits per second of the path, if known.
    pub(crate) fn figures(&self) -> (u64, u64, Option<u64>) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let share = Some(read(&self.figures.share)).filter(|share| *share > 0);
        (read(&self.figures.frames), read(&self.figures.key_frames), share)
    }

    /// Whether the remote takes nothing of it, as the last negotiation says.
    pub(crate) fn is_refused(&self) -> bool {
        self.refusal.is_refused()
    }

    /// The profile of H.264 that was written when it was refused.
    pub(crate) fn refused_profile(&self) -> Option<StreamProfile> {
        self.refusal.profile()
    }

    /// The track whose source knows that the remote does not take it.
    pub(crate) fn told(&self) -> Option<String> {
        self.refusal.told()
    }

    pub(crate) fn negotiated(&self) {
        self.orders.send_modify(|orders| orders.negotiations += 1);
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.orders.send_if_modified(|orders| {
            std::mem::replace(&mut orders.connected, connected) != connected
        });
    }
}
