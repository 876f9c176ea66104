//! Event queues: one per subscriber, bounded, in order, with a count of what a slow one missed.
//!
//! A hub belongs to whoever publishes; [`Events`] to whoever listens. Two manners: most sources never wait,
//! and a slow subscriber learns how much it lost; a data channel waits until every subscriber has room, so
//! that nothing is lost and the sender is slowed down instead. Remotes and data channels keep events until
//! the first subscriber comes; what is live, such as a picture, is kept for a moment.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

/// Events that may wait for one subscriber.
///
/// ```
/// use metered_realtime::events::EVENT_QUEUE;
/// use metered_realtime::signalling::{SignallingClient, SignallingOptions};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let client = SignallingClient::new(SignallingOptions::with_api_key("pk_live_example")?)?;
/// let mut events = client.events();
/// client.close().await;
/// // Whatever waits, in one go.
/// let waiting = events.next_batch(EVENT_QUEUE).await;
/// assert_eq!(waiting.last().map(|event| event.name()), Some("state-change"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub const EVENT_QUEUE: usize = 1_024;

/// Bytes of payload that may wait for one subscriber, in events that say their [`size`](Event::size).
///
/// ```
/// use metered_realtime::events::EVENT_QUEUE_BYTES;
/// // What three subscribers that never look can keep waiting at most, beside one event each.
/// let most = 3 * EVENT_QUEUE_BYTES;
/// assert_eq!(most, 24 * 1024 * 1024);
/// ```
pub const EVENT_QUEUE_BYTES: usize = 8 * 1024 * 1024;

/// What can travel to subscribers.
///
/// ```
/// use metered_realtime::events::{Event, Events};
/// use metered_realtime::signalling::{self, SignallingClient, SignallingOptions};
///
/// /// Takes what waits, of any source: how many events, and how many bytes of payload.
/// fn drain<E: Event>(events: &mut Events<E>) -> (usize, usize) {
///     let mut taken = (0, 0);
///     while let Some(event) = events.try_next() {
///         taken = (taken.0 + 1, taken.1 + event.size());
///     }
///     taken
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let client = SignallingClient::new(SignallingOptions::with_api_key("pk_live_example")?)?;
/// let mut events = client.events();
/// client.close().await;
/// assert_eq!(drain(&mut events), (1, 0)); // a change of state has no payload
/// assert!(matches!(signalling::Event::lagged(3), signalling::Event::Lagged { missed: 3 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub trait Event: Clone + Send + fmt::Debug + 'static {
    /// Says that the subscriber was too slow and lost so many events.
    fn lagged(missed: u64) -> Self;

    /// Bytes of its payload, if they are worth counting.
    fn size(&self) -> usize {
        0
    }
}

/// All subscribers of one source.
pub(crate) struct Hub<E> {
    state: Mutex<State<E>>,
    /// A subscriber took an event or went away.
    room: Arc<Notify>,
}

struct State<E> {
    ended: bool,
    subscribers: Vec<Weak<Queue<E>>>,
    /// Events from before the first subscriber; `None` once there was one.
    backlog: Option<Waiting<E>>,
    live: Option<Live<E>>,
}

/// Of something live the first subscriber gets the latest alone.
struct Live<E> {
    max_events: usize,
    /// Whether a subscriber can begin with this event.
    begins: fn(&E) -> bool,
}

struct Queue<E> {
    waiting: Mutex<Waiting<E>>,
    waker: AtomicWaker,
    room: Arc<Notify>,
}

struct Waiting<E> {
    events: VecDeque<E>,
    bytes: usize,
    max_bytes: usize,
    missed: u64,
    ended: bool,
    /// The subscriber went away: nothing is kept for it, also while somebody still looks at its queue.
    gone: bool,
    /// Events at which the subscriber is woken.
    wanted: usize,
}

impl<E> Default for Waiting<E> {
    fn default() -> Self {
        let max_bytes = EVENT_QUEUE_BYTES;
        let events = VecDeque::new();
        Self { events, bytes: 0, max_bytes, missed: 0, ended: false, gone: false, wanted: 1 }
    }
}

impl<E> Waiting<E> {
    fn is_full(&self) -> bool {
        !self.gone && (self.events.len() >= EVENT_QUEUE || self.bytes >= self.max_bytes)
    }

