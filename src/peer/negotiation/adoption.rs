//! How a connection goes on whose remote end answered an offer to the one before it.
//!
//! An offer may reach the connection that a remote has made since ours was agreed on, and be the first that it gets. Its
//! answer says what it sends, and to the remote both sides have agreed: it offers nothing of its own any more. Where we
//! have nothing to offer either, both would wait. So our next connection takes that answer for an offer, which it
//! differs from by its name alone, keeps the answer to it to itself, and offers from there on: the same m-lines, in the
//! same order, by the same key, and a path to find.

use super::Negotiation;
use super::output::{Identity, Op};
use super::phase::Running;
use crate::rtc::sdp::SdpFacts;
use crate::wire::{DescriptionKind, SessionDescription};

#[derive(Debug, Default)]
pub(super) enum Adoption {
    #[default]
    None,
    /// What the next connection begins with if nothing of ours needs one.
    Due(SessionDescription),
    UnderWay,
}

impl Adoption {
    pub(super) fn of_answer(answer: SessionDescription) -> Self {
        Self::Due(SessionDescription { kind: DescriptionKind::Offer, ..answer })
    }

    pub(super) const fn is_under_way(&self) -> bool {
        matches!(self, Self::UnderWay)
    }
}

impl Negotiation {
    /// What a connection proves to be that the owner makes now, with something to offer or without: the remote's, which
    /// goes on, shall meet the key that the offer named.
    pub(crate) fn identity(&self, meant: Identity, has_something: bool) -> Identity {
        match self.adoption {
            Adoption::Due(_) if !has_something && self.for_the_next.is_none() => Identity::Same,
            _ => meant,
        }
    }

    /// Nothing else is to be done with a new connection.
    pub(super) fn adopt(&mut self) {
        let Adoption::Due(offer) = std::mem::take(&mut self.adoption) else { return };
        let Some(facts) = SdpFacts::read(&offer.sdp) else { return };
        self.adoption = Adoption::UnderWay;
        self.candidates.begin(&facts);
        self.run(Running::ApplyOffer(offer.clone()), Op::ApplyRemote(offer));
    }

    /// The answer is applied on our side, and of no use to the remote.
    pub(super) fn adopted(&mut self, answer: &SessionDescription) {
        self.adoption = Adoption::None;
        self.trickle.clear();
        self.is_stable_with(answer);
        self.wants.restart = true;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, answer, answered, offer, offered, outputs};
    use super::super::{Output, Reply, Signal};
    use super::*;

    /// Our restart was answered by another connection of the remote.
    fn answered_by_another() -> Negotiation {
        let mut negotiation = answered(false);
        negotiation.restart(NOW);
        offered(&mut negotiation);
        negotiation.signal(NOW, answer("other", "x"));
        assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::New)]);
        negotiation
    }

    #[test]
    fn who_has_nothing_to_offer_goes_on_with_what_the_remote_answered() {
        let mut negotiation = answered_by_another();
        assert_eq!(negotiation.identity(Identity::New, false), Identity::Same);
        negotiation.rebuilt(NOW);
        let Signal::Description(as_an_offer) = offer("other", "x") else { unreachable!() };
        assert_eq!(outputs(&mut negotiation), [Output::Do(Op::ApplyRemote(as_an_offer))]);
        negotiation.done(NOW, Ok(Reply::Nothing));
        assert_eq!(outputs(&mut negotiation), [Output::Do(Op::Answer)]);
        negotiation.done(NOW, Ok(Reply::Nothing));
        negotiation.gathering_complete(NOW);
        assert_eq!(outputs(&mut negotiation), [Output::Do(Op::LocalDescription)]);
        let Signal::Description(ours) = answer("ours", "mine") else { unreachable!() };
        negotiation.done(NOW, Ok(Reply::Description(ours)));
        // Nothing was sent.
        assert_eq!(outputs(&mut negotiation), [Output::Do(Op::Offer { ice_restart: true })]);
        offered(&mut negotiation);
        negotiation.signal(NOW, answer("other", "y"));
        negotiation.done(NOW, Ok(Reply::Nothing));
        assert!(outputs(&mut negotiation).contains(&Output::Negotiated));
        assert!(negotiation.is_idle());
    }

    #[test]
    fn who_has_something_offers_that() {
        let mut negotiation = answered_by_another();
        assert_eq!(negotiation.identity(Identity::New, true), Identity::New);
        negotiation.data_wanted(NOW);
        negotiation.rebuilt(NOW);
        assert_eq!(outputs(&mut negotiation), [Output::Do(Op::Offer { ice_restart: false })]);
    }

    #[test]
    fn an_offer_that_comes_meanwhile_goes_first() {
        let mut negotiation = answered_by_another();
        negotiation.signal(NOW, offer("third", "z"));
        assert_eq!(negotiation.identity(Identity::New, false), Identity::New);
        negotiation.rebuilt(NOW);
        let Signal::Description(theirs) = offer("third", "z") else { unreachable!() };
        assert_eq!(outputs(&mut negotiation), [Output::Do(Op::ApplyRemote(theirs))]);
        negotiation.done(NOW, Ok(Reply::Nothing));
        negotiation.done(NOW, Ok(Reply::Nothing));
        negotiation.gathering_complete(NOW);
        let Signal::Description(ours) = answer("ours", "mine") else { unreachable!() };
        negotiation.done(NOW, Ok(Reply::Description(ours.clone())));
        assert!(outputs(&mut negotiation).contains(&Output::Send(Signal::Description(ours))));
    }
}
