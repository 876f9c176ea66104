//! The timer of a connection's driver: one of tokio's for the connection's life.
//!
//! The crate's driver makes a sleep for each of its turns and drops it when a datagram comes first; nearly all of
//! them end at the same moment as the one before. A timer that is entered and taken out each time costs a lock
//! twice, and wakes the thread that waits for timers whenever it happens to be the next one. So a sleep leaves the
//! timer as it is unless that is too late for it, and a timer that was too early is set again when it fires.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// What tokio's timers are exact to.
const TICK: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
pub(super) struct Alarm {
    timer: Mutex<Option<Pin<Box<Sleep>>>>,
    taken: AtomicBool,
}

/// Has the timer for itself.
struct Taken<'a>(&'a Alarm);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

impl Alarm {
    /// Sleeps; who does so while another one sleeps has a timer of its own.
    pub(super) async fn sleep_until(&self, due: Instant) {
        if self.taken.swap(true, Ordering::Acquire) {
            return sleep_until(due).await;
        }
        let taken = Taken(self);
        poll_fn(|cx| taken.0.poll(cx, due)).await;
    }

    fn poll(&self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let mut timer = self.timer.lock().unwrap_or_else(PoisonError::into_inner);
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() >= due + TICK {
            timer.as_mut().reset(due);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= due || timer.deadline() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn two_at_once_do_not_wait_for_each_other() {
        let (alarm, begun) = (Alarm::default(), Instant::now());
        let (one, two) = (alarm.sleep_until(begun + ms(50)), alarm.sleep_until(begun + ms(20)));
        let ended = tokio::join!(async { (one.await, begun.elapsed()).1 }, async {
            (two.await, begun.elapsed()).1
        },);
        assert_eq!(ended, (ms(50), ms(20)));
    }

    #[tokio::test(start_paused = true)]
    async fn sleeps_end_when_they_are_due_whatever_was_slept_before() {
        let (alarm, begun) = (Alarm::default(), Instant::now());
        // Given up for an earlier one, for a later one, and for one at the same time.
        for given_up in [ms(500), ms(20), ms(100), ms(100)] {
            let sleep = alarm.sleep_until(begun + given_up);
            tokio::time::timeout(ms(1), sleep).await.unwrap_err();
        }
        alarm.sleep_until(begun + ms(100)).await;
        assert_eq!(begun.elapsed(), ms(100));
        alarm.sleep_until(begun + ms(150)).await;
        assert_eq!(begun.elapsed(), ms(150));
        // What is past ends at once.
        alarm.sleep_until(begun).await;
        assert_eq!(begun.elapsed(), ms(150));
        alarm.sleep_until(begun + ms(1_150)).await;
        assert_eq!(begun.elapsed(), ms(1_150));
    }
}