    /// Whether the subscriber shall be woken.
    fn is_due(&self) -> bool {
        self.events.len() >= self.wanted || self.ended || self.missed > 0 || self.is_full()
    }
}

impl<E: Event> Waiting<E> {
    fn push(&mut self, event: E) {
        self.bytes += event.size();
        self.events.push_back(event);
    }

    fn pop(&mut self) -> Option<E> {
        let event = self.events.pop_front()?;
        self.bytes -= event.size();
        Some(event)
    }

    fn push_lossy(&mut self, event: E) {
        if self.is_full() {
            self.pop();
            self.missed += 1;
        }
        self.push(event);
    }
}

impl<E: Event> Live<E> {
    /// What leaves is nobody's loss: nobody was there.
    fn push(&self, backlog: &mut Waiting<E>, event: E) {
        backlog.push(event);
        while backlog.events.len() > self.max_events || backlog.bytes > backlog.max_bytes {
            backlog.pop();
        }
        while backlog.events.front().is_some_and(|event| !(self.begins)(event)) {
            backlog.pop();
        }
    }
}

impl<E> Queue<E> {
    fn lock(&self) -> MutexGuard<'_, Waiting<E>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Default for Hub<E> {
    fn default() -> Self {
        Self::new(None, None)
    }
}

impl<E> fmt::Debug for Hub<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl<E> Hub<E> {
    fn new(backlog: Option<Waiting<E>>, live: Option<Live<E>>) -> Self {
        let state = State { ended: false, subscribers: Vec::new(), backlog, live };
        Self { state: Mutex::new(state), room: Arc::new(Notify::new()) }
    }

    /// Keeps up to [`EVENT_QUEUE`] events and about so many bytes for the first subscriber.
    pub(crate) fn with_backlog(max_bytes: usize) -> Self {
        Self::new(Some(Waiting { max_bytes, ..Waiting::default() }), None)
    }

    /// Keeps the latest for the first subscriber, who learns nothing of what was before: so many events and bytes at
    /// most, from one on that it can begin with.
    pub(crate) fn live(max_events: usize, max_bytes: usize, begins: fn(&E) -> bool) -> Self {
        let backlog = Waiting { max_bytes, ..Waiting::default() };
        Self::new(Some(backlog), Some(Live { max_events, begins }))
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new subscriber; it sees what is published from now on, and the backlog if it is the first.
    pub(crate) fn subscribe(&self) -> Events<E> {
        let mut state = self.lock();
        let mut waiting = state.backlog.take().unwrap_or_default();
        waiting.max_bytes = EVENT_QUEUE_BYTES;
        waiting.ended = state.ended;
        let queue = Arc::new(Queue {
            waiting: Mutex::new(waiting),
            waker: AtomicWaker::new(),
            room: Arc::clone(&self.room),
        });
        state.subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        state.subscribers.push(Arc::downgrade(&queue));
        self.room.notify_waiters();
        Events { queue }
    }

    /// Whether anybody ever subscribed.
    pub(crate) fn was_subscribed(&self) -> bool {
        self.lock().backlog.is_none()
    }

    /// No event will follow; what waits is still delivered.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        Self::update(state, |waiting| waiting.ended = true);
    }

    /// Changes what waits for each subscriber and then, with the lock released, wakes whoever is due: what a waker
    /// runs may be the app's.
    fn update(state: MutexGuard<'_, State<E>>, mut change: impl FnMut(&mut Waiting<E>)) {
        let mut due = Vec::new();
        for queue in state.subscribers.iter().filter_map(Weak::upgrade) {
            let mut waiting = queue.lock();
            if !waiting.gone {
                change(&mut waiting);
                due.extend(waiting.is_due().then(|| queue.waker.take()).flatten());
            }
        }
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }
}

impl<E: Event> Hub<E> {
    /// Hands an event to all; a full queue loses its oldest.
    pub(crate) fn publish(&self, event: &E) {
        let mut state = self.lock();
        match &mut *state {
            State { backlog: None, .. } => {}
            State { backlog: Some(backlog), live: Some(live), .. } => {
                live.push(backlog, event.clone());
            }
            State { backlog: Some(backlog), live: None, .. } => backlog.push_lossy(event.clone()),
        }
        Self::update(state, |waiting| waiting.push_lossy(event.clone()));
    }

