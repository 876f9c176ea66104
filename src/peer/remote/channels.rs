//! The data channels of one remote.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::peer::data_channel::{
    DataChannel, DataChannelOptions, Life, Reset, Shared, UNIVERSAL_MESSAGE_BYTES, Verdict, read,
};
use crate::peer::error::PeerError;
use crate::rtc::crate_engine::MAX_MESSAGE_BYTES;
use crate::rtc::engine::{Channel, Connection};

/// Channels of one remote, both sides' together. Beyond them a remote's is closed at once.
pub(super) const MAX_CHANNELS: usize = 256;

/// Numbers of channels, so that their ids differ in a whole process.
static NEXT: AtomicU64 = AtomicU64::new(1);

struct Known {
    shared: Arc<Shared>,
    /// While it is open whether the remote's app closed it.
    reset: Option<Reset>,
}

pub(super) struct Channels {
    known: Vec<Known>,
    readers: JoinSet<()>,
    /// A reader saw the end of what carried its channel.
    resets: Arc<Notify>,
    /// Bytes of a message that the remote takes.
    limit: Arc<AtomicUsize>,
}

impl Channels {
    pub(super) fn new() -> Self {
        let limit = Arc::new(AtomicUsize::new(UNIVERSAL_MESSAGE_BYTES));
        Self { known: Vec::new(), readers: JoinSet::new(), resets: Arc::default(), limit }
    }

    /// The remote's description says how much it takes (0 is "any", RFC 8841 section 6).
    pub(super) fn set_limit(&self, bytes: Option<u64>) {
        let ours = MAX_MESSAGE_BYTES as usize;
        let limit = match bytes {
            None => UNIVERSAL_MESSAGE_BYTES,
            Some(0) => ours,
            Some(bytes) => usize::try_from(bytes).unwrap_or(ours).min(ours),
        };
        self.limit.store(limit, Ordering::Relaxed);
    }

    fn tidy(&mut self) {
        self.known.retain(|known| !known.shared.is_closed());
        while self.readers.try_join_next().is_some() {}
    }

    pub(super) fn is_full(&mut self) -> bool {
        self.tidy();
        self.known.len() >= MAX_CHANNELS
    }

    async fn add(
        &mut self,
        channel: Arc<dyn Channel>,
        options: DataChannelOptions,
        ours: bool,
    ) -> DataChannel {
        let id = format!("dc-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let init = channel.init().clone();
        let (limit, resets) = (Arc::clone(&self.limit), Arc::clone(&self.resets));
        let shared = Shared::new(id, init, options, ours, limit, resets);
        shared.attach(channel).await;
        self.known.push(Known { shared: Arc::clone(&shared), reset: None });
        self.readers.spawn(read(Arc::clone(&shared)).boxed());
        shared.handle()
    }

    pub(super) async fn open(
        &mut self,
        connection: &dyn Connection,
        label: &str,
        options: DataChannelOptions,
    ) -> Result<DataChannel, PeerError> {
        let init = options.init(label)?;
        if self.is_full() {
            return Err(PeerError::InvalidArgument { what: "the remote has 256 channels already" });
        }
        let channel = connection.open_channel(&init).await.map_err(|error| PeerError::Engine {
            code: "open_channel_failed",
            message: error.to_string(),
        })?;
        Ok(self.add(channel, options, true).await)
    }

    /// A channel that the remote opened.
    pub(super) async fn adopt(&mut self, channel: Arc<dyn Channel>) -> DataChannel {
        self.add(channel, DataChannelOptions::default(), false).await
    }

    /// The connection is gone: what does not survive that is closed.
    pub(super) fn detach(&mut self) {
        self.tidy();
        for known in &mut self.known {
            known.shared.detach();
            known.reset = None;
        }
    }

    /// A new connection is there: the survivors are opened on it. Whether there were any.
    pub(super) async fn reopen(&mut self, connection: &dyn Connection) -> bool {
        let mut any = false;
        for channel in
            self.known.iter().map(|known| &known.shared).filter(|channel| channel.survives())
        {
            any = true;
            match connection.open_channel(channel.init()).await {
                Ok(carrier) => channel.attach(carrier).await,
                // The connection failed already: its end brings the next one.
                Err(error) => tracing::warn!(%error, "a channel was not opened again"),
            }
        }
        any
    }

    /// Done when a channel of ours ended that may be opened again.
    pub(super) async fn was_reset(&self) {
        self.resets.notified().await;
    }

    /// Closes channels that the remote's app has closed. Whether a restart shall ask if the remote is there.
    pub(super) fn judge(&mut self, now: Duration, life: Life) -> bool {
        let mut ask = false;
        for Known { shared, reset } in &mut self.known {
            if !shared.is_reset() {
                *reset = None;
                continue;
            }
            match reset.get_or_insert_with(|| Reset::new(now)).verdict(now, life) {
                Some(Verdict::Closed) => shared.closed_by_remote(),
                Some(Verdict::Silent) => ask = true,
                None => {}
            }
        }
        ask
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.known.iter().filter_map(|known| known.reset.as_ref()?.next_deadline()).min()
    }

    /// Whether any channel wants a connection.
    pub(super) fn want_connection(&self) -> bool {
        self.known.iter().any(|known| known.shared.survives())
    }

    /// Closes all and awaits their readers.
    pub(super) async fn close(&mut self) {
        for Known { shared, .. } in self.known.drain(..) {
            shared.handle().close();
            shared.detach();
        }
        while self.readers.join_next().await.is_some() {}
    }
}
