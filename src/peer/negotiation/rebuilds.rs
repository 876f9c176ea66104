//! How soon a connection may be made anew.

use std::time::Duration;

/// As many at once are a bad day; more are a fault or an attack.
const FREE: u32 = 3;
/// Pause before the next one; doubled with each.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After so long without one the count begins anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// Rebuilds that the remote or a failure caused: each costs keys, sockets and signals.
#[derive(Debug, Default)]
pub(super) struct Rebuilds {
    recent: u32,
    last: Duration,
}

impl Rebuilds {
    /// When the next one may happen.
    pub(super) fn next(&mut self, now: Duration) -> Duration {
        if now.saturating_sub(self.last) > FORGOTTEN_AFTER {
            self.recent = 0;
        }
        self.recent += 1;
        let pause = match self.recent.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(over) => PAUSE.saturating_mul(1 << over.min(16)).min(LONGEST_PAUSE),
        };
        self.last = now + pause;
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_free_and_more_wait_longer_and_longer() {
        let mut rebuilds = Rebuilds::default();
        let (mut now, mut pauses) = (Duration::ZERO, Vec::new());
        for _ in 0..10 {
            let at = rebuilds.next(now);
            pauses.push((at - now).as_secs());
            now = at;
        }
        assert_eq!(pauses, [0, 0, 0, 1, 2, 4, 8, 16, 30, 30]);
        now += FORGOTTEN_AFTER + PAUSE;
        assert_eq!(rebuilds.next(now), now);
    }
}
