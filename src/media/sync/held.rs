//! What waits for its time, in order: bounded in time by whoever says when, in number and bytes by this.

use std::collections::VecDeque;
use std::time::Duration;

/// Half a second of 128 pictures a second.
const MOST: usize = 64;
/// Half a second of 30 Mbit/s.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// Waiting things. Nothing is dropped: what is too much leaves early.
#[derive(Debug)]
pub(crate) struct Held<T> {
    waiting: VecDeque<(Duration, usize, T)>,
    bytes: usize,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Held<T> {
    /// Leaves at `due`, and never before what came before it.
    pub(crate) fn push(&mut self, due: Duration, bytes: usize, item: T) {
        self.bytes += bytes;
        self.waiting.push_back((due, bytes, item));
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.waiting.front().map(|(due, ..)| *due)
    }

    /// What leaves now.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<T> {
        let over = self.waiting.len() > MOST || self.bytes > MOST_BYTES;
        let leaves = |due: Duration| over || due <= now;
        let (_, bytes, item) = self.waiting.pop_front_if(|(due, ..)| leaves(*due))?;
        self.bytes -= bytes;
        Some(item)
    }

    /// All of it, because nothing follows.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.bytes = 0;
        self.waiting.drain(..).map(|(.., item)| item)
    }

    #[cfg(test)]
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}
