//! The events of one object, pulled by the app or by the task of its listener.
//!
//! Owns the subscription. Nothing is lost between two pulls; what a pull that was given up had not taken
//! yet, the next one takes. While events come fast they are gathered for some milliseconds, as [`Pace`] says.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::{CallbackError, SdkError};
use super::pace::Pace;
use super::runtime::{self, Task};
use crate::events::{Event, Events};
use crate::media::{FrameEvent, VideoFrames};

/// Events that one pull takes at most.
const MAX_BATCH: u32 = 1_024;
/// Events that a listener is handed at once at most.
const LISTENER_BATCH: u32 = 64;
/// A listener may finish with the last events for so long after `shutdown`.
const LISTENER_LIMIT: Duration = Duration::from_secs(2);

/// What a queue's events come from.
pub(super) trait Source: Send + 'static {
    /// An event.
    type Item: Send + 'static;

    /// Up to `max` events, at least one; empty after the end. Given up, it has taken nothing.
    fn next_batch(&mut self, max: usize) -> impl Future<Output = Vec<Self::Item>> + Send;

    /// Waits until so many events are there, or nothing is gained by waiting: what is never gathered does not
    /// wait at all. It takes nothing.
    fn gathered(&self, _wanted: usize) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

impl<E: Event> Source for Events<E> {
    type Item = E;

    fn gathered(&self, wanted: usize) -> impl Future<Output = ()> + Send {
        self.waiting(wanted)
    }

    fn next_batch(&mut self, max: usize) -> impl Future<Output = Vec<E>> + Send {
        Events::next_batch(self, max)
    }
}

impl Source for VideoFrames {
    type Item = FrameEvent;

    fn next_batch(&mut self, max: usize) -> impl Future<Output = Vec<FrameEvent>> + Send {
        Self::next_batch(self, max)
    }
}

struct Queue<S> {
    events: tokio::sync::Mutex<Pulled<S>>,
    ended: watch::Sender<bool>,
}

/// The subscription, once there is one, and when its batches left.
struct Pulled<S> {
    source: Option<S>,
    pace: Pace,
}

impl<S: Source> Queue<S> {
    async fn next(&self, max: u32, subscribe: impl FnOnce() -> S) -> Vec<S::Item> {
        let max = max.clamp(1, MAX_BATCH) as usize;
        let mut pulled = self.events.lock().await;
        let Pulled { source, pace } = &mut *pulled;
        let source = source.get_or_insert_with(subscribe);
        let mut ended = self.ended.subscribe();
        let was_gathered = match pace.gathers_until(Instant::now()).and_then(runtime::sleep_until) {
            Some(time) => tokio::select! {
                biased;
                _ = ended.wait_for(|ended| *ended) => false,
                () = source.gathered(max) => false,
                () = time => true,
            },
            None => false,
        };
        let batch = tokio::select! {
            // What came before the end is handed out first.
            biased;
            batch = source.next_batch(max) => batch,
            _ = ended.wait_for(|ended| *ended) => Vec::new(),
        };
        pace.leaves(Instant::now(), batch.len(), was_gathered);
        batch
    }
}

/// One object's events.
pub(super) struct Inbox<S> {
    queue: Arc<Queue<S>>,
    listener: Mutex<Option<Task<()>>>,
}

impl<S: Source> Inbox<S> {
    /// With a subscription, or without: then the first pull or listener makes it.
    pub(super) fn new(events: Option<S>) -> Self {
        let pulled = Pulled { source: events, pace: Pace::default() };
        let queue =
            Queue { events: tokio::sync::Mutex::new(pulled), ended: watch::Sender::new(false) };
        Self { queue: Arc::new(queue), listener: Mutex::new(None) }
    }

    fn replace_listener(&self, by: Option<Task<()>>) -> Option<Task<()>> {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *listener, by)
    }

    pub(super) fn has_ended(&self) -> bool {
        *self.queue.ended.borrow()
    }

    /// Up to `max` events, at least one; empty after the end. It needs no thread of ours and takes nothing
    /// before it returns: given up, it has lost nothing.
    pub(super) async fn pull<T: From<S::Item>>(
        &self,
        max: u32,
        subscribe: impl FnOnce() -> S,
    ) -> Result<Vec<T>, SdkError> {
        if self.listener.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Err(SdkError::invalid_state("listening", "next_events"));
        }
        let events = self.queue.next(max, subscribe).await;
        Ok(events.into_iter().map(T::from).collect())
    }

    /// The first state that is not `known`; the present one after the end.
    pub(super) async fn changed<V: Clone + PartialEq>(
        &self,
        mut state: watch::Receiver<V>,
        known: V,
    ) -> V {
        let mut ended = self.queue.ended.subscribe();
        tokio::select! {
            biased;
            // An error says that the object is gone, and its last state stays readable.
            _ = state.wait_for(|state| *state != known) => {}
            _ = ended.wait_for(|ended| *ended) => {}
        }
        state.borrow().clone()
    }

    /// Hands all events to `listener` by `deliver`, batch after batch, instead of a listener that was there.
    pub(super) fn listen<L, T, D>(
        &self,
        subscribe: impl FnOnce() -> S,
        listener: Arc<L>,
        deliver: impl Fn(Arc<L>, Vec<T>) -> D + Send + Sync + 'static,
    ) -> Result<(), SdkError>
    where
        L: Send + Sync + ?Sized + 'static,
        T: From<S::Item>,
        D: Future<Output = Result<(), CallbackError>> + Send,
    {
        if self.has_ended() {
            return Err(SdkError::invalid_state("closed", "set_listener"));
        }
        let queue = Arc::clone(&self.queue);
        // Whoever holds the lock has subscribed.
        if let Ok(mut pulled) = queue.events.try_lock() {
            pulled.source.get_or_insert_with(subscribe);
        }
        let task = Task::spawn(async move {
            loop {
                let batch = queue.next(LISTENER_BATCH, || unreachable!("subscribed above")).await;
                if batch.is_empty() {
                    return;
                }
                // Its words are the app's own and may hold a credential: not for our log.
                let events = batch.into_iter().map(T::from).collect();
                let delivery = deliver(Arc::clone(&listener), events);
                match AssertUnwindSafe(delivery).catch_unwind().await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => tracing::warn!("a listener failed; it gets the next events"),
                    Err(_) => tracing::error!("a listener could not be called"),
                }
            }
        })?;
        drop(self.replace_listener(Some(task)));
        Ok(())
    }

    /// Ends the listener's task and frees the listener.
    pub(super) fn clear_listener(&self) {
        drop(self.replace_listener(None));
    }

    /// No pull waits any more, and the listener is freed once it had what came before.
    pub(super) async fn end(&self) {
        self.queue.ended.send_replace(true);
        if let Some(task) = self.replace_listener(None) {
            // Late or not, it ends here.
            drop(tokio::time::timeout(LISTENER_LIMIT, task).await);
        }
    }
}

