//! The data channels of one remote.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures_util::FutureExt;
use tokio::task::JoinSet;

use crate::peer::data_channel::{
    DataChannel, DataChannelOptions, Shared, UNIVERSAL_MESSAGE_BYTES, read,
};
use crate::peer::error::PeerError;
use crate::rtc::crate_engine::MAX_MESSAGE_BYTES;
use crate::rtc::engine::{Channel, Connection};

/// Channels of one remote, both sides' together. Beyond them a remote's is closed at once.
pub(super) const MAX_CHANNELS: usize = 256;

/// Numbers of channels, so that their ids differ in a whole process.
static NEXT: AtomicU64 = AtomicU64::new(1);

pub(super) struct Channels {
    known: Vec<Arc<Shared>>,
    readers: JoinSet<()>,
    /// Bytes of a message that the remote takes.
    limit: Arc<AtomicUsize>,
}

impl Channels {
    pub(super) fn new() -> Self {
        let limit = Arc::new(AtomicUsize::new(UNIVERSAL_MESSAGE_BYTES));
        Self { known: Vec::new(), readers: JoinSet::new(), limit }
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
        self.known.retain(|channel| !channel.is_closed());
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
        let shared = Shared::new(id, init, options, ours, Arc::clone(&self.limit));
        shared.attach(channel).await;
        self.known.push(Arc::clone(&shared));
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
        for channel in &self.known {
            channel.detach();
        }
    }

    /// A new connection is there: the survivors are opened on it. Whether there were any.
    pub(super) async fn reopen(&mut self, connection: &dyn Connection) -> bool {
        let mut any = false;
        for channel in self.known.iter().filter(|channel| channel.survives()) {
            any = true;
            match connection.open_channel(channel.init()).await {
                Ok(carrier) => channel.attach(carrier).await,
                // The connection failed already: its end brings the next one.
                Err(error) => tracing::warn!(%error, "a channel was not opened again"),
            }
        }
        any
    }

    /// Whether any channel wants a connection.
    pub(super) fn want_connection(&self) -> bool {
        self.known.iter().any(|channel| channel.survives())
    }

    /// Closes all and awaits their readers.
    pub(super) async fn close(&mut self) {
        for channel in self.known.drain(..) {
            channel.handle().close();
            channel.detach();
        }
        while self.readers.join_next().await.is_some() {}
    }
}
