//! A roster, and a service and an owner around it that a script drives: for the property tests and for the
//! fuzzer.
//!
//! Whatever happens: a peer is joined before anything of it is delivered, leaves once and only if it joined,
//! departs and returns in turn, the room stays within its limit, and in the end the roster is what the service
//! says.
#![allow(clippy::unwrap_used)] // a check: it fails by panicking

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::roster::{MAX_REMOTES, Output, Roster};
use crate::wire::PresencePeer;

/// Steps of one script.
const MAX_STEPS: usize = 400;
/// Ids that a script names, so that they meet again.
const IDS: u8 = 12;

/// What the owner knows of a peer that joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Known {
    #[default]
    Present,
    Departing,
    /// The owner owes a verdict.
    Returned,
}

struct World {
    now: Duration,
    roster: Roster<u64>,
    own: String,
    away: bool,
    reconciling: bool,
    known: BTreeMap<String, Known>,
    /// Data that was sent, and the data that was delivered.
    sent: u64,
    delivered: BTreeSet<u64>,
}

fn id(n: u8) -> String {
    match n % IDS {
        0 => "me".into(),
        1 => "me again".into(),
        n => format!("p{n}"),
    }
}

fn peer(id: String) -> PresencePeer {
    PresencePeer { peer_id: id, metadata: None }
}

/// The ids whose bits are set.
fn set(bits: u16) -> Vec<PresencePeer> {
    (0..IDS).filter(|n| bits & (1 << n) != 0).map(|n| peer(id(n))).collect()
}

impl World {
    fn new() -> Self {
        Self {
            now: Duration::ZERO,
            roster: Roster::new("me"),
            own: "me".into(),
            away: false,
            reconciling: false,
            known: BTreeMap::new(),
            sent: 0,
            delivered: BTreeSet::new(),
        }
    }

    fn collect(&mut self) {
        while let Some(output) = self.roster.poll_output() {
            match output {
                Output::Joined(peer) => {
                    assert_ne!(peer.peer_id, self.own, "we are no remote of ours");
                    let before = self.known.insert(peer.peer_id, Known::Present);
                    assert_eq!(before, None, "joined twice");
                }
                Output::Left(id) => assert!(self.known.remove(&id).is_some(), "{id} left twice"),
                Output::Survived(id) => {
                    let known = self.known.get_mut(&id).expect("a survivor has joined");
                    assert_ne!(*known, Known::Departing, "{id} survives while it is missing");
                    *known = Known::Present;
                }
                Output::Departing(id) => {
                    let before = self.known.insert(id, Known::Departing);
                    assert_eq!(before, Some(Known::Present), "departs while it is there");
                }
                Output::Returned(id) => {
                    let before = self.known.insert(id, Known::Returned);
                    assert_eq!(before, Some(Known::Departing), "returns after it departed");
                }
                Output::Deliver { from, data } => {
                    assert!(self.known.contains_key(&from), "data of {from} before it joined");
                    assert!(self.delivered.insert(data), "delivered twice");
                }
                Output::Reconciled | Output::ReconcileTimeout => self.reconciling = false,
                Output::Resubscribe => assert!(!self.away, "nobody is there to be asked"),
            }
        }
        assert!(self.known.len() <= MAX_REMOTES);
        for id in self.known.keys() {
            assert!(self.roster.contains(id));
        }
    }

    fn presence(&mut self, snapshot: bool, joined: &[PresencePeer], left: &[PresencePeer], c: u8) {
        if self.away {
            return;
        }
        let connected = |id: &str| id.bytes().last().unwrap_or(0) & c != 0;
        self.roster.presence(self.now, snapshot, joined, left, connected);
        self.collect();
    }

    fn back(&mut self, own: &str) {
        self.away = false;
        self.reconciling = true;
        self.own = own.to_owned();
        self.roster.back(self.now, own);
        self.collect();
    }

    fn data(&mut self, from: &str) {
        self.sent += 1;
        self.roster.data(self.now, from, self.sent, 1_000);
        self.collect();
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let mut steps = 0;
        while let Some(due) = self.roster.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.roster.timeout(self.now);
            self.collect();
            steps += 1;
            assert!(steps < 10_000, "spins");
        }
        self.now = until;
    }

    fn act(&mut self, [kind, a, b]: [u8; 3]) {
        let bits = u16::from_le_bytes([a, b]);
        match kind % 12 {
            0 => self.presence(true, &set(bits), &[], kind >> 4),
            1 => self.presence(false, &set(bits), &[], kind >> 4),
            2 => self.presence(false, &[], &set(bits), kind >> 4),
            3 => self.presence(false, &set(u16::from(a)), &set(u16::from(b)), kind >> 4),
            4 => self.data(&id(a)),
            5 => (0..b).for_each(|n| self.data(&format!("stranger {a} {n}"))),
            6 => {
                self.away = true;
                self.roster.away();
                self.collect();
            }
            7 => self.back(&id(a % 2)),
            8 => self.pass(Duration::from_millis(u64::from(bits))),
            9 => {
                self.roster.gone(&id(a));
                self.collect();
            }
            10 => {
                self.roster.same(&id(a));
                self.collect();
            }
            _ => {
                let many: Vec<_> = (0..u16::from(a) * 2).map(|n| peer(format!("q{n}"))).collect();
                match b % 2 {
                    0 => self.presence(false, &many, &[], 0),
                    _ => self.presence(false, &[], &many, 0),
                }
            }
        }
    }

    /// The service says for good who is there, and every verdict is given.
    fn end(&mut self) {
        let there = [peer("p2".into()), peer("p3".into()), peer(self.own.clone())];
        self.roster.away();
        self.away = true;
        let own = self.own.clone();
        self.back(&own);
        self.presence(true, &there, &[], u8::MAX);
        assert!(!self.reconciling);
        let owed = |(id, known): (&String, &Known)| (*known == Known::Returned).then(|| id.clone());
        let owed: Vec<String> = self.known.iter().filter_map(owed).collect();
        for id in owed {
            self.roster.same(&id);
        }
        self.collect();
        // Longer than anybody may be missing.
        self.pass(Duration::from_secs(60));
        // Those whose places were taken by the missing.
        self.presence(false, &there, &[], u8::MAX);
        let known: Vec<&str> = self.known.keys().map(String::as_str).collect();
        assert_eq!(known, ["p2", "p3"]);
        assert_eq!(self.roster.next_deadline(), None, "nothing is left to wait for");
        let answered = self.delivered.len() as u64 + self.roster.dropped().data;
        assert_eq!(answered, self.sent, "data is delivered or counted");
    }
}

/// Runs the history that the bytes stand for, three bytes a step.
pub(crate) fn run(bytes: &[u8]) {
    let mut world = World::new();
    for step in bytes.chunks_exact(3).take(MAX_STEPS) {
        world.act([step[0], step[1], step[2]]);
    }
    world.end();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn whatever_the_service_says(script in proptest::collection::vec(any::<u8>(), 0..300)) {
            super::run(&script);
        }
    }
}
