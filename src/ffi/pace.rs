//! When events are gathered before a batch of them leaves for the app.
//!
//! A batch costs the app a wake-up, whatever is in it. So while events come fast, batches leave
//! [`GATHERING`] apart, or when they are full. None waits longer than [`GATHERING`], and one that comes so long
//! after the batch before it does not wait at all. It is told the time and keeps no clock.

use std::time::Duration;

use tokio::time::Instant;

/// Batches of a stream are so far apart: a fifth of the wake-ups of one each millisecond, and less than a
/// frame of a display.
pub(super) const GATHERING: Duration = Duration::from_millis(4);
/// Batches that leave at once after a wait that gathered nothing: whoever answers each event before the
/// next one comes is held up once in so many.
const AT_ONCE: u32 = 16;

/// The batches of one queue.
#[derive(Debug, Default)]
pub(super) struct Pace {
    left: Option<Instant>,
    streams: bool,
    at_once: u32,
}

impl Pace {
    /// Until when the next batch may be gathered, if that is worth it.
    pub(super) fn gathers_until(&self, now: Instant) -> Option<Instant> {
        let until = self.left? + GATHERING;
        (self.streams && self.at_once == 0 && now < until).then_some(until)
    }

    /// A batch of so many events leaves, gathered to the end of the time or not.
    pub(super) fn leaves(&mut self, now: Instant, events: usize, was_gathered: bool) {
        let soon = self.left.is_some_and(|left| now.duration_since(left) < GATHERING);
        self.streams = if was_gathered { events > 1 } else { soon };
        self.at_once = match was_gathered {
            true if events == 1 => AT_ONCE,
            _ => self.at_once.saturating_sub(1),
        };
        self.left = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_stream_is_gathered_and_a_slow_one_is_not() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.gathers_until(start), None);
        pace.leaves(start, 1, false);
        assert_eq!(pace.gathers_until(start), None);
        pace.leaves(start + GATHERING, 1, false);
        assert_eq!(pace.gathers_until(start + GATHERING), None);
        pace.leaves(start + GATHERING + MS, 1, false);
        let until = start + GATHERING + MS + GATHERING;
        assert_eq!(pace.gathers_until(start + GATHERING + MS), Some(until));
        assert_eq!(pace.gathers_until(until), None);
    }

    #[test]
    fn who_answers_each_event_is_held_up_once_in_many() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let mut held_up = 0;
        for _ in 0..170 {
            now += MS;
            // The other side is silent meanwhile.
            let gathers = pace.gathers_until(now);
            now = gathers.unwrap_or(now);
            held_up += u32::from(gathers.is_some());
            pace.leaves(now, 1, gathers.is_some());
        }
        assert_eq!(held_up, 10);
    }
}
