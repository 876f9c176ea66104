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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::sync::{Mutex, mpsc};

    use super::*;
    use crate::peer::data_channel::ReadyState;
    use crate::rtc::RtcError;
    use crate::rtc::engine::{ChannelEvent, ChannelInit, ChannelMessage};

    const STEP: Duration = Duration::from_millis(50);

    /// A channel of an engine that tells what it is told.
    #[derive(Debug)]
    struct Told(ChannelInit, Mutex<mpsc::UnboundedReceiver<ChannelEvent>>);

    impl Told {
        fn open() -> (Arc<Self>, mpsc::UnboundedSender<ChannelEvent>) {
            let (sender, events) = mpsc::unbounded_channel();
            sender.send(ChannelEvent::Open).unwrap();
            (Arc::new(Self(ChannelInit::reliable("chat"), Mutex::new(events))), sender)
        }
    }

    #[async_trait]
    impl Channel for Told {
        fn init(&self) -> &ChannelInit {
            &self.0
        }

        async fn send(&self, _: &ChannelMessage) -> Result<(), RtcError> {
            Ok(())
        }

        async fn path(&self, _: usize) {}

        async fn buffered_amount(&self) -> Result<usize, RtcError> {
            Ok(0)
        }

        async fn set_low_threshold(&self, _: u32) -> Result<(), RtcError> {
            Ok(())
        }

        async fn next(&self) -> Option<ChannelEvent> {
            self.1.lock().await.recv().await
        }

        async fn close(&self) -> Result<(), RtcError> {
            Ok(())
        }
    }

    /// As the remote's actor does it, while datagrams come: how often a restart asked.
    async fn pass(channels: &mut Channels, time: Duration, heard: impl Fn(Duration) -> u64) -> u32 {
        let (start, mut asked) = (tokio::time::Instant::now(), 0);
        while start.elapsed() < time {
            tokio::time::sleep(STEP).await;
            let life = Life { received: heard(start.elapsed()), certain: true };
            asked += u32::from(channels.judge(start.elapsed(), life));
        }
        asked
    }

    async fn durable(
        channels: &mut Channels,
    ) -> (DataChannel, mpsc::UnboundedSender<ChannelEvent>) {
        let (carrier, events) = Told::open();
        let options = DataChannelOptions { durable: true, ..DataChannelOptions::default() };
        let channel = channels.add(carrier, options, true).await;
        let mut state = channel.watch_ready_state();
        state.wait_for(|state| *state == ReadyState::Open).await.unwrap();
        (channel, events)
    }

    #[tokio::test(start_paused = true)]
    async fn a_durable_channel_that_a_living_remote_reset_is_closed() {
        let mut channels = Channels::new();
        let (channel, events) = durable(&mut channels).await;
        events.send(ChannelEvent::Closed).unwrap();
        channels.was_reset().await;
        let checks = |passed: Duration| passed.as_secs();
        assert_eq!(pass(&mut channels, Duration::from_secs(1), checks).await, 0);
        assert_eq!(channel.ready_state(), ReadyState::Connecting);
        assert!(channels.next_deadline().is_some() && channels.want_connection());
        assert_eq!(pass(&mut channels, Duration::from_secs(4), checks).await, 0);
        assert_eq!(channel.ready_state(), ReadyState::Closed);
        assert!(channels.next_deadline().is_none() && !channels.want_connection());
    }

    #[tokio::test(start_paused = true)]
    async fn a_durable_channel_whose_remote_fell_silent_is_there_on_the_next_connection() {
        let mut channels = Channels::new();
        let (channel, events) = durable(&mut channels).await;
        events.send(ChannelEvent::Closed).unwrap();
        channels.was_reset().await;
        assert_eq!(pass(&mut channels, Duration::from_secs(60), |_| 7).await, 1);
        assert_eq!(channel.ready_state(), ReadyState::Connecting);
        channels.detach();
        assert!(channels.next_deadline().is_none() && channels.want_connection());
        // The next connection's channel is none that was reset.
        let (carrier, _events) = Told::open();
        channels.known[0].shared.attach(carrier).await;
        let mut state = channel.watch_ready_state();
        state.wait_for(|state| *state == ReadyState::Open).await.unwrap();
        assert_eq!(
            pass(&mut channels, Duration::from_secs(60), |passed| passed.as_secs()).await,
            0
        );
        assert_eq!(channel.ready_state(), ReadyState::Open);
        channels.close().await;
        assert_eq!(channel.ready_state(), ReadyState::Closed);
    }
}
