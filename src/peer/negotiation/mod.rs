//! Perfect negotiation with one remote (W3C WebRTC section 10.7), pure.
//!
//! Invariant: at most one operation is under way at the engine, signals of the remote are taken in order,
//! and nothing is done to the engine that its signalling state forbids. The owner does what
//! [`Output::Do`] says and reports with [`Negotiation::done`].
//!
//! Where it differs from the W3C's example: the description waits for candidates and carries them; an offer
//! that has not left yet gives way to the remote's on either side; a remote with a new key (a new session
//! of the same id) gets a new connection instead of an error.

mod adoption;
mod candidates;
mod collision;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod hostile;
mod meeting;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod model;
mod output;
mod phase;
mod rebuilds;
#[cfg(test)]
mod tests;
mod wants;

use std::collections::VecDeque;
use std::time::Duration;

use crate::rtc::sdp::{self, Line, SdpFacts};
use crate::wire::{DescriptionKind, IceCandidate, SessionDescription};

use adoption::Adoption;
use candidates::{RemoteCandidates, completed};
use meeting::Meeting;
pub(crate) use output::{Dropped, Failure, Identity, Op, Output, Reply, Signal};
use phase::{Phase, Running};
use rebuilds::Rebuilds;
use wants::Wants;

/// How long a description waits for the candidates that it shall carry.
pub(crate) const GATHERING_WAIT: Duration = Duration::from_millis(100);
/// How long an offer waits for its answer (JavaScript SDK 1.2.0).
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(15);
/// The same for the offer that follows an answer with a new key: the Python SDK takes no second offer within
/// 2 s of making its connection anew, and drops it without a word.
pub(crate) const REBUILT_ANSWER_WAIT: Duration = Duration::from_millis(2_250);
/// So many restarts in a row that were answered from a new connection: the remote cannot do otherwise.
const REBUILDING_REMOTE: u32 = 2;
/// Offers without m-lines that are answered, per connection: each costs a signal.
const MAX_EMPTY_OFFERS: u32 = 16;
/// What answers an offer without m-lines.
const EMPTY_ANSWER: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
/// A remote that still offers when ours is so old has not seen it, and its offer is taken, whoever is polite:
/// signals of one sender are in order, so it offered before it could have answered.
const COLLISION_LIMIT: Duration = Duration::from_secs(2);
/// After our return to the service a remote that saw us leave has offered anew by then, as official SDKs do. To it an
/// answer to what it offered before would be the answer to that.
const ANSWER_HOLD: Duration = Duration::from_secs(1);
/// Signals of the remote that wait while the engine is busy. A remote that sends more at once is not
/// negotiating.
const MAX_WAITING_SIGNALS: usize = 512;
/// Bytes of them.
const MAX_WAITING_BYTES: usize = 1024 * 1024;
/// Renewed offers because of answers to forgotten ones, per connection: each heals a lost step.
const MAX_RESYNCS: u32 = 3;

/// The negotiation with one remote.
#[derive(Debug)]
pub(crate) struct Negotiation {
    polite: bool,
    phase: Phase,
    running: Option<Running>,
    waiting: VecDeque<Signal>,
    outputs: VecDeque<Output>,
    candidates: RemoteCandidates,
    /// The remote's key; set by the first description that was applied.
    fingerprint: Option<String>,
    /// The m-lines of the remote's last description that was applied.
    lines: Vec<Line>,
    /// Bytes of a message that the remote takes, by its description.
    max_message_size: Option<u64>,
    gathered: bool,
    wants: Wants,
    /// An offer of the remote for the connection to come.
    for_the_next: Option<SessionDescription>,
    adoption: Adoption,
    /// No answer leaves before.
    answers_from: Duration,
    meeting: Meeting,
    /// The last description that left, to tell which candidates it carried.
    sent: Option<SessionDescription>,
    /// Local candidates that no description carried yet.
    trickle: Vec<IceCandidate>,
    resyncs: u32,
    rebuilds: Rebuilds,
    answer_wait: Duration,
    /// Restarts in a row that the remote answered from a new connection.
    rebuilt_answers: u32,
    empty_offers: u32,
    /// Whether the remote may hold to the certificate that an offer of ours named: Firefox does, and so may be who was
    /// not heard of yet. Nothing but the origin of its descriptions tells what it is.
    holds_to_certificate: bool,
    dropped: Dropped,
}

