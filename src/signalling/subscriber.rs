//! Event queues: one per subscriber, bounded, in order, with a count of what a slow one missed.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::task::AtomicWaker;

use super::event::Event;

/// Events that may wait for one subscriber.
pub const EVENT_QUEUE: usize = 1_024;

/// All subscribers of a client.
#[derive(Debug, Default)]
pub(crate) struct EventHub {
    subscribers: Mutex<Vec<Weak<Queue>>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    missed: u64,
    ended: bool,
}

impl Queue {
    fn update(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.waker.wake();
    }
}

impl EventHub {
    /// A new subscriber; it sees what is published from now on.
    pub(crate) fn subscribe(&self) -> Events {
        let queue = Arc::new(Queue::default());
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        subscribers.push(Arc::downgrade(&queue));
        Events { queue }
    }

    /// Hands an event to all.
    pub(crate) fn publish(&self, event: &Event) {
        let subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        for queue in subscribers.iter().filter_map(Weak::upgrade) {
            queue.update(|waiting| {
                if waiting.events.len() >= EVENT_QUEUE {
                    waiting.events.pop_front();
                    waiting.missed += 1;
                }
                waiting.events.push_back(event.clone());
            });
        }
    }
}

impl Drop for EventHub {
    fn drop(&mut self) {
        let subscribers = self.subscribers.get_mut().unwrap_or_else(PoisonError::into_inner);
        for queue in subscribers.iter().filter_map(Weak::upgrade) {
            queue.update(|waiting| waiting.ended = true);
        }
    }
}

/// A subscription to a client's events, in order. Ends it when dropped.
///
/// It goes on over `close` and a later `connect`, and ends when the client itself is gone. Up to
/// [`EVENT_QUEUE`] events wait; beyond that the oldest are dropped and [`Event::Lagged`] says how many.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use metered_realtime::signalling::{Event, SignallingClient, SignallingOptions, State};
/// let client = SignallingClient::new(SignallingOptions::with_api_key("pk_live_example")?)?;
/// let mut events = client.events();
/// client.close().await;
/// let Some(Event::StateChange { to, .. }) = events.next().await else { unreachable!() };
/// assert_eq!(to, State::Closed);
/// drop(client);
/// assert!(events.next().await.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue>,
}

impl Events {
    /// The next event; `None` when the client is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// Up to `max` events at once, at least one; empty when the client is gone. Cancel-safe.
    pub async fn next_batch(&mut self, max: usize) -> Vec<Event> {
        let mut batch = Vec::new();
        while batch.len() < max {
            let next = match batch.is_empty() {
                true => self.next().await,
                false => self.try_next(),
            };
            match next {
                Some(event) => batch.push(event),
                None => break,
            }
        }
        batch
    }

    /// An event that is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.take().0
    }

    /// An event, and whether none will follow.
    fn take(&self) -> (Option<Event>, bool) {
        let mut waiting = self.queue.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.missed > 0 {
            let missed = std::mem::take(&mut waiting.missed);
            return (Some(Event::Lagged { missed }), false);
        }
        let event = waiting.events.pop_front();
        (event, waiting.ended)
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Event>> {
        self.queue.waker.register(cx.waker());
        match self.take() {
            (Some(event), _) => Poll::Ready(Some(event)),
            (None, true) => Poll::Ready(None),
            (None, false) => Poll::Pending,
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn going_away(n: u64) -> Event {
        Event::GoingAway { retry_after_ms: n }
    }

    fn number(event: Option<Event>) -> u64 {
        match event {
            Some(Event::GoingAway { retry_after_ms }) => retry_after_ms,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_slow_subscriber_learns_how_much_it_missed_and_others_miss_nothing() {
        let hub = EventHub::default();
        let (mut slow, mut quick) = (hub.subscribe(), hub.subscribe());
        for n in 0..EVENT_QUEUE as u64 + 3 {
            hub.publish(&going_away(n));
            assert_eq!(number(quick.next().await), n);
        }
        let Some(Event::Lagged { missed: 3 }) = slow.next().await else { panic!() };
        for n in 3..EVENT_QUEUE as u64 + 3 {
            assert_eq!(number(slow.next().await), n);
        }
        assert!(slow.try_next().is_none());
    }

    #[tokio::test]
    async fn the_queue_is_emptied_before_it_ends() {
        let hub = EventHub::default();
        let mut events = hub.subscribe();
        hub.publish(&going_away(1));
        drop(hub);
        assert_eq!(number(events.next().await), 1);
        assert!(events.next().await.is_none());
    }

    #[tokio::test]
    async fn a_waiting_subscriber_is_woken() {
        let hub = Arc::new(EventHub::default());
        let mut events = hub.subscribe();
        let task = tokio::spawn(async move { number(events.next().await) });
        tokio::task::yield_now().await;
        hub.publish(&going_away(9));
        assert_eq!(task.await.unwrap(), 9);
    }

    #[test]
    fn a_dropped_subscriber_is_forgotten() {
        let hub = EventHub::default();
        drop(hub.subscribe());
        let _events = hub.subscribe();
        assert_eq!(hub.subscribers.lock().unwrap().len(), 1);
    }
}
