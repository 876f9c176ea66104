//! Two negotiations, two engines that forbid what WebRTC forbids, and a line between them that a script
//! delays, reorders against the operations, and cuts: for the property tests and for the fuzzer.
#![allow(clippy::unwrap_used)] // a check: it fails by panicking

use std::collections::VecDeque;
use std::time::Duration;

use super::*;

/// An engine's signalling state and sessions, as far as a negotiation can tell. Panics when it is misused.
#[derive(Debug)]
pub(in crate::peer) struct Engine {
    /// Its key: of this connection alone, or that of the one before it, too.
    pub(in crate::peer) key: u32,
    /// Tells this connection from all others.
    pub(in crate::peer) life: u32,
    /// The connection that it did a handshake with: it takes part in no other one.
    pub(in crate::peer) bound_to: Option<u32>,
    generation: u32,
    local: Option<u32>,
    pub(in crate::peer) remote: Option<(u32, u32)>,
    pending_local: Option<u32>,
    pending_remote: bool,
    pub(in crate::peer) name: char,
}

impl Engine {
    pub(in crate::peer) fn new(name: char, key: u32) -> Self {
        let (local, remote, pending_local, bound_to) = (None, None, None, None);
        let (life, generation, pending_remote) = (key, 0, false);
        Self { key, life, bound_to, generation, local, remote, pending_local, pending_remote, name }
    }

    /// The engine of a connection in this one's place; `key` is of nobody yet.
    pub(in crate::peer) fn replaced(&self, key: u32, identity: Identity) -> Self {
        match identity {
            Identity::New => Self::new(self.name, key),
            Identity::Same => {
                Self { key: self.key, generation: self.generation, ..Self::new(self.name, key) }
            }
        }
    }

    fn sdp(&self, generation: u32) -> String {
        format!(
            "a=fingerprint:{}{}\nm=application 9 x\na=ice-ufrag:{}{}g{}\na=mid:0\n",
            self.name, self.key, self.name, self.key, generation
        )
    }

    fn read(sdp: &str) -> (u32, u32) {
        let fragment = SdpFacts::read(sdp).unwrap().ice_ufrag.unwrap();
        let (key, generation) = fragment[1..].split_once('g').unwrap();
        (key.parse().unwrap(), generation.parse().unwrap())
    }

    /// Whether both descriptions are agreed on with another's present session and generation, and there was no
    /// handshake with one before it that had the same key.
    pub(in crate::peer) fn knows(&self, other: &Self) -> bool {
        let agreed = self
            .remote
            .is_some_and(|remote| Some(remote.1) == other.local && remote.0 == other.key);
        agreed && self.bound_to.is_none_or(|life| life == other.life)
    }

    /// The handshake with another is done.
    pub(in crate::peer) fn bind(&mut self, to: u32) {
        self.bound_to = Some(to);
    }

    pub(in crate::peer) fn run(&mut self, op: &Op) -> Reply {
        let stable = self.pending_local.is_none() && !self.pending_remote;
        match op {
            Op::Offer { ice_restart } => {
                assert!(stable, "offer while not stable");
                if *ice_restart || self.local.is_none() {
                    self.generation += 1;
                }
                self.pending_local = Some(self.generation);
            }
            Op::RollBack => {
                self.pending_local.take().expect("nothing to roll back");
            }
            Op::ApplyRemote(description) => {
                let remote = Self::read(&description.sdp);
                match description.kind {
                    DescriptionKind::Offer => {
                        assert!(stable, "an offer applied while not stable");
                        self.pending_remote = true;
                        self.remote = Some(remote);
                    }
                    DescriptionKind::Answer => {
                        self.local = Some(self.pending_local.take().expect("an answer to nothing"));
                        self.remote = Some(remote);
                    }
                }
            }
            Op::Answer => {
                assert!(std::mem::take(&mut self.pending_remote), "nothing to answer");
                self.generation += 1;
                self.local = Some(self.generation);
            }
            Op::AddCandidate(_) => assert!(self.remote.is_some(), "a candidate too early"),
            Op::LocalDescription => {
                let (kind, generation) = match self.pending_local {
                    Some(generation) => (DescriptionKind::Offer, generation),
                    None => (DescriptionKind::Answer, self.local.expect("no description")),
                };
                let sdp = self.sdp(generation);
                return Reply::Description(SessionDescription { kind, sdp });
            }
        }
        Reply::Nothing
    }
}

#[derive(Debug)]
struct Side {
    negotiation: Negotiation,
    engine: Engine,
    op: Option<Op>,
    rebuilding: Option<Identity>,
    no_answer: bool,
    sent: u32,
    descriptions: u32,
}

impl Side {
    fn new(name: char, polite: bool, key: u32) -> Self {
        let (negotiation, engine) = (Negotiation::new(polite), Engine::new(name, key));
        Self {
            negotiation,
            engine,
            op: None,
            rebuilding: None,
            no_answer: false,
            sent: 0,
            descriptions: 0,
        }
    }
}

/// What a script can do, one byte each; the lowest bit says to which side.
pub(super) struct World {
    now: Duration,
    sides: [Side; 2],
    /// Signals under way from each side.
    lines: [VecDeque<Signal>; 2],
    keys: u32,
}

impl World {
    pub(super) fn new() -> Self {
        let sides = [Side::new('a', true, 1), Side::new('b', false, 2)];
        Self { now: Duration::ZERO, sides, lines: Default::default(), keys: 2 }
    }

