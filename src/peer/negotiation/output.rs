//! What goes in and out of a negotiation.

use crate::wire::{IceCandidate, SessionDescription};

/// What two peers tell each other to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Description(SessionDescription),
    /// `None` is the end of a generation's candidates.
    Candidate(Option<IceCandidate>),
}

impl Signal {
    /// Bytes of its text.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Description(description) => description.sdp.len(),
            Self::Candidate(candidate) => candidate.as_ref().map_or(0, |candidate| {
                let fragment = candidate.username_fragment.as_ref().map_or(0, String::len);
                let mid = candidate.sdp_mid.as_ref().map_or(0, String::len);
                candidate.candidate.len() + fragment + mid
            }),
        }
    }
}

/// An operation of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Offer { ice_restart: bool },
    Answer,
    RollBack,
    ApplyRemote(SessionDescription),
    AddCandidate(IceCandidate),
    LocalDescription,
}

/// What an operation gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Nothing,
    Description(SessionDescription),
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Stable code.
    pub(crate) code: &'static str,
    /// One line for people.
    pub(crate) message: String,
}

impl Failure {
    pub(super) fn too_large() -> Self {
        let message = "the remote's description is too large to be one".to_owned();
        Self { code: "remote_description_too_large", message }
    }

    pub(super) fn internal(what: &str) -> Self {
        Self { code: "internal", message: what.to_owned() }
    }
}

/// What came and led to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Answers to offers that are no more.
    pub(crate) stale_answers: u64,
    /// Candidates of other generations, too many, too long, or with hidden addresses.
    pub(crate) candidates: u64,
    /// Offers that lost a collision.
    pub(crate) ignored_offers: u64,
    /// Signals beyond what may wait, too large to be any, or overtaken by an offer for the next connection.
    pub(crate) overflow: u64,
}

/// Whether a connection that is made in the place of another has its certificate. It has as long as no handshake can
/// have been done with that, whoever the remote is: what it is, a description does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// No: a remote whose connection did its handshake with the old one goes on with that, until another
    /// certificate shows that this one is new.
    New,
    /// Yes: the remote's connection has not done a handshake with it, and may have been told of it. Firefox holds a
    /// connection to the first certificate that an offer names, and refuses the handshake with any other. To all
    /// the rest the next offer is another generation of the one before it.
    Same,
}

/// What the owner shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Do it and report with `done`, before anything else is done.
    Do(Op),
    /// Send it to the remote.
    Send(Signal),
    /// Let the remote know that it need not wait for an offer of ours.
    NothingToOffer,
    /// Close the connection, make a new one, and report with `rebuilt`. What was running is forgotten.
    Rebuild(Identity),
    /// Both descriptions are agreed on.
    Negotiated,
    /// The offer was not answered in time.
    NoAnswer,
    /// An operation failed; the negotiation goes on as well as it can.
    Failed(Failure),
    /// A candidate of the remote could not be used.
    CandidateFailed(IceCandidate, Failure),
}
