//! Datagrams to a relay by UDP leave evenly, not in one burst.
//!
//! The crate sends all that SCTP's window allows in one turn, up to a thousand datagrams. A relay takes them
//! from sockets with the buffers that its operator chose (coturn: 64 KiB, some fifty datagrams) and drops the
//! rest; what is dropped twice costs SCTP a second. A stream to a relay has a flow control of its own, and the
//! same pauses made it slower (bench/peer/README.md).

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Datagrams that may leave at once.
const BURST: u32 = 32;
/// How soon the place of one of them is free again: no path by a relay is faster.
const PAUSE: Duration = Duration::from_micros(20);

/// The datagrams to relays of one socket.
#[derive(Debug)]
pub(super) struct Burst {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When all of the burst may leave again.
    full_at: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Default for Burst {
    fn default() -> Self {
        Self { state: Mutex::new(State { full_at: Instant::now(), timer: None }) }
    }
}

impl Burst {
    /// Ready when one more datagram may leave, and counts it.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(timer) = &mut state.timer {
                ready!(timer.as_mut().poll(cx));
                state.timer = None;
            }
            let now = Instant::now();
            let full_at = state.full_at.max(now) + PAUSE;
            if full_at <= now + PAUSE * BURST {
                state.full_at = full_at;
                return Poll::Ready(());
            }
            // For half of the burst, so that timers are few.
            let half = state.full_at - PAUSE * (BURST / 2);
            state.timer = Some(Box::pin(tokio::time::sleep_until(half)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_leaves_at_once_and_the_rest_follows_evenly() {
        let burst = Burst::default();
        let sent = (0..1_000).take_while(|_| poll_fn(|cx| burst.poll(cx)).now_or_never().is_some());
        assert_eq!(sent.count(), 32);
        let began = Instant::now();
        for _ in 0..10_000 {
            poll_fn(|cx| burst.poll(cx)).await;
        }
        // 20 µs each, and timers are as fine as a millisecond.
        let took = began.elapsed();
        assert!((200..=700).contains(&took.as_millis()), "{took:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let sent = (0..1_000).take_while(|_| poll_fn(|cx| burst.poll(cx)).now_or_never().is_some());
        assert_eq!(sent.count(), 32);
    }
}
