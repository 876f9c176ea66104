//! The events of one object, pulled by the app or by the task of its listener.
//!
//! Owns the subscription. Nothing is lost between two pulls; what a pull that was given up had not taken
//! yet, the next one takes.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use super::error::{CallbackError, SdkError};
use super::runtime::Task;
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
}

impl<E: Event> Source for Events<E> {
    type Item = E;

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
    events: tokio::sync::Mutex<Option<S>>,
    ended: watch::Sender<bool>,
}

impl<S: Source> Queue<S> {
    async fn next(&self, max: u32, subscribe: impl FnOnce() -> S) -> Vec<S::Item> {
        let mut events = self.events.lock().await;
        let events = events.get_or_insert_with(subscribe);
        let mut ended = self.ended.subscribe();
        tokio::select! {
            // What came before the end is handed out first.
            biased;
            batch = events.next_batch(max.clamp(1, MAX_BATCH) as usize) => batch,
            _ = ended.wait_for(|ended| *ended) => Vec::new(),
        }
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
        let queue =
            Queue { events: tokio::sync::Mutex::new(events), ended: watch::Sender::new(false) };
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

    /// Hands all events to `deliver`, batch after batch, instead of a listener that was there.
    pub(super) fn listen<F, D>(
        &self,
        subscribe: impl FnOnce() -> S,
        deliver: F,
    ) -> Result<(), SdkError>
    where
        F: Fn(Vec<S::Item>) -> D + Send + Sync + 'static,
        D: Future<Output = Result<(), CallbackError>> + Send,
    {
        if self.has_ended() {
            return Err(SdkError::invalid_state("closed", "set_listener"));
        }
        let queue = Arc::clone(&self.queue);
        // Whoever holds the lock has subscribed.
        if let Ok(mut events) = queue.events.try_lock() {
            events.get_or_insert_with(subscribe);
        }
        let task = Task::spawn(async move {
            loop {
                let batch = queue.next(LISTENER_BATCH, || unreachable!("subscribed above")).await;
                if batch.is_empty() {
                    return;
                }
                // Its words are the app's own and may hold a credential: not for our log.
                match AssertUnwindSafe(deliver(batch)).catch_unwind().await {
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
