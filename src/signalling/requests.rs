//! Requests under way: who waits for which ack, and until when. Pure.
//!
//! Invariant: a request that was inserted leaves exactly once, by its answer, its deadline or `drain`.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

/// How long the server may take to answer a request, counted from the moment it really left.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
/// use metered_realtime::signalling::ACK_TIMEOUT;
/// client.connect().await?;
/// // An outer limit above it leaves the request its own words about the failure.
/// tokio::time::timeout(ACK_TIMEOUT * 2, client.publish("room", "hello")).await??;
/// client.close().await;
/// # Ok(())
/// # });
/// ```
pub const ACK_TIMEOUT: Duration = Duration::from_secs(15);

/// The deadline table of requests of type `T`, by an id of ours (so nobody else chooses the hashes).
#[derive(Debug)]
pub(crate) struct Requests<T> {
    by_id: FxHashMap<u64, T>,
    /// In order of departure, and so of deadline; answered ones are skipped when they come to the front.
    deadlines: VecDeque<(Duration, u64)>,
}

impl<T> Default for Requests<T> {
    fn default() -> Self {
        Self { by_id: FxHashMap::default(), deadlines: VecDeque::new() }
    }
}

impl<T> Requests<T> {
    /// A request was handed to the socket; its deadline is not counted yet.
    pub(crate) fn insert(&mut self, id: u64, request: T) {
        self.by_id.insert(id, request);
    }

    /// A request really left.
    pub(crate) fn left(&mut self, id: u64, now: Duration) {
        if self.by_id.contains_key(&id) {
            self.deadlines.push_back((now + ACK_TIMEOUT, id));
        }
    }

    /// Takes the request that an answer belongs to.
    pub(crate) fn answered(&mut self, id: u64) -> Option<T> {
        let request = self.by_id.remove(&id);
        self.skip_answered();
        request
    }

    /// When the next deadline passes.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.front().map(|(at, _)| *at)
    }

    /// Takes a request whose deadline has passed.
    pub(crate) fn expired(&mut self, now: Duration) -> Option<(u64, T)> {
        let id = self.deadlines.front().filter(|(at, _)| *at <= now)?.1;
        self.deadlines.pop_front();
        let request = self.by_id.remove(&id);
        self.skip_answered();
        request.map(|request| (id, request))
    }

    /// Takes all, in the order of their ids.
    pub(crate) fn drain(&mut self) -> Vec<(u64, T)> {
        self.deadlines.clear();
        let mut all: Vec<_> = self.by_id.drain().collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn skip_answered(&mut self) {
        while self.deadlines.front().is_some_and(|(_, id)| !self.by_id.contains_key(id)) {
            self.deadlines.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn a_deadline_counts_from_departure() {
        let mut requests = Requests::default();
        requests.insert(1, "a");
        assert_eq!(requests.next_deadline(), None);
        requests.left(1, s(7));
        assert_eq!(requests.next_deadline(), Some(s(22)));
        assert_eq!(requests.expired(s(21)), None);
        assert_eq!(requests.expired(s(22)), Some((1, "a")));
        assert_eq!(requests.answered(1), None);
    }

    #[test]
    fn answered_requests_leave_no_deadline_behind() {
        let mut requests = Requests::default();
        for id in 1..=3 {
            requests.insert(id, id);
            requests.left(id, s(id));
        }
        assert_eq!(requests.answered(1), Some(1));
        assert_eq!(requests.next_deadline(), Some(s(17)));
        assert_eq!(requests.answered(3), Some(3));
        assert_eq!(requests.answered(2), Some(2));
        assert_eq!((requests.next_deadline(), requests.len()), (None, 0));
    }

    #[test]
    fn an_answer_that_overtakes_the_departure_is_taken() {
        let mut requests = Requests::default();
        requests.insert(1, ());
        assert_eq!(requests.answered(1), Some(()));
        requests.left(1, s(1));
        assert_eq!(requests.next_deadline(), None);
    }
}