impl Negotiation {
    pub(crate) fn new(polite: bool) -> Self {
        Self {
            polite,
            phase: Phase::Stable,
            running: None,
            waiting: VecDeque::new(),
            outputs: VecDeque::new(),
            candidates: RemoteCandidates::default(),
            fingerprint: None,
            lines: Vec::new(),
            max_message_size: None,
            gathered: false,
            wants: Wants::default(),
            for_the_next: None,
            adoption: Adoption::default(),
            answers_from: Duration::ZERO,
            meeting: Meeting::default(),
            sent: None,
            trickle: Vec::new(),
            resyncs: 0,
            rebuilds: Rebuilds::default(),
            answer_wait: ANSWER_WAIT,
            rebuilt_answers: 0,
            empty_offers: 0,
            holds_to_certificate: true,
            dropped: Dropped::default(),
        }
    }

    /// The remote has just met us, too.
    pub(crate) fn met(&mut self, now: Duration) {
        self.meeting = Meeting::new(now, self.polite);
    }

    /// The remote let us know whether it has something to offer.
    pub(crate) fn announced(&mut self, now: Duration, offers: bool) {
        self.meeting.announced(now, offers);
        self.advance(now);
    }

    /// Whether a description of the remote was ever applied to the present connection.
    pub(crate) fn is_established(&self) -> bool {
        self.fingerprint.is_some()
    }

    /// Whether the remote named an address for the present connection, even one that is of no use.
    pub(crate) fn named_addresses(&self) -> bool {
        self.candidates.any()
    }

    /// Bytes of a data channel message that the remote takes; `None` while unknown.
    pub(crate) fn remote_max_message_size(&self) -> Option<u64> {
        self.max_message_size
    }

    pub(crate) fn dropped(&self) -> Dropped {
        let mut dropped = self.dropped;
        dropped.candidates += self.candidates.dropped();
        dropped
    }