    /// Hands an event to all, once all have room. Cancelled, it has delivered to nobody.
    pub(crate) async fn deliver(&self, event: &E) {
        // There is room, as a rule, and then nothing needs to be listened to.
        while !self.try_deliver(event) {
            let room = self.room.notified();
            tokio::pin!(room);
            // Listens before it looks again, so that no room is missed in between.
            room.as_mut().enable();
            if self.try_deliver(event) {
                return;
            }
            room.await;
        }
    }

    fn try_deliver(&self, event: &E) -> bool {
        let mut state = self.lock();
        let full = |queue: Arc<Queue<E>>| queue.lock().is_full();
        if state.backlog.as_ref().is_some_and(Waiting::is_full)
            || state.subscribers.iter().filter_map(Weak::upgrade).any(full)
        {
            return false;
        }
        // Whoever fills a queue holds the lock of the state, so that there is still room.
        if let Some(backlog) = &mut state.backlog {
            backlog.push(event.clone());
        }
        Self::update(state, |waiting| waiting.push(event.clone()));
        true
    }
}

impl<E> Drop for Hub<E> {
    fn drop(&mut self) {
        self.end();
    }
}

/// A subscription to a source's events, in order. Ends it when dropped.
///
/// A client's goes on over `close` and a later `connect`, and ends when the client itself is gone. Up to
/// [`EVENT_QUEUE`] events wait; beyond that the oldest are dropped and an event `Lagged` says how many,
/// but for a data channel's: there the sender is slowed down and nothing is lost.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use metered_realtime::events::Events;
/// use metered_realtime::signalling::{Event, SignallingClient, SignallingOptions, State};
/// let client = SignallingClient::new(SignallingOptions::with_api_key("pk_live_example")?)?;
/// let mut events: Events<Event> = client.events();
/// client.close().await;
/// let Some(Event::StateChange { to, .. }) = events.next().await else { unreachable!() };
/// assert_eq!(to, State::Closed);
/// drop(client);
/// assert!(events.next().await.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Events<E> {
    queue: Arc<Queue<E>>,
}

impl<E> fmt::Debug for Events<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl<E> Drop for Events<E> {
    fn drop(&mut self) {
        self.queue.lock().gone = true;
        self.queue.room.notify_waiters();
    }
}

