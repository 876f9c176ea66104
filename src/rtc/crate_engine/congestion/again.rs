//! Which retransmissions leave. Pure: told the time.
//!
//! A remote asks for a lost packet again and again until it comes. On a path with a queue each of its requests
//! is answered by one more copy, which makes the queue longer: one copy in a round trip is enough.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Copies that are remembered.
const MOST: usize = 2_048;
/// Longest time for which a copy stands for others.
const LONGEST: Duration = Duration::from_secs(1);
/// Shortest: requests come no faster.
const SHORTEST: Duration = Duration::from_millis(20);

#[derive(Default)]
pub(super) struct Again {
    /// When the last copy left, by the media stream and its number there.
    left: HashMap<(u32, u16), Instant>,
}

impl Again {
    /// Whether another copy of a packet shall leave, with a round trip that takes so long.
    pub(super) fn leaves(
        &mut self,
        now: Instant,
        packet: (u32, u16),
        round_trip: Duration,
    ) -> bool {
        let pause = round_trip.clamp(SHORTEST, LONGEST);
        if self.left.get(&packet).is_some_and(|left| now.saturating_duration_since(*left) < pause) {
            return false;
        }
        if self.left.len() >= MOST {
            self.left.retain(|_, left| now.saturating_duration_since(*left) < LONGEST);
        }
        if self.left.len() < MOST {
            self.left.insert(packet, now);
            return true;
        }
        // More copies in a second than any path is asked for honestly.
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_copy_in_a_round_trip() {
        let (mut again, begun) = (Again::default(), Instant::now());
        let trip = Duration::from_millis(100);
        let at = |ms| begun + Duration::from_millis(ms);
        let asked: Vec<_> = (0..8).map(|n| again.leaves(at(n * 40), (1, 7), trip)).collect();
        assert_eq!(asked, [true, false, false, true, false, false, true, false]);
        assert!(again.leaves(at(1), (1, 8), trip) && again.leaves(at(1), (2, 7), trip));
    }

    #[test]
    fn a_flood_of_requests_is_bounded() {
        let (mut again, begun) = (Again::default(), Instant::now());
        let trip = Duration::from_millis(100);
        let left = (0..u16::MAX).filter(|n| again.leaves(begun, (1, *n), trip)).count();
        assert_eq!(left, MOST);
        assert!(again.leaves(begun + LONGEST, (1, 9), trip));
    }
}
