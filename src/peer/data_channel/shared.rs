//! What handles, reader and the remote's actor share of one channel: its states and the channel of the engine that
//! carries it. The actor attaches and detaches, the reader tells what happens to it, handles close it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

use super::{DataChannel, DataChannelEvent, DataChannelOptions, ReadyState};
use crate::events::Hub;
use crate::rtc::engine::{Channel, ChannelInit};

/// Bytes of messages from before the first subscription that are kept, the newest: with 256 channels a
/// remote can make us keep 128 MiB at most.
const BACKLOG_BYTES: usize = 512 * 1024;

/// A channel of the engine that carries one of ours.
#[derive(Clone, Debug)]
pub(super) struct Carrier {
    pub(super) channel: Arc<dyn Channel>,
    /// Tells it from those before and after it.
    number: u64,
}

/// One channel. Handles are references to it.
pub(crate) struct Shared {
    pub(super) id: String,
    pub(super) init: ChannelInit,
    pub(super) options: DataChannelOptions,
    /// Whether we opened it.
    ours: bool,
    pub(super) state: watch::Sender<ReadyState>,
    /// Whether it was ever open: one that was not has nothing to lose.
    pub(super) opened: AtomicBool,
    /// What carries it now.
    pub(super) link: watch::Sender<Option<Carrier>>,
    /// How many carried it so far.
    carriers: AtomicU64,
    /// The last of them that ended from outside.
    reset: AtomicU64,
    /// Wakes the remote's actor after that.
    resets: Arc<Notify>,
    /// The app closed it, or its remote is gone.
    pub(super) closing: watch::Sender<bool>,
    pub(super) hub: Hub<DataChannelEvent>,
    /// Held by the send whose turn it is; fair, so that sends leave in order.
    pub(super) turn: tokio::sync::Mutex<()>,
    pub(super) queued: AtomicUsize,
    pub(super) low: Notify,
    /// Bytes of a message that the remote takes.
    pub(super) remote_limit: Arc<AtomicUsize>,
}

impl Shared {
    pub(crate) fn new(
        id: String,
        init: ChannelInit,
        options: DataChannelOptions,
        ours: bool,
        remote_limit: Arc<AtomicUsize>,
        resets: Arc<Notify>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            init,
            options,
            ours,
            state: watch::Sender::new(ReadyState::Connecting),
            opened: AtomicBool::new(false),
            link: watch::Sender::new(None),
            carriers: AtomicU64::new(0),
            reset: AtomicU64::new(0),
            resets,
            closing: watch::Sender::new(false),
            hub: Hub::with_backlog(BACKLOG_BYTES),
            turn: tokio::sync::Mutex::new(()),
            queued: AtomicUsize::new(0),
            low: Notify::new(),
            remote_limit,
        })
    }

    pub(crate) fn handle(self: &Arc<Self>) -> DataChannel {
        DataChannel { shared: Arc::clone(self) }
    }

    pub(crate) fn init(&self) -> &ChannelInit {
        &self.init
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.state.borrow() == ReadyState::Closed
    }

    /// Whether it shall be opened again on the next connection.
    pub(crate) fn survives(&self) -> bool {
        let worth_it = self.options.durable || !self.opened.load(Ordering::Relaxed);
        self.ours && worth_it && !*self.closing.borrow() && !self.is_closed()
    }

    /// The engine's channel that carries it from now on.
    pub(crate) async fn attach(&self, channel: Arc<dyn Channel>) {
        let threshold = u32::try_from(self.options.low_threshold()).unwrap_or(u32::MAX);
        if let Err(error) = channel.set_low_threshold(threshold).await {
            tracing::debug!(%error, "a channel was gone before it was attached");
        }
        let number = self.carriers.fetch_add(1, Ordering::Relaxed) + 1;
        self.link.send_replace(Some(Carrier { channel, number }));
    }

    /// What carries it, or carried it last, ended, and not because we closed it.
    pub(super) fn was_reset(&self, carrier: &Carrier) {
        self.reset.store(carrier.number, Ordering::Relaxed);
        self.resets.notify_one();
    }

    /// Whether what carries it has ended, and it would survive that.
    pub(crate) fn is_reset(&self) -> bool {
        let ended = self.reset.load(Ordering::Relaxed);
        self.link.borrow().as_ref().is_some_and(|carrier| carrier.number == ended)
            && self.survives()
    }

    /// The remote's app has closed it.
    pub(crate) fn closed_by_remote(&self) {
        self.closing.send_replace(true);
    }

    /// Nothing carries it any more. Closed, unless it survives that.
    pub(crate) fn detach(&self) {
        self.link.send_replace(None);
        if !self.survives() {
            self.closing.send_replace(true);
        }
    }
}
