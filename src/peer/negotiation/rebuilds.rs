//! When a connection is made anew, how soon, and what becomes of the old one.

use std::time::Duration;

use super::Negotiation;
use super::adoption::Adoption;
use super::candidates::RemoteCandidates;
use super::output::{Identity, Output};
use super::phase::Phase;
use super::wants::Wants;
use crate::wire::SessionDescription;

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

impl Negotiation {
    pub(super) fn is_without_connection(&self) -> bool {
        matches!(self.phase, Phase::Cooling { .. } | Phase::Rebuilding)
    }

    /// What a connection proves to be that is made in this one's place while the remote's may go on. As long as
    /// no description of the remote was applied, no handshake was done: then the remote knows at most our
    /// certificate. It need not have been heard for that: its answer may be what was lost.
    pub(super) fn successor(&self) -> Identity {
        match self.phase {
            Phase::Cooling { identity, .. } => identity,
            _ if self.is_established() => Identity::New,
            _ => self.for_a_new_remote(),
        }
    }

    /// For a connection of the remote that has done no handshake with ours, and may have had an offer of ours. Who
    /// does not hold to the certificate in it shall see that the descriptions to come are of another connection:
    /// what the offer of an old one had agreed on, codecs above all, would stay.
    pub(super) const fn for_a_new_remote(&self) -> Identity {
        if self.holds_to_certificate { Identity::Same } else { Identity::New }
    }

    /// The remote or a failure wants it: not too often.
    pub(super) fn rebuild_when_due(
        &mut self,
        now: Duration,
        identity: Identity,
        offer: Option<SessionDescription>,
    ) {
        if self.is_without_connection() {
            return self.forget_connection(offer);
        }
        let due = self.rebuilds.next(now);
        if due <= now {
            return self.rebuild(identity, offer);
        }
        self.phase = Phase::Cooling { until: due, identity };
        self.forget_connection(offer);
    }

    pub(super) fn rebuild(&mut self, identity: Identity, offer: Option<SessionDescription>) {
        if self.phase != Phase::Rebuilding {
            self.phase = Phase::Rebuilding;
            self.outputs.push_back(Output::Rebuild(identity));
        }
        self.forget_connection(offer);
    }

    pub(super) fn forget_connection(&mut self, offer: Option<SessionDescription>) {
        if offer.is_some() {
            self.for_the_next = offer;
        }
        self.adoption = Adoption::default();
        // While we are away it stays so.
        if self.answers_from < Duration::MAX {
            self.answers_from = Duration::ZERO;
        }
        self.fingerprint = None;
        self.lines.clear();
        self.max_message_size = None;
        self.dropped.candidates += self.candidates.dropped();
        self.candidates = RemoteCandidates::default();
        self.empty_offers = 0;
        self.wants = Wants::default();
        self.sent = None;
        self.trickle.clear();
        self.gathered = false;
        // The operation under way answers into the void.
        self.running = None;
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