impl<E: Event> Events<E> {
    /// The next event; `None` when the client is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<E> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// Up to `max` events at once, at least one; empty when the client is gone. Cancel-safe.
    ///
    /// For a subscriber that pays for each turn, such as a screen that is drawn anew.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use metered_realtime::signalling::{SignallingClient, SignallingOptions};
    /// let client = SignallingClient::new(SignallingOptions::with_api_key("pk_live_example")?)?;
    /// let mut events = client.events();
    /// client.close().await;
    /// drop(client);
    /// assert_eq!(events.next_batch(100).await.len(), 1); // the change of state
    /// assert!(events.next_batch(100).await.is_empty()); // and nothing will follow
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn next_batch(&mut self, max: usize) -> Vec<E> {
        let mut batch = Vec::new();
        std::future::poll_fn(|cx| {
            self.queue.waker.register(cx.waker());
            let ended = self.take(max, |event| batch.push(event));
            if batch.is_empty() && !ended && max > 0 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        batch
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().events.is_empty()
    }

    /// An event that is there already.
    pub fn try_next(&mut self) -> Option<E> {
        let mut event = None;
        self.take(1, |taken| event = Some(taken));
        event
    }

    /// Waits until so many events are there, none will follow, or the queue is full. Whoever waits is woken
    /// for that alone, not for each event, and has taken nothing. Cancel-safe.
    #[cfg(any(feature = "ffi", test))]
    pub(crate) async fn waiting(&self, wanted: usize) {
        std::future::poll_fn(|cx| {
            self.queue.waker.register(cx.waker());
            let mut waiting = self.lock();
            waiting.wanted = wanted;
            if waiting.is_due() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<E>> {
        self.queue.lock()
    }

    /// Takes up to `max` events that are there; whether none will follow those that are left.
    fn take(&self, max: usize, mut taken: impl FnMut(E)) -> bool {
        let mut waiting = self.lock();
        waiting.wanted = 1;
        let mut left = max;
        if waiting.missed > 0 && left > 0 {
            taken(E::lagged(std::mem::take(&mut waiting.missed)));
            left -= 1;
        }
        let there = left.min(waiting.events.len());
        (0..there).filter_map(|_| waiting.pop()).for_each(taken);
        if there > 0 {
            self.queue.room.notify_waiters();
        }
        waiting.ended
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<E>> {
        self.queue.waker.register(cx.waker());
        let mut event = None;
        let ended = self.take(1, |taken| event = Some(taken));
        if event.is_none() && !ended { Poll::Pending } else { Poll::Ready(event) }
    }
}

impl<E: Event> Stream for Events<E> {
    type Item = E;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<E>> {
        self.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    enum Test {
        Number(u64),
        Lagged(u64),
    }

    impl Event for Test {
        fn lagged(missed: u64) -> Self {
            Self::Lagged(missed)
        }

        fn size(&self) -> usize {
            1
        }
    }

    #[tokio::test]
    async fn a_slow_subscriber_learns_how_much_it_missed_and_others_miss_nothing() {
        let hub = Hub::default();
        let (mut slow, mut quick) = (hub.subscribe(), hub.subscribe());
        for n in 0..EVENT_QUEUE as u64 + 3 {
            hub.publish(&Test::Number(n));
            assert_eq!(quick.next().await, Some(Test::Number(n)));
        }
        assert_eq!(slow.next().await, Some(Test::Lagged(3)));
        for n in 3..EVENT_QUEUE as u64 + 3 {
            assert_eq!(slow.next().await, Some(Test::Number(n)));
        }
        assert!(slow.try_next().is_none());
    }

    #[tokio::test]
    async fn a_batch_says_what_was_missed_and_takes_no_more_than_it_may() {
        let hub = Hub::default();
        let mut events = hub.subscribe();
        for n in 0..=EVENT_QUEUE as u64 {
            hub.publish(&Test::Number(n));
        }
        assert!(events.next_batch(0).await.is_empty());
        assert_eq!(events.next_batch(1).await, [Test::Lagged(1)]);
        assert_eq!(events.next_batch(2).await, [1, 2].map(Test::Number));
        assert_eq!(events.next_batch(usize::MAX).await.len(), EVENT_QUEUE - 2);
        drop(hub);
        assert!(events.next_batch(1).await.is_empty());
    }

    #[tokio::test]
    async fn the_queue_is_emptied_before_it_ends() {
        let hub = Hub::default();
        let mut events = hub.subscribe();
        hub.publish(&Test::Number(1));
        drop(hub);
        assert_eq!(events.next().await, Some(Test::Number(1)));
        assert!(events.next().await.is_none());
    }

    #[tokio::test]
    async fn a_waiting_subscriber_is_woken() {
        let hub = Arc::new(Hub::default());
        let mut events = hub.subscribe();
        let task = tokio::spawn(async move { events.next().await });
        tokio::task::yield_now().await;
        hub.publish(&Test::Number(9));
        assert_eq!(task.await.unwrap(), Some(Test::Number(9)));
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_for_several_is_woken_once_and_takes_nothing() {
        let hub = Hub::default();
        let mut events = hub.subscribe();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut waiting = Box::pin(events.waiting(3));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        for n in 1..=3 {
            assert_eq!(woken.0.load(Ordering::Relaxed), 0);
            hub.publish(&Test::Number(n));
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(waiting.as_mut().poll(&mut cx).is_ready());
        drop(waiting);
        for n in 1..=3 {
            assert_eq!(events.try_next(), Some(Test::Number(n)));
        }
        // Given up, it leaves nothing behind: the next event wakes again.
        assert!(Box::pin(events.waiting(3)).as_mut().poll(&mut cx).is_pending());
        assert!(Box::pin(events.next()).as_mut().poll(&mut cx).is_pending());
        hub.publish(&Test::Number(4));
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_dropped_subscriber_is_forgotten() {
        let hub = Hub::<Test>::default();
        drop(hub.subscribe());
        let _events = hub.subscribe();
        assert_eq!(hub.lock().subscribers.len(), 1);
    }

    #[test]
    fn the_first_subscriber_gets_the_backlog_and_the_second_does_not() {
        let hub = Hub::with_backlog(EVENT_QUEUE_BYTES);
        hub.publish(&Test::Number(1));
        let (mut first, mut second) = (hub.subscribe(), hub.subscribe());
        assert_eq!(first.try_next(), Some(Test::Number(1)));
        assert_eq!(second.try_next(), None);
    }

    #[test]
    fn of_something_live_the_first_subscriber_gets_the_latest_from_where_it_can_begin() {
        let numbers = |mut events: Events<Test>| -> Vec<_> {
            std::iter::from_fn(|| events.try_next()).collect()
        };
        let begins = |event: &Test| matches!(event, Test::Number(n) if n % 4 == 0);
        let hub = Hub::live(6, EVENT_QUEUE_BYTES, begins);
        (1..=9).for_each(|n| hub.publish(&Test::Number(n)));
        assert_eq!(numbers(hub.subscribe()), [4, 5, 6, 7, 8, 9].map(Test::Number));
        let hub = Hub::live(6, EVENT_QUEUE_BYTES, begins);
        (1..=10).for_each(|n| hub.publish(&Test::Number(n)));
        assert_eq!(numbers(hub.subscribe()), [8, 9, 10].map(Test::Number));
        let hub = Hub::live(2, EVENT_QUEUE_BYTES, begins);
        (1..=7).for_each(|n| hub.publish(&Test::Number(n)));
        assert!(numbers(hub.subscribe()).is_empty());
        let hub = Hub::live(6, 3, begins);
        (1..=6).for_each(|n| hub.publish(&Test::Number(n)));
        assert_eq!(numbers(hub.subscribe()), [4, 5, 6].map(Test::Number));
    }

    #[tokio::test]
    async fn a_delivery_waits_for_the_slowest_and_loses_nothing() {
        let hub = Arc::new(Hub::with_backlog(EVENT_QUEUE_BYTES));
        let source = Arc::clone(&hub);
        let all = 3 * EVENT_QUEUE as u64;
        let task = tokio::spawn(async move {
            for n in 0..all {
                source.deliver(&Test::Number(n)).await;
            }
        });
        tokio::task::yield_now().await;
        let (mut events, idle) = (hub.subscribe(), hub.subscribe());
        for n in 0..EVENT_QUEUE as u64 {
            assert_eq!(events.next().await, Some(Test::Number(n)));
        }
        for _ in 0..EVENT_QUEUE {
            tokio::task::yield_now().await;
        }
        assert!(!task.is_finished(), "the idle subscriber holds the source up");
        drop(idle);
        for n in EVENT_QUEUE as u64..all {
            assert_eq!(events.next().await, Some(Test::Number(n)));
        }
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_does_not_wait_for_who_went_away_while_it_looked() {
        let hub = Arc::new(Hub::default());
        let mut events = hub.subscribe();
        let idle = hub.subscribe();
        for n in 0..EVENT_QUEUE as u64 {
            hub.publish(&Test::Number(n));
            events.next().await;
        }
        // The delivery on another thread, which looks at the queue just now.
        let looked_at = hub.lock().subscribers[1].upgrade();
        let source = Arc::clone(&hub);
        let task = tokio::spawn(async move { source.deliver(&Test::Number(7)).await });
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        drop(idle);
        let delivered = tokio::time::timeout(std::time::Duration::from_secs(1), events.next());
        assert_eq!(delivered.await, Ok(Some(Test::Number(7))));
        task.await.unwrap();
        drop(looked_at);
    }

    /// What an app's own executor may do on being woken.
    struct Subscribes(Arc<Hub<Test>>);

    impl Wake for Subscribes {
        fn wake(self: Arc<Self>) {
            drop(self.0.subscribe());
        }
    }

    #[test]
    fn who_is_woken_may_subscribe() {
        let hub = Arc::new(Hub::default());
        let mut events = hub.subscribe();
        let waker = Waker::from(Arc::new(Subscribes(Arc::clone(&hub))));
        let mut cx = Context::from_waker(&waker);
        assert!(Box::pin(events.next()).as_mut().poll(&mut cx).is_pending());
        hub.publish(&Test::Number(1));
        assert!(Box::pin(events.next()).as_mut().poll(&mut cx).is_ready());
        assert!(Box::pin(events.next()).as_mut().poll(&mut cx).is_pending());
        hub.end();
    }
}