impl<S> Drop for Inbox<S> {
    fn drop(&mut self) {
        self.queue.ended.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::super::pace::GATHERING;
    use super::*;
    use crate::events::Hub;

    /// The clock of the runtime goes by whole milliseconds and never ends a wait early.
    const LONGEST: Duration = GATHERING.saturating_add(Duration::from_millis(1));

    /// When it was made.
    #[derive(Clone, Debug)]
    struct Made(Instant);

    impl Event for Made {
        fn lagged(_: u64) -> Self {
            unreachable!("nothing is missed")
        }
    }

    /// Makes an event after each of these pauses; how long each one waited, and how many batches there were.
    async fn waits(pauses: Vec<Duration>) -> (Vec<Duration>, usize) {
        let (hub, count) = (Hub::default(), pauses.len());
        let inbox = Inbox::new(Some(hub.subscribe()));
        let maker = tokio::spawn(async move {
            for pause in pauses {
                tokio::time::sleep(pause).await;
                hub.publish(&Made(Instant::now()));
            }
            hub
        });
        let (mut waited, mut batches) = (Vec::new(), 0);
        while waited.len() < count {
            let batch: Vec<Made> = inbox.pull(64, || unreachable!("subscribed")).await.unwrap();
            waited.extend(batch.iter().map(|Made(at)| at.elapsed()));
            batches += 1;
        }
        drop(maker.await.unwrap());
        (waited, batches)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_wakes_the_app_once_in_four_milliseconds_and_nothing_waits_longer() {
        let (waited, batches) = waits(vec![Duration::from_millis(1); 4_000]).await;
        assert!(waited.iter().all(|waited| *waited <= LONGEST), "{waited:?}");
        assert!(batches <= 1_020, "{batches} batches for four seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_after_a_pause_never_waits_whatever_came_before() {
        let mut random = fastrand::Rng::with_seed(1);
        let pauses: Vec<_> =
            (0..20_000).map(|n| Duration::from_millis(random.u64(0..=n % 24))).collect();
        let (waited, batches) = waits(pauses.clone()).await;
        for (pause, waited) in pauses.iter().zip(&waited) {
            assert!(*waited <= LONGEST);
            // The batch before may have left only just now.
            assert!(
                *pause <= 2 * LONGEST || waited.is_zero(),
                "after {pause:?} it waited {waited:?}"
            );
        }
        assert!(batches < pauses.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_never_waits() {
        let hub = Hub::default();
        let inbox = Inbox::new(Some(hub.subscribe()));
        let start = Instant::now();
        for _ in 0..1_000 {
            hub.publish(&Made(start));
        }
        for _ in 0..15 {
            let batch: Vec<Made> = inbox.pull(64, || unreachable!("subscribed")).await.unwrap();
            assert_eq!((batch.len(), start.elapsed()), (64, Duration::ZERO));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_that_is_given_up_while_it_gathers_loses_nothing() {
        let hub = Hub::default();
        let inbox = Inbox::new(Some(hub.subscribe()));
        let start = Instant::now();
        let pull = || inbox.pull::<Made>(64, || unreachable!("subscribed"));
        for _ in 0..2 {
            hub.publish(&Made(start));
            assert_eq!(pull().await.unwrap().len(), 1);
        }
        hub.publish(&Made(start));
        let given_up = tokio::time::timeout(Duration::from_millis(1), pull()).await;
        assert!(given_up.is_err(), "it gathers");
        assert_eq!(pull().await.unwrap().len(), 1);
        assert!(start.elapsed() <= LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_told_at_once_also_while_it_gathers() {
        let hub = Hub::default();
        let inbox = Inbox::new(Some(hub.subscribe()));
        let start = Instant::now();
        let pull = || inbox.pull::<Made>(64, || unreachable!("subscribed"));
        for _ in 0..2 {
            hub.publish(&Made(start));
            assert_eq!(pull().await.unwrap().len(), 1);
        }
        hub.publish(&Made(start));
        drop(hub);
        assert_eq!(pull().await.unwrap().len(), 1);
        assert!(pull().await.unwrap().is_empty());
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
