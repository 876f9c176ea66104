//! How much a connection's driver reads at once, and the turns of it that a relay needs.
//!
//! The crate's driver (0.21.1) hands media to a queue of 256 packets for each track, and what finds no room is
//! lost: it counts as received and is never asked for again. One turn reads up to 520 datagrams of a direct
//! path, and the next follows at once while there are more. So after [`MOST_AT_ONCE`] datagrams the driver waits
//! until the runtime has polled the others that are ready, which empties the queues.
//!
//! In a turn the driver sends what its TURN client has and then what its core has: what the
//! core sends by a relay goes into the TURN client, and stays there. Then it reads what came by a relay, and
//! the core's reply to it is not sent. So a datagram by a relay needs two more turns, and the driver sleeps
//! instead, until its next timer: up to a second. While a relay is in use, whatever wakes the driver is
//! followed by these turns at once.
//!
//! And a turn with a relay reads few datagrams. The crate reads up to 64, acknowledges them at once, and the sender answers
//! with as many and more in one burst; a relay's sockets have the buffers that its operator chose (coturn:
//! 64 KiB, some fifty datagrams), and what they drop twice costs SCTP a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// From the relay to the core, from the core to the TURN client, from there to the socket.
const EXTRA_TURNS: u8 = 2;

/// Datagrams that one turn reads while a relay is in use.
const MOST_READ: usize = 8;

/// Datagrams that are read before others run. A read brings up to eight, and all may be of one track.
const MOST_AT_ONCE: usize = 192;

/// The turns of one connection's driver.
#[derive(Debug, Default)]
pub(super) struct Turns {
    relayed: AtomicBool,
    due: AtomicU8,
    /// Reads of this turn.
    read: AtomicUsize,
    /// Datagrams since the runtime polled the driver.
    at_once: AtomicUsize,
}

impl Turns {
    /// A datagram goes to a relay: from now on the extra turns are needed.
    pub(super) fn relayed(&self) {
        self.relayed.store(true, Ordering::Relaxed);
    }

    /// The runtime polls the driver: others had their chance.
    pub(super) fn polled(&self) {
        self.at_once.store(0, Ordering::Relaxed);
    }

    /// So many datagrams were read at a time.
    pub(super) fn read(&self, datagrams: usize) {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.at_once.fetch_add(datagrams, Ordering::Relaxed);
    }

    /// Whether the next datagram waits for the next turn, or poll.
    pub(super) fn has_read_enough(&self) -> bool {
        self.at_once.load(Ordering::Relaxed) >= MOST_AT_ONCE
            || self.relayed.load(Ordering::Relaxed)
                && self.read.load(Ordering::Relaxed) >= MOST_READ
    }

    /// The driver wants to sleep, and to read again.
    pub(super) fn sleep(self: &Arc<Self>) -> Sleep {
        self.read.store(0, Ordering::Relaxed);
        let extra = self.relayed.load(Ordering::Relaxed) && self.due.load(Ordering::Relaxed) > 0;
        Sleep { turns: Arc::clone(self), extra, over: false }
    }
}

/// A sleep of the driver. Dropped before it is over, something else woke the driver.
#[derive(Debug)]
pub(super) struct Sleep {
    turns: Arc<Turns>,
    extra: bool,
    over: bool,
}

impl Sleep {
    /// Whether to sleep not at all.
    pub(super) fn is_none(&self) -> bool {
        self.extra
    }

    /// It was slept to its end.
    pub(super) fn over(mut self) {
        self.over = true;
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // One driver, so load and store are not torn apart.
        let due = match self.over && self.extra {
            true => self.turns.due.load(Ordering::Relaxed).saturating_sub(1),
            false => EXTRA_TURNS,
        };
        self.turns.due.store(due, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slept(turns: &Arc<Turns>) -> bool {
        let sleep = turns.sleep();
        let none = sleep.is_none();
        sleep.over();
        none
    }

    #[test]
    fn without_a_relay_every_sleep_is_slept() {
        let turns = Arc::new(Turns::default());
        assert!(!(0..4).any(|_| slept(&turns)));
    }

    #[test]
    fn with_a_relay_two_turns_follow_whatever_woke_the_driver() {
        let turns = Arc::new(Turns::default());
        turns.relayed();
        assert_eq!([(); 6].map(|()| slept(&turns)), [false, true, true, false, true, true]);
        drop(turns.sleep());
        assert_eq!([(); 3].map(|()| slept(&turns)), [true, true, false]);
        // A datagram that comes in an extra turn has its own.
        assert!(slept(&turns));
        drop(turns.sleep());
        assert_eq!([(); 3].map(|()| slept(&turns)), [true, true, false]);
    }

    #[test]
    fn with_a_relay_a_turn_reads_few_datagrams() {
        let turns = Arc::new(Turns::default());
        let read = || (0..100).take_while(|_| !turns.has_read_enough()).inspect(|_| turns.read(1));
        assert_eq!(read().count(), 100);
        turns.relayed();
        assert_eq!(read().count(), 0);
        drop(turns.sleep());
        assert_eq!(read().count(), MOST_READ);
    }

    #[test]
    fn on_a_direct_path_others_run_before_a_queue_is_full() {
        let turns = Arc::new(Turns::default());
        let read = || (0..100).take_while(|_| !turns.has_read_enough()).inspect(|_| turns.read(8));
        assert_eq!(read().count() * 8, MOST_AT_ONCE);
        // The next turn of the same poll reads nothing.
        drop(turns.sleep());
        assert_eq!(read().count(), 0);
        turns.polled();
        assert_eq!(read().count() * 8, MOST_AT_ONCE);
    }
}
