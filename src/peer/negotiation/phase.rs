//! Where a negotiation stands.

use std::time::Duration;

use super::output::Identity;
use crate::wire::{IceCandidate, SessionDescription};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing is pending; offers may be made and taken.
    Stable,
    /// Our offer is made; it has not left.
    OfferGathering { until: Duration },
    /// Our offer has left.
    OfferSent { since: Duration, until: Duration },
    /// Our answer is made; it has not left.
    AnswerGathering { until: Duration },
    /// The connection is of no use, and too many were made lately.
    Cooling { until: Duration, identity: Identity },
    /// The owner makes a new connection.
    Rebuilding,
}

/// What is asked of the engine right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Running {
    Offer,
    ReadOffer,
    /// Takes our offer back; what follows is decided after.
    RollBack,
    ApplyOffer(SessionDescription),
    Answer,
    ReadAnswer,
    ApplyAnswer(SessionDescription),
    Candidate(IceCandidate),
}