    fn collect(&mut self, at: usize) {
        while let Some(output) = self.sides[at].negotiation.poll_output() {
            let side = &mut self.sides[at];
            match output {
                Output::Do(op) => {
                    assert!(side.op.is_none(), "two operations at once");
                    side.op = Some(op);
                }
                Output::Send(signal) => {
                    side.sent += 1;
                    side.descriptions += u32::from(matches!(signal, Signal::Description(_)));
                    self.lines[at].push_back(signal);
                }
                Output::Rebuild(identity) => {
                    side.rebuilding = Some(identity);
                    side.op = None;
                }
                Output::NoAnswer => side.no_answer = true,
                Output::NothingToOffer | Output::Negotiated | Output::CandidateFailed(..) => {}
                Output::Failed(failure) => panic!("{failure:?}"),
            }
        }
    }

    /// One operation of the engine, or the making of a new connection.
    fn work(&mut self, at: usize) -> bool {
        let side = &mut self.sides[at];
        if let Some(identity) = side.rebuilding.take() {
            self.keys += 1;
            side.engine = side.engine.replaced(self.keys, identity);
            side.negotiation.data_wanted(self.now);
            side.negotiation.rebuilt(self.now);
        } else if let Some(op) = side.op.take() {
            let reply = side.engine.run(&op);
            side.negotiation.done(self.now, Ok(reply));
            if self.connected() {
                // The handshake is done as soon as it can be.
                let [one, two] = &mut self.sides;
                one.engine.bind(two.engine.life);
                two.engine.bind(one.engine.life);
            }
        } else {
            return false;
        }
        self.collect(at);
        true
    }

    fn deliver(&mut self, to: usize) -> bool {
        let Some(signal) = self.lines[1 - to].pop_front() else { return false };
        self.sides[to].negotiation.signal(self.now, signal);
        self.collect(to);
        true
    }

    fn each(&mut self, at: usize, action: impl FnOnce(&mut Negotiation, Duration)) {
        action(&mut self.sides[at].negotiation, self.now);
        self.collect(at);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for at in 0..2 {
            self.each(at, Negotiation::timeout);
        }
    }

    pub(super) fn act(&mut self, byte: u8) {
        let at = usize::from(byte & 1);
        match (byte >> 1) % 16 {
            0..=3 => drop(self.work(at)),
            4..=6 => drop(self.deliver(at)),
            7 => self.each(at, Negotiation::data_wanted),
            8 => self.each(at, Negotiation::gathering_complete),
            9 => self.each(at, Negotiation::restart),
            10 => self.pass(GATHERING_WAIT),
            11 => self.each(at, |negotiation, now| {
                let candidate = format!("candidate:{now:?} 1 udp 1 127.0.0.1 9 typ host");
                negotiation.local_candidate(now, IceCandidate { candidate, ..Default::default() });
            }),
            // The line breaks: what was under way is lost.
            12 => self.lines[at].clear(),
            // The app of one side begins anew under the same id.
            13 => self.each(at, Negotiation::replace_connection),
            14 => self.each(at, Negotiation::tracks_changed),
            _ => self.pass(ANSWER_WAIT),
        }
    }

    /// Everything under way arrives and is done, a few times over.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let moved = self.work(0) | self.work(1) | self.deliver(0) | self.deliver(1);
            if moved {
                continue;
            }
            let next = |side: &Side| side.negotiation.next_deadline();
            let deadline = self.sides.iter().filter_map(next).min();
            // The longest pause before a connection is made anew is among them.
            match deadline.filter(|deadline| *deadline < Duration::MAX) {
                Some(deadline) => self.pass(deadline.saturating_sub(self.now)),
                None => return,
            }
        }
        panic!("it does not come to rest: {:?}", self.sides);
    }

    fn connected(&self) -> bool {
        let [one, two] = &self.sides;
        one.engine.knows(&two.engine) && two.engine.knows(&one.engine)
    }

    /// Whatever happened: with what a lost path and an unanswered offer lead to, both end connected.
    pub(super) fn end(&mut self) {
        self.each(0, Negotiation::data_wanted);
        self.settle();
        for round in 0..12 {
            if self.connected() && self.sides.iter().all(|side| !side.negotiation.expects_answer())
            {
                return;
            }
            let before = self.descriptions();
            // No path is found: the ladder of either side restarts.
            self.each(round % 2, Negotiation::restart);
            self.settle();
            // Candidates are as many as the script found.
            let cost = self.descriptions() - before;
            assert!(cost < 40, "a restart cost {cost} descriptions");
        }
        panic!("not connected: {:#?}", self.sides);
    }

    fn descriptions(&self) -> u32 {
        self.sides.iter().map(|side| side.descriptions).sum()
    }

    #[cfg(test)]
    pub(super) fn signals(&self) -> u32 {
        self.sides.iter().map(|side| side.sent).sum()
    }

    #[cfg(test)]
    pub(super) fn both_want_data(&mut self) {
        self.each(0, Negotiation::data_wanted);
        self.each(1, Negotiation::data_wanted);
    }
}

/// Runs the history that the bytes stand for, one byte a step.
pub(crate) fn run(script: &[u8]) {
    let mut world = World::new();
    for byte in script {
        world.act(*byte);
    }
    world.end();
}