    /// Whether nothing is under way or wanted.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase == Phase::Stable
            && self.running.is_none()
            && self.waiting.is_empty()
            && !self.wants.anything()
    }

    /// Whether our offer waits for its answer.
    pub(crate) fn expects_answer(&self) -> bool {
        matches!(self.phase, Phase::OfferSent { .. })
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let held_until = self.meeting.held_until();
        match self.phase {
            Phase::OfferGathering { until } if self.running.is_none() => {
                Some(if self.gathered { held_until } else { until.max(held_until) })
            }
            Phase::Stable => self.meeting.yields_at(),
            Phase::AnswerGathering { until } if self.running.is_none() => {
                let until = if self.gathered { Duration::ZERO } else { until };
                Some(until.max(self.answers_from)).filter(|due| *due < Duration::MAX)
            }
            Phase::OfferSent { since, .. } if self.holds_an_offer() => {
                Some(since + COLLISION_LIMIT)
            }
            Phase::OfferSent { until, .. } => Some(until).filter(|until| *until < Duration::MAX),
            Phase::Cooling { until, .. } => Some(until),
            _ => None,
        }
    }

    /// The service is out of reach: the remote may see us leave.
    pub(crate) fn away(&mut self) {
        self.answers_from = Duration::MAX;
    }

    pub(crate) fn is_away(&self) -> bool {
        self.answers_from == Duration::MAX
    }

    /// It is there again, and so is the remote.
    pub(crate) fn returned(&mut self, now: Duration) {
        let answers = matches!(self.phase, Phase::AnswerGathering { .. })
            || matches!(self.running, Some(Running::ApplyOffer(_) | Running::Answer));
        self.answers_from = if answers { now + ANSWER_HOLD } else { Duration::ZERO };
    }

    /// A data channel exists that the remote must be told of.
    pub(crate) fn data_wanted(&mut self, now: Duration) {
        self.wants.data = true;
        self.advance(now);
    }

    /// Tracks were added or removed.
    pub(crate) fn tracks_changed(&mut self, now: Duration) {
        self.wants.tracks = true;
        self.advance(now);
    }

    /// The path shall be found anew. Before the first answer there is none, and some remotes cannot: then the
    /// whole connection is made anew.
    pub(crate) fn restart(&mut self, now: Duration) {
        if !self.is_established() && matches!(self.running, Some(Running::ApplyOffer(_))) {
            // The remote's first offer leads to a path, or to another connection.
            return;
        }
        let rebuilds = self.rebuilt_answers >= REBUILDING_REMOTE;
        if !self.is_established() || rebuilds {
            return self.rebuild(self.successor(), None);
        }
        self.wants.restart = true;
        self.advance(now);
    }

    /// The connection is beyond repair, or the remote's is gone.
    pub(crate) fn replace_connection(&mut self, now: Duration) {
        self.rebuild_when_due(now, self.successor(), None);
    }

    pub(crate) fn local_candidate(&mut self, now: Duration, candidate: IceCandidate) {
        if self.is_without_connection() {
            return;
        }
        match &self.sent {
            Some(sent) if !self.is_gathering() => {
                if !sdp::carries(&sent.sdp, &candidate.candidate) {
                    let candidate = completed(candidate, &sent.sdp);
                    self.outputs.push_back(Output::Send(Signal::Candidate(Some(candidate))));
                }
            }
            // The description that is about to leave carries it, or it leaves right behind.
            _ => self.trickle.push(candidate),
        }
        self.advance(now);
    }

    pub(crate) fn gathering_complete(&mut self, now: Duration) {
        if self.is_without_connection() {
            return;
        }
        self.gathered = true;
        self.advance(now);
    }

    /// A signal of the remote.
    pub(crate) fn signal(&mut self, now: Duration, signal: Signal) {
        if signal.size() > sdp::MAX_SDP_BYTES {
            self.dropped.overflow += 1;
            self.outputs.push_back(Output::Failed(Failure::too_large()));
            return;
        }
        if self.is_without_connection()
            && let Signal::Description(description) = signal
        {
            match description.kind {
                // The latest counts; what came before it belongs to what the remote has given up.
                DescriptionKind::Offer => {
                    let replaced = self.for_the_next.replace(description).is_some();
                    self.dropped.overflow += self.waiting.len() as u64 + u64::from(replaced);
                    self.waiting.clear();
                }
                DescriptionKind::Answer => self.dropped.stale_answers += 1,
            }
            return;
        }
        let waiting: usize = self.waiting.iter().map(Signal::size).sum();
        if self.waiting.len() >= MAX_WAITING_SIGNALS || waiting + signal.size() > MAX_WAITING_BYTES
        {
            self.dropped.overflow += 1;
            return;
        }
        self.waiting.push_back(signal);
        self.advance(now);
    }

    /// Time passed.
    pub(crate) fn timeout(&mut self, now: Duration) {
        if let Phase::OfferSent { since, until } = self.phase
            && now >= until
            && self.running.is_none()
        {
            // Once: the owner decides whether and when another follows.
            self.phase = Phase::OfferSent { since, until: Duration::MAX };
            self.outputs.push_back(Output::NoAnswer);
        }
        let unmet = self.is_idle() && !self.is_established();
        if self.meeting.yields(now, unmet) {
            self.outputs.push_back(Output::NothingToOffer);
        }
        if let Phase::Cooling { until, identity } = self.phase
            && now >= until
        {
            self.phase = Phase::Rebuilding;
            self.outputs.push_back(Output::Rebuild(identity));
        }
        self.advance(now);
    }

    /// The operation of the last [`Output::Do`] is done.
    pub(crate) fn done(&mut self, now: Duration, result: Result<Reply, Failure>) {
        let Some(running) = self.running.take() else { return };
        match (running, result) {
            // Its result belongs to a connection that is being replaced.
            _ if self.phase == Phase::Rebuilding => {}
            (Running::Offer, Ok(_)) => {
                self.phase = Phase::OfferGathering { until: now + GATHERING_WAIT };
            }
            (Running::Answer, Ok(_)) => {
                self.phase = Phase::AnswerGathering { until: now + GATHERING_WAIT };
            }
            (Running::ReadOffer, Ok(Reply::Description(offer))) => {
                self.phase = Phase::OfferSent { since: now, until: now + self.answer_wait };
                self.answer_wait = ANSWER_WAIT;
                self.send_description(offer);
            }
            (Running::ReadAnswer, Ok(Reply::Description(answer)))
                if self.adoption.is_under_way() =>
            {
                self.adopted(&answer);
            }
            // What changed while it was read is looked at first.
            (Running::ReadAnswer, Ok(Reply::Description(_)))
                if now < self.answers_from || self.replacing_offer().is_some() => {}
            (Running::ReadAnswer, Ok(Reply::Description(answer))) => {
                self.answers_from = Duration::ZERO;
                self.settle(&answer);
                self.send_description(answer);
            }
            (Running::RollBack, Ok(_)) => {
                self.wants.take_back();
                self.phase = Phase::Stable;
            }
            (Running::ApplyOffer(offer), Ok(_)) => {
                self.applied(&offer);
                self.run(Running::Answer, Op::Answer);
                self.gathered = false;
                // Not `advance`: the candidates that follow are taken once the answer is made.
                return;
            }
            (Running::ApplyAnswer(answer), Ok(_)) => {
                if self.is_established() {
                    // A later one, in the same connection.
                    self.rebuilt_answers = 0;
                }
                self.applied(&answer);
                self.wants.agreed();
                self.settle(&answer);
            }
            (Running::Candidate(_), Ok(_)) => {}
            (Running::Candidate(candidate), Err(failure)) => {
                self.outputs.push_back(Output::CandidateFailed(candidate, failure));
            }
            (Running::ApplyOffer(offer), Err(failure)) => {
                self.outputs.push_back(Output::Failed(failure));
                // On a used connection it may fit a new one: the remote may have begun anew. What it left
                // behind in this one is not known.
                let offer = Some(offer).filter(|_| self.is_established());
                return self.rebuild_when_due(now, self.successor(), offer);
            }
            (_, Err(failure)) => {
                self.outputs.push_back(Output::Failed(failure));
                return self.rebuild_when_due(now, self.successor(), None);
            }
            (_, Ok(_)) => {
                self.outputs.push_back(Output::Failed(Failure::internal("a reply was missing")));
                return self.rebuild_when_due(now, self.successor(), None);
            }
        }
        self.advance(now);
    }

    /// The owner has made a new connection; its channels and tracks are attached.
    pub(crate) fn rebuilt(&mut self, now: Duration) {
        if self.phase != Phase::Rebuilding {
            return;
        }
        self.phase = Phase::Stable;
        self.running = None;
        if let Some(offer) = self.for_the_next.take() {
            self.waiting.push_front(Signal::Description(offer));
        } else if !self.wants.anything() {
            self.adopt();
        }
        self.advance(now);
    }

    fn is_gathering(&self) -> bool {
        matches!(self.phase, Phase::OfferGathering { .. } | Phase::AnswerGathering { .. })
            || matches!(
                self.running,
                Some(Running::Offer | Running::Answer | Running::ApplyOffer(_) | Running::RollBack)
            )
    }

    fn run(&mut self, running: Running, op: Op) {
        self.running = Some(running);
        self.outputs.push_back(Output::Do(op));
    }

    /// Starts whatever can be started now.
    fn advance(&mut self, now: Duration) {
        while self.running.is_none() && self.step(now) {}
    }

    /// Whether something changed.
    fn step(&mut self, now: Duration) -> bool {
        match self.phase {
            Phase::Cooling { .. } | Phase::Rebuilding => false,
            Phase::OfferGathering { until } => {
                if self.offer_waits() {
                    // Nobody has seen ours: theirs is taken, whoever is polite.
                    self.run(Running::RollBack, Op::RollBack);
                } else if (self.gathered || now >= until) && now >= self.meeting.held_until() {
                    self.run(Running::ReadOffer, Op::LocalDescription);
                } else {
                    return false;
                }
                true
            }
            Phase::AnswerGathering { until } => {
                if let Some(at) = self.replacing_offer() {
                    self.pass_over(at);
                    self.take(now)
                } else if (self.gathered || now >= until) && now >= self.answers_from {
                    self.run(Running::ReadAnswer, Op::LocalDescription);
                    true
                } else {
                    matches!(self.waiting.front(), Some(Signal::Candidate(_))) && self.take(now)
                }
            }
            Phase::OfferSent { .. } if self.wants.restart && self.waiting.is_empty() => {
                // Its answer is not waited for any longer.
                self.run(Running::RollBack, Op::RollBack);
                true
            }
            Phase::OfferSent { since, .. }
                if now < since + COLLISION_LIMIT && self.holds_an_offer() =>
            {
                self.pass_over_what_was_given_up()
            }
            Phase::OfferSent { .. } => self.take(now),
            Phase::Stable if self.waiting.is_empty() && self.wants.anything() => {
                self.gathered = false;
                self.wants.offer();
                self.run(Running::Offer, Op::Offer { ice_restart: self.wants.restart_offered });
                true
            }
            Phase::Stable => self.take(now),
        }
    }

    /// Takes the next signal of the remote; whether there was one.
    fn take(&mut self, now: Duration) -> bool {
        match self.waiting.pop_front() {
            None => return false,
            Some(Signal::Candidate(candidate)) => {
                if let Some(candidate) = self.candidates.take(candidate, self.is_established()) {
                    self.run(Running::Candidate(candidate.clone()), Op::AddCandidate(candidate));
                }
            }
            Some(Signal::Description(description)) => match SdpFacts::read(&description.sdp) {
                None => self.outputs.push_back(Output::Failed(Failure::too_large())),
                Some(facts) => {
                    self.holds_to_certificate = facts.is_firefox;
                    match description.kind {
                        DescriptionKind::Offer => self.take_offer(now, description, &facts),
                        DescriptionKind::Answer => self.take_answer(description, &facts),
                    }
                }
            },
        }
        true
    }

    fn take_offer(&mut self, now: Duration, offer: SessionDescription, facts: &SdpFacts) {
        if self.is_of_another(facts) {
            return self.rebuild_when_due(now, self.for_a_new_remote(), Some(offer));
        }
        if let Phase::OfferSent { since, .. } = self.phase {
            if self.polite || now >= since + COLLISION_LIMIT {
                // First ours is taken back, then this one is taken again.
                self.waiting.push_front(Signal::Description(offer));
                self.run(Running::RollBack, Op::RollBack);
            } else {
                self.dropped.ignored_offers += 1;
                self.candidates.ignore(facts.ice_ufrag.clone());
            }
            return;
        }
        if facts.lines.is_empty() && offer.sdp.starts_with("v=0") {
            self.empty_offers += 1;
            if self.empty_offers > MAX_EMPTY_OFFERS {
                self.dropped.ignored_offers += 1;
                return;
            }
            // Of a new connection of the Python SDK that carries nothing: it waits for its answer and takes
            // no offer until then. Engines do not know what to do with it.
            let answer =
                SessionDescription { kind: DescriptionKind::Answer, sdp: EMPTY_ANSWER.to_owned() };
            return self.outputs.push_back(Output::Send(Signal::Description(answer)));
        }
        self.candidates.begin(facts);
        self.run(Running::ApplyOffer(offer.clone()), Op::ApplyRemote(offer));
    }

    fn take_answer(&mut self, answer: SessionDescription, facts: &SdpFacts) {
        if !matches!(self.phase, Phase::OfferSent { .. }) {
            self.dropped.stale_answers += 1;
            let other = facts.ice_ufrag.is_some() && !self.candidates.is_of(facts);
            if other && self.is_established() && self.resyncs < MAX_RESYNCS {
                // The remote goes by an offer that we have taken back: both begin anew.
                self.resyncs += 1;
                self.wants.restart = true;
            }
            return;
        }
        if self.has_new_key(facts) {
            // At once: it answers our own offer, so it comes no more often than that.
            self.rebuilt_answers += 1;
            self.answer_wait = REBUILT_ANSWER_WAIT;
            self.rebuild(self.for_a_new_remote(), None);
            if self.rebuilt_answers < REBUILDING_REMOTE {
                self.adoption = Adoption::of_answer(answer);
            }
            return;
        }
        self.candidates.begin(facts);
        self.run(Running::ApplyAnswer(answer.clone()), Op::ApplyRemote(answer));
    }

    fn applied(&mut self, description: &SessionDescription) {
        let Some(facts) = SdpFacts::read(&description.sdp) else { return };
        self.meeting.over();
        self.fingerprint = facts.fingerprint;
        self.lines = facts.lines;
        self.max_message_size = facts.max_message_size;
        for candidate in self.candidates.early() {
            self.waiting.push_front(Signal::Candidate(Some(candidate)));
        }
    }

    /// Offer and answer are complete.
    fn settle(&mut self, answer: &SessionDescription) {
        // A restart gives both sides a new generation: one that was wanted since it began has happened with it.
        self.wants.restart &= !self.candidates.begins_generation();
        self.is_stable_with(answer);
        self.outputs.push_back(Output::Negotiated);
    }

    fn is_stable_with(&mut self, answer: &SessionDescription) {
        self.phase = Phase::Stable;
        self.wants.has_data = SdpFacts::read(&answer.sdp).is_some_and(|facts| facts.has_data);
    }

    fn send_description(&mut self, description: SessionDescription) {
        self.outputs.push_back(Output::Send(Signal::Description(description.clone())));
        for candidate in std::mem::take(&mut self.trickle) {
            if !sdp::carries(&description.sdp, &candidate.candidate) {
                let candidate = completed(candidate, &description.sdp);
                self.outputs.push_back(Output::Send(Signal::Candidate(Some(candidate))));
            }
        }
        self.sent = Some(description);
    }
}
