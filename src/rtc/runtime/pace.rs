//! How long the driver of a connection may sleep.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The longest sleep while something is under way: DTLS and SCTP move on at the driver's next turn.
const BRISK: Duration = Duration::from_millis(2);
/// The longest sleep during set-up while nothing moves: the other side is being waited for.
const WAITING: Duration = Duration::from_millis(20);
/// Traffic so recent means that something is under way.
const RECENT: Duration = Duration::from_millis(50);
/// Set-up counts as over after this; a connection that needs longer needs patience, not hurry.
const BRISK_FOR: Duration = Duration::from_secs(10);
/// What is left to do once a connection is up: its first data channel.
const RELAX_AFTER: Duration = Duration::from_secs(1);

/// The pace of one connection: brisk for a while, else economical.
#[derive(Debug)]
pub(crate) struct Pace {
    state: Mutex<State>,
    received: AtomicU64,
}

#[derive(Debug)]
struct State {
    brisk_until: Instant,
    last_traffic: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        let now = Instant::now();
        let state = Mutex::new(State { brisk_until: now, last_traffic: now });
        Self { state, received: AtomicU64::new(0) }
    }
}

impl Pace {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A set-up or a restart begins.
    pub(crate) fn brisk(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        state.brisk_until = now + BRISK_FOR;
        state.last_traffic = now;
    }

    /// The connection is up.
    pub(crate) fn economical(&self) {
        let mut state = self.lock();
        state.brisk_until = state.brisk_until.min(Instant::now() + RELAX_AFTER);
    }

    /// A datagram came or went.
    pub(crate) fn traffic(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        if now < state.brisk_until {
            state.last_traffic = now;
        }
    }

    /// Datagrams came.
    pub(crate) fn arrived(&self, datagrams: usize) {
        self.received.fetch_add(datagrams as u64, Ordering::Relaxed);
        self.traffic();
    }

    /// How many came so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn longest_sleep(&self, now: Instant) -> Duration {
        let state = self.lock();
        if now >= state.brisk_until {
            Duration::MAX
        } else if now.duration_since(state.last_traffic) < RECENT {
            BRISK
        } else {
            WAITING
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_brisk_while_something_moves_and_ends_by_itself() {
        let pace = Pace::default();
        let longest = || pace.longest_sleep(Instant::now());
        assert_eq!(longest(), Duration::MAX);
        pace.brisk();
        assert_eq!(longest(), BRISK);
        tokio::time::advance(RECENT).await;
        assert_eq!(longest(), WAITING);
        pace.traffic();
        assert_eq!(longest(), BRISK);
        tokio::time::advance(BRISK_FOR).await;
        assert_eq!(longest(), Duration::MAX);
        pace.traffic();
        assert_eq!(longest(), Duration::MAX, "traffic of a call is no set-up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_up_relaxes_soon() {
        let pace = Pace::default();
        pace.brisk();
        pace.economical();
        assert_eq!(pace.longest_sleep(Instant::now()), BRISK);
        tokio::time::advance(RELAX_AFTER).await;
        assert_eq!(pace.longest_sleep(Instant::now()), Duration::MAX);
    }
}
