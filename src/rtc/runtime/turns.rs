//! Turns of a connection's driver that a relay needs.
//!
//! In a turn the crate's driver (0.21.1) sends what its TURN client has and then what its core has: what the
//! core sends by a relay goes into the TURN client, and stays there. Then it reads what came by a relay, and
//! the core's reply to it is not sent. So a datagram by a relay needs two more turns, and the driver sleeps
//! instead, until its next timer: up to a second. While a relay is in use, whatever wakes the driver is
//! followed by these turns at once.
//!
//! And a turn reads few datagrams. The crate reads up to 64, acknowledges them at once, and the sender answers
//! with as many and more in one burst; a relay's sockets have the buffers that its operator chose (coturn:
//! 64 KiB, some fifty datagrams), and what they drop twice costs SCTP a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// From the relay to the core, from the core to the TURN client, from there to the socket.
const EXTRA_TURNS: u8 = 2;

/// Datagrams that one turn reads while a relay is in use.
const MOST_READ: usize = 8;

/// The turns of one connection's driver.
#[derive(Debug, Default)]
pub(super) struct Turns {
    relayed: AtomicBool,
    due: AtomicU8,
    read: AtomicUsize,
}

impl Turns {
    /// A datagram goes to a relay: from now on the extra turns are needed.
    pub(super) fn relayed(&self) {
        self.relayed.store(true, Ordering::Relaxed);
    }

    /// A datagram was read.
    pub(super) fn read(&self) {
        self.read.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the next datagram waits for the next turn.
    pub(super) fn has_read_enough(&self) -> bool {
        self.relayed.load(Ordering::Relaxed) && self.read.load(Ordering::Relaxed) >= MOST_READ
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
        let read = || (0..100).take_while(|_| !turns.has_read_enough()).inspect(|_| turns.read());
        assert_eq!(read().count(), 100);
        turns.relayed();
        assert_eq!(read().count(), 0);
        drop(turns.sleep());
        assert_eq!(read().count(), MOST_READ);
    }
}
