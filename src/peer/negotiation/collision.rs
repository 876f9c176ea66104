//! What offers of the remote mean while ours is under way.

use super::{Negotiation, Signal};
use crate::rtc::sdp::SdpFacts;
use crate::wire::DescriptionKind;

impl Negotiation {
    pub(super) fn offer_waits(&self) -> bool {
        self.waiting.iter().any(|signal| {
            matches!(signal, Signal::Description(description)
                if description.kind == DescriptionKind::Offer)
        })
    }

    /// Whether the remote's next signal is an offer of another connection while ours, which the impolite side makes,
    /// has just left: the remote gives way to that and answers it. To answer the remote's would leave both with an
    /// answer to what is given up, each on the other's connection. If no answer comes it has not seen ours.
    pub(super) fn holds_an_offer(&self) -> bool {
        let Some(Signal::Description(next)) = self.waiting.front() else { return false };
        !self.polite
            && next.kind == DescriptionKind::Offer
            && SdpFacts::read(&next.sdp).is_some_and(|facts| self.is_of_another(&facts))
    }

    /// Drops the offer that is held and what belongs to it, if the answer has come.
    pub(super) fn pass_over_what_was_given_up(&mut self) -> bool {
        let is_answer = |signal: &Signal| {
            matches!(signal, Signal::Description(description)
                if description.kind == DescriptionKind::Answer)
        };
        let Some(answer) = self.waiting.iter().position(is_answer) else { return false };
        self.pass_over(answer);
        true
    }

    /// Where an offer of another connection waits that the remote has made while we answer one. Then nobody waits for
    /// that answer, and to the remote it would be the one to its new offer.
    pub(super) fn replacing_offer(&self) -> Option<usize> {
        self.waiting.iter().position(|signal| {
            matches!(signal, Signal::Description(description)
                if description.kind == DescriptionKind::Offer
                    && SdpFacts::read(&description.sdp).is_some_and(|facts| self.is_of_another(&facts)))
        })
    }

    /// Drops signals that belong to what the remote has given up.
    pub(super) fn pass_over(&mut self, signals: usize) {
        for given_up in self.waiting.drain(..signals) {
            match given_up {
                Signal::Description(_) => self.dropped.ignored_offers += 1,
                Signal::Candidate(_) => self.dropped.candidates += 1,
            }
        }
    }

    /// m-lines that do not follow on are of another connection, too: it has the key of one before it that we know
    /// of and did no handshake with. Engines take such an offer without a word, and answer it with nonsense.
    pub(super) fn is_of_another(&self, facts: &SdpFacts) -> bool {
        self.has_new_key(facts) || !facts.follows_on(&self.lines)
    }

    pub(super) fn has_new_key(&self, facts: &SdpFacts) -> bool {
        self.fingerprint.is_some() && self.fingerprint != facts.fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, answer, answered, offer, offered, outputs};
    use super::super::{ANSWER_HOLD, COLLISION_LIMIT, Identity, Op, Output, Reply};
    use super::*;
    use crate::wire::IceCandidate;

    /// Our restart has left, and the remote offers from another connection.
    fn crossed(polite: bool) -> Negotiation {
        let mut negotiation = answered(polite);
        negotiation.restart(NOW);
        offered(&mut negotiation);
        negotiation.signal(NOW, offer("other", "x"));
        negotiation
    }

    #[test]
    fn an_offer_of_another_connection_that_gives_way_to_ours_is_passed_over() {
        let mut negotiation = crossed(false);
        let candidate = IceCandidate { candidate: "candidate:1".into(), ..Default::default() };
        negotiation.signal(NOW, Signal::Candidate(Some(candidate)));
        assert_eq!(outputs(&mut negotiation), []);
        negotiation.signal(NOW, answer("other", "y"));
        assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::New)]);
        assert!(negotiation.for_the_next.is_none() && negotiation.waiting.is_empty());
        let dropped = negotiation.dropped();
        assert_eq!((dropped.ignored_offers, dropped.candidates), (1, 1));
    }

    #[test]
    fn an_offer_of_another_connection_is_taken_by_the_polite_and_when_ours_was_not_seen() {
        let mut negotiation = crossed(true);
        assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::New)]);
        let mut negotiation = crossed(false);
        assert_eq!(negotiation.next_deadline(), Some(COLLISION_LIMIT));
        negotiation.timeout(COLLISION_LIMIT);
        assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::New)]);
        assert!(negotiation.for_the_next.is_some());
    }
    /// We answer an offer, and come back to the service before the answer has left.
    fn returned() -> Negotiation {
        let mut negotiation = Negotiation::new(false);
        negotiation.signal(NOW, offer("k", "f"));
        negotiation.done(NOW, Ok(Reply::Nothing));
        negotiation.done(NOW, Ok(Reply::Nothing));
        negotiation.away();
        negotiation.gathering_complete(NOW);
        assert!(!outputs(&mut negotiation).contains(&Output::Do(Op::LocalDescription)));
        assert_eq!(negotiation.next_deadline(), None);
        negotiation.returned(NOW);
        negotiation
    }

    #[test]
    fn an_answer_that_was_read_while_another_offer_came_or_the_service_was_lost_is_not_sent() {
        let read = |change: &dyn Fn(&mut Negotiation)| {
            let mut negotiation = Negotiation::new(false);
            negotiation.signal(NOW, offer("k", "f"));
            negotiation.done(NOW, Ok(Reply::Nothing));
            negotiation.done(NOW, Ok(Reply::Nothing));
            negotiation.gathering_complete(NOW);
            outputs(&mut negotiation);
            change(&mut negotiation);
            let Signal::Description(ours) = answer("ours", "mine") else { unreachable!() };
            negotiation.done(NOW, Ok(Reply::Description(ours)));
            outputs(&mut negotiation)
        };
        assert!(matches!(read(&|_| {})[..], [Output::Negotiated, Output::Send(_)]));
        assert_eq!(read(&Negotiation::away), []);
        let replaced = read(&|negotiation| negotiation.signal(NOW, offer("other", "x")));
        assert_eq!(replaced, [Output::Rebuild(Identity::New)]);
    }

    #[test]
    fn an_answer_waits_after_our_return_for_an_offer_that_replaces_the_one_that_it_is_for() {
        let mut negotiation = returned();
        assert_eq!(negotiation.next_deadline(), Some(ANSWER_HOLD));
        negotiation.timeout(ANSWER_HOLD);
        assert_eq!(outputs(&mut negotiation), [Output::Do(Op::LocalDescription)]);
        let mut negotiation = returned();
        negotiation.signal(NOW, Signal::Candidate(None));
        negotiation.signal(NOW, offer("other", "x"));
        assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::New)]);
        assert!(negotiation.for_the_next.is_some());
    }
}
