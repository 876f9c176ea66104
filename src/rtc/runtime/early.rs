//! Datagrams that come before the crate can use them, and when to show them to it: pure.
//!
//! Until its ICE agent has selected a pair the crate drops everything that is not STUN. A browser that
//! answers starts DTLS as soon as its own check succeeded, a round trip earlier, and repeats its first flight
//! after 50 ms and then 100 ms: that flight waits here.
//!
//! And the agent looks at some checks too early: a check with USE-CANDIDATE on a pair that it has not checked
//! itself gets no answer (RFC 8445 section 7.3.1.5 wants one, and the nomination remembered), and a
//! controlling agent whose check succeeded nominates at its next tick or at the remote's next check. So the
//! remote's check is shown once more as soon as our own of that pair succeeded, as if the network had doubled
//! it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::watch::{Class, attributes, header};

/// First bytes of DTLS records (RFC 7983 section 7).
const DTLS: std::ops::RangeInclusive<u8> = 20..=63;
const ATTRIBUTE_USE_CANDIDATE: u16 = 0x0025;
const ATTRIBUTE_ICE_CONTROLLED: u16 = 0x8029;
/// Two flights of a handshake with large certificates.
const MAX_HELD: usize = 16;
const MAX_HELD_BYTES: usize = 32 * 1024;
/// Older ones have been sent again meanwhile.
const HELD_FOR: Duration = Duration::from_secs(2);
/// Paths whose last check is remembered.
const MAX_CHECKS: usize = 16;

/// What came early at one socket.
#[derive(Debug, Default)]
pub(super) struct Early {
    held: Vec<(Instant, Bytes, SocketAddr)>,
    /// The last check of each path that has not been shown again.
    checks: Vec<(SocketAddr, Bytes)>,
}

/// What to do with a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The crate takes it now.
    Pass,
    /// The crate takes it, and then this one from the same address.
    PassAnd(Bytes),
    /// Kept for later, or dropped as the crate would.
    Kept,
}

impl Early {
    /// A datagram came and no pair is selected.
    pub(super) fn look(&mut self, now: Instant, datagram: &[u8], from: SocketAddr) -> Verdict {
        if datagram.first().is_some_and(|first| DTLS.contains(first)) {
            let bytes: usize = self.held.iter().map(|(_, held, _)| held.len()).sum();
            if self.held.len() < MAX_HELD && bytes + datagram.len() <= MAX_HELD_BYTES {
                self.held.push((now, Bytes::copy_from_slice(datagram), from));
            }
            return Verdict::Kept;
        }
        match header(datagram) {
            Some((Class::Request, _)) if decides(datagram) => {
                self.checks.retain(|(address, _)| *address != from);
                if self.checks.len() < MAX_CHECKS {
                    self.checks.push((from, Bytes::copy_from_slice(datagram)));
                }
                Verdict::Pass
            }
            Some((Class::Success, _)) => {
                match self.checks.iter().position(|(address, _)| *address == from) {
                    Some(at) => Verdict::PassAnd(self.checks.swap_remove(at).1),
                    None => Verdict::Pass,
                }
            }
            _ => Verdict::Pass,
        }
    }

    /// A pair is selected: what waited, in order.
    pub(super) fn release(&mut self, now: Instant) -> impl Iterator<Item = (Bytes, SocketAddr)> {
        self.checks = Vec::new();
        let held = std::mem::take(&mut self.held);
        held.into_iter()
            .filter(move |(at, ..)| now.duration_since(*at) < HELD_FOR)
            .map(|(_, datagram, from)| (datagram, from))
    }
}

/// Whether a check can settle the pair: it nominates, or we are to.
fn decides(check: &[u8]) -> bool {
    attributes(check)
        .any(|(kind, _)| matches!(kind, ATTRIBUTE_USE_CANDIDATE | ATTRIBUTE_ICE_CONTROLLED))
}

#[cfg(test)]
mod tests {
    use super::super::watch::tests::message;
    use super::*;

    const REQUEST: u16 = 0x0001;
    const SUCCESS: u16 = 0x0101;

    fn path(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_waits_for_the_pair_and_keeps_its_order() {
        let (mut early, now) = (Early::default(), Instant::now());
        assert_eq!(early.look(now, &[22, 1], path(1)), Verdict::Kept);
        assert_eq!(early.look(now, &[22, 2], path(2)), Verdict::Kept);
        let released: Vec<_> = early.release(now).collect();
        assert_eq!(
            released,
            [(Bytes::from_static(&[22, 1]), path(1)), (Bytes::from_static(&[22, 2]), path(2))]
        );
        assert_eq!(early.release(now).count(), 0);
        early.look(now, &[22], path(1));
        assert_eq!(early.release(now + HELD_FOR).count(), 0, "it was sent again meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_bounded() {
        let (mut early, now) = (Early::default(), Instant::now());
        for n in 0..1_000 {
            early.look(now, &[22; 4_096], path(n));
            early.look(now, &message(REQUEST, 1, &[(ATTRIBUTE_USE_CANDIDATE, b"")]), path(n));
        }
        assert_eq!(early.checks.len(), MAX_CHECKS);
        assert_eq!(early.release(now).count(), MAX_HELD_BYTES / 4_096);
        for _ in 0..1_000 {
            early.look(now, &[22], path(1));
        }
        assert_eq!(early.release(now).count(), MAX_HELD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_decides_is_shown_again_after_our_own_succeeded() {
        let (mut early, now) = (Early::default(), Instant::now());
        let success = message(SUCCESS, 9, &[]);
        for kind in [ATTRIBUTE_USE_CANDIDATE, ATTRIBUTE_ICE_CONTROLLED] {
            let check = message(REQUEST, 1, &[(kind, b"")]);
            assert_eq!(early.look(now, &check, path(1)), Verdict::Pass);
            assert_eq!(early.look(now, &success, path(2)), Verdict::Pass, "another path");
            assert_eq!(early.look(now, &success, path(1)), Verdict::PassAnd(check.into()));
            assert_eq!(early.look(now, &success, path(1)), Verdict::Pass, "once");
        }
        let plain = message(REQUEST, 1, &[]);
        early.look(now, &plain, path(1));
        assert_eq!(early.look(now, &success, path(1)), Verdict::Pass);
    }
}
