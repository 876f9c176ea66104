//! Five members of a room with the pure machines of the real one, a service that forgets and delays, and paths
//! that break: in virtual time, by a script of faults. Whatever happens, all pairs end connected, and then
//! nobody says anything any more. Of some pairs only one has anything to offer.
//!
//! The wiring follows `room` and `remote`; the engine is the model that the negotiation is tested with.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::departure::{Departure, SignsOfLife, Verdict};
use super::ice_restart::{self, IceRestart};
use super::negotiation::model::Engine;
use super::negotiation::{Identity, Negotiation, Op, Output, Signal};
use super::roster::{self, Roster};
use crate::wire::PresencePeer;

const MEMBERS: usize = 5;
const TICK: Duration = Duration::from_millis(50);
const SILENT_AFTER: Duration = Duration::from_secs(3);
const FAILED_AFTER: Duration = Duration::from_secs(6);

enum Frame {
    Presence { snapshot: bool, joined: Vec<usize>, left: Vec<usize> },
    Signal { from: usize, signal: Signal },
}

/// One member's side of a pair.
struct Link {
    negotiation: Negotiation,
    ladder: IceRestart,
    departure: Departure,
    engine: Engine,
    op: Option<Op>,
    rebuilding: Option<Identity>,
    connected: bool,
    /// Whether there is a connection that was up once, whatever its path does.
    linked: bool,
    /// Since when nothing comes, or since an agreement that has not led to a path yet.
    silent_since: Option<Duration>,
    failure_told: bool,
    path_told: bool,
    signs: SignsOfLife,
}

struct Member {
    online: bool,
    back_at: Duration,
    roster: Roster<Signal>,
    links: BTreeMap<usize, Link>,
    line: VecDeque<(Duration, Frame)>,
}

struct World {
    now: Duration,
    members: Vec<Member>,
    broken: BTreeMap<(usize, usize), Duration>,
    keys: u32,
    signals: u32,
    last_signal: Duration,
}

fn id(member: usize) -> String {
    format!("m{member}")
}

fn peer(member: usize) -> PresencePeer {
    PresencePeer { peer_id: id(member), metadata: None }
}

/// Whether a member has a channel for another. Of each pair one or both have, and as often the one as the other.
fn wants(at: usize, other: usize) -> bool {
    match (at + other) % 3 {
        0 => true,
        1 => at < other,
        _ => at > other,
    }
}

fn number(id: &str) -> usize {
    id[1..].parse().unwrap()
}

impl World {
    fn new() -> Self {
        let members = (0..MEMBERS).map(|at| Member {
            online: false,
            back_at: Duration::from_millis(100 * at as u64),
            roster: Roster::new(&id(at)),
            links: BTreeMap::new(),
            line: VecDeque::new(),
        });
        Self {
            now: Duration::ZERO,
            members: members.collect(),
            broken: BTreeMap::new(),
            keys: 0,
            signals: 0,
            last_signal: Duration::ZERO,
        }
    }

    /// Later than what is already under way: a line keeps its order.
    fn put(&mut self, to: usize, frame: Frame) {
        let delay = TICK * (1 + (self.signals + to as u32) % 3);
        let line = &mut self.members[to].line;
        let at = line.back().map_or(self.now + delay, |(last, _)| (*last).max(self.now + delay));
        line.push_back((at, frame));
    }

    fn tell_others(&mut self, of: usize, joined: bool) {
        for to in (0..MEMBERS).filter(|to| *to != of) {
            if self.members[to].online {
                let (yes, no) = (vec![of], Vec::new());
                let (joined, left) = if joined { (yes, no) } else { (no, yes) };
                self.put(to, Frame::Presence { snapshot: false, joined, left });
            }
        }
    }

    fn snapshot(&mut self, to: usize) {
        let there = (0..MEMBERS).filter(|at| *at != to && self.members[*at].online).collect();
        self.put(to, Frame::Presence { snapshot: true, joined: there, left: Vec::new() });
    }

    fn go_offline(&mut self, at: usize, away: Duration) {
        let back_at = self.now + away;
        let member = &mut self.members[at];
        member.back_at = back_at;
        if std::mem::take(&mut member.online) {
            member.line.clear();
            member.roster.away();
            let now = self.now;
            for link in member.links.values_mut() {
                link.ladder.signalling(now, false);
                link.negotiation.away();
            }
            self.tell_others(at, false);
        }
    }

    fn come_back(&mut self, at: usize) {
        let (now, member) = (self.now, &mut self.members[at]);
        if !member.online && now >= member.back_at {
            member.online = true;
            member.roster.back(now, &id(at));
            self.tell_others(at, true);
            self.snapshot(at);
        }
    }

    fn new_link(&mut self, at: usize, other: usize) {
        self.keys += 1;
        let polite = id(at) < id(other);
        let mut negotiation = Negotiation::new(polite);
        negotiation.met(self.now);
        if wants(at, other) {
            negotiation.data_wanted(self.now);
        }
        let mut ladder = IceRestart::new(polite);
        ladder.signalling(self.now, self.members[at].online);
        let engine = Engine::new(char::from(b'a' + at as u8), self.keys);
        let link = Link {
            negotiation,
            ladder,
            departure: Departure::default(),
            engine,
            op: None,
            rebuilding: None,
            connected: false,
            linked: false,
            silent_since: None,
            failure_told: false,
            path_told: false,
            signs: SignsOfLife::default(),
        };
        self.members[at].links.insert(other, link);
    }

    /// A connection ended: whoever did a handshake with it hears of that, if there is a path.
    fn ended(&mut self, at: usize, other: usize, life: u32) {
        let (now, broken) = (self.now, self.is_broken(at, other));
        if let Some(link) = self.members[other].links.get_mut(&at)
            && !broken
            && link.engine.bound_to == Some(life)
        {
            link.departure.ended();
            link.negotiation.replace_connection(now);
        }
    }

    fn is_broken(&self, one: usize, two: usize) -> bool {
        self.broken.get(&(one.min(two), one.max(two))).is_some_and(|until| self.now < *until)
    }

    fn receive(&mut self, at: usize) {
        loop {
            let (now, member) = (self.now, &mut self.members[at]);
            match member.line.front() {
                Some((due, _)) if *due <= now && member.online => {}
                _ => return,
            }
            let Some((_, frame)) = member.line.pop_front() else { return };
            match frame {
                Frame::Presence { snapshot, joined, left } => {
                    let peers = |all: &[usize]| all.iter().copied().map(peer).collect::<Vec<_>>();
                    let (links, roster) = (&member.links, &mut member.roster);
                    let connected =
                        |id: &str| links.get(&number(id)).is_some_and(|link| link.linked);
                    roster.presence(now, snapshot, &peers(&joined), &peers(&left), connected);
                }
                Frame::Signal { from, signal } => member.roster.data(now, &id(from), signal, 100),
            }
            self.settle_roster(at);
        }
    }

    fn link(&mut self, at: usize, id: &str) -> &mut Link {
        self.members[at].links.get_mut(&number(id)).unwrap()
    }

    fn settle_roster(&mut self, at: usize) {
        let now = self.now;
        while let Some(output) = self.members[at].roster.poll_output() {
            match output {
                roster::Output::Joined(peer) => self.new_link(at, number(&peer.peer_id)),
                roster::Output::Left(id) => {
                    let other = number(&id);
                    let gone = self.members[at].links.remove(&other).unwrap();
                    self.ended(at, other, gone.engine.life);
                }
                roster::Output::Survived(id) => {
                    let link = self.link(at, &id);
                    link.ladder.returned(now);
                    link.negotiation.returned(now);
                    // Without a description there is no connection here.
                    if !link.linked && wants(at, number(&id)) {
                        link.negotiation.replace_connection(now);
                    } else if !link.linked && link.engine.remote.is_some() {
                        link.ladder.expects_offer(now);
                    } else if link.negotiation.expects_answer() {
                        link.negotiation.restart(now);
                    }
                }
                roster::Output::Departing(id) => {
                    let link = self.link(at, &id);
                    link.departure.missing(link.linked, !link.connected);
                }
                roster::Output::Returned(id) => {
                    let link = self.link(at, &id);
                    link.departure.returned(now, link.signs);
                }
                roster::Output::Deliver { from, data } => {
                    let link = self.link(at, &from);
                    link.signs.signals += 1;
                    link.negotiation.signal(now, data);
                }
                roster::Output::Reconciled => {
                    let links = self.members[at].links.values_mut();
                    links.for_each(|link| link.ladder.signalling(now, true));
                }
                roster::Output::Resubscribe => self.snapshot(at),
                roster::Output::ReconcileTimeout => panic!("the service answers"),
            }
        }
    }

    /// Does what machines of one side of a pair want, until they want nothing more in this tick.
    fn settle_link(&mut self, at: usize, other: usize) {
        let now = self.now;
        loop {
            let online = self.members[at].online;
            let Some(link) = self.members[at].links.get_mut(&other) else { return };
            match link.ladder.poll_output() {
                Some(ice_restart::Output::Restart) => {
                    link.negotiation.restart(now);
                    continue;
                }
                Some(ice_restart::Output::Exhausted) => panic!("no path for two minutes"),
                None => {}
            }
            let Some(output) = link.negotiation.poll_output() else { return };
            match output {
                Output::Do(op) => {
                    assert!(link.op.is_none(), "two operations at once");
                    link.op = Some(op);
                }
                Output::Rebuild(identity) => {
                    link.op = None;
                    link.rebuilding = Some(identity);
                    link.departure.ended();
                    link.connected = false;
                    link.linked = false;
                    (link.silent_since, link.failure_told) = (None, false);
                    let life = link.engine.life;
                    self.ended(at, other, life);
                }
                Output::Send(signal) => {
                    self.signals += 1;
                    self.last_signal = now;
                    if online && self.members[other].online {
                        self.put(other, Frame::Signal { from: at, signal });
                    }
                }
                Output::Negotiated => {
                    link.ladder.negotiated(now);
                    link.failure_told = false;
                    link.path_told = false;
                    if !link.connected {
                        link.silent_since = Some(now);
                    }
                }
                Output::NoAnswer => link.ladder.lost(now),
                Output::Failed(failure) => panic!("{failure:?}"),
                Output::CandidateFailed(..) | Output::NothingToOffer => {}
            }
        }
    }

    /// One operation of the engine, or the making of a connection.
    fn work(&mut self, at: usize, other: usize) {
        let now = self.now;
        let Some(link) = self.members[at].links.get_mut(&other) else { return };
        if let Some(identity) = link.rebuilding.take() {
            self.keys += 1;
            let identity = link.negotiation.identity(identity, wants(at, other));
            link.engine = link.engine.replaced(self.keys, identity);
            if wants(at, other) {
                link.negotiation.data_wanted(now);
            }
            link.ladder.rebuilt(now);
            link.negotiation.rebuilt(now);
            if link.negotiation.is_idle() {
                link.ladder.rest();
            }
        } else if let Some(op) = link.op.take() {
            let reply = link.engine.run(&op);
            link.negotiation.done(now, Ok(reply));
            // Candidates are found at once.
            link.negotiation.gathering_complete(now);
        }
    }

    fn timers(&mut self, at: usize, other: usize) {
        let now = self.now;
        let Some(link) = self.members[at].links.get_mut(&other) else { return };
        if link.negotiation.next_deadline().is_some_and(|due| due <= now) {
            link.negotiation.timeout(now);
        }
        if link.ladder.next_deadline().is_some_and(|due| due <= now) {
            link.ladder.timeout(now);
        }
        if let Some(verdict) = link.departure.verdict(now, link.signs) {
            if verdict == Verdict::Silent {
                link.negotiation.restart(now);
            }
            let same = verdict != Verdict::Gone;
            let roster = &mut self.members[at].roster;
            if same {
                roster.same(&id(other));
            } else {
                roster.gone(&id(other));
            }
            self.settle_roster(at);
        }
    }

    /// Whether both ends agree on each other, and datagrams pass.
    fn has_path(&self, one: usize, two: usize) -> bool {
        let (here, there) = (self.members[one].links.get(&two), self.members[two].links.get(&one));
        let (Some(here), Some(there)) = (here, there) else { return false };
        !self.is_broken(one, two)
            && here.engine.knows(&there.engine)
            && there.engine.knows(&here.engine)
    }

    fn path(&mut self, at: usize, other: usize) {
        let (now, up) = (self.now, self.has_path(at, other));
        let theirs = self.members[other].links.get(&at).map(|link| link.engine.life);
        let Some(link) = self.members[at].links.get_mut(&other) else { return };
        if let Some(theirs) = theirs.filter(|_| up) {
            link.engine.bind(theirs);
            link.signs.received += 1;
            link.silent_since = None;
            link.failure_told = false;
            link.connected = true;
            link.linked = true;
            // After each agreement, as the engine tells it.
            if !std::mem::replace(&mut link.path_told, true) {
                link.ladder.found();
            }
            return;
        }
        if link.connected {
            link.silent_since.get_or_insert(now);
        }
        link.path_told &= link.silent_since.is_none();
        let silent = link.silent_since.map_or(Duration::ZERO, |since| now - since);
        if silent >= SILENT_AFTER {
            link.departure.unheard();
            if std::mem::replace(&mut link.connected, false) {
                link.ladder.silent(now);
            }
        }
        if silent >= FAILED_AFTER && !std::mem::replace(&mut link.failure_told, true) {
            link.ladder.lost(now);
        }
    }

    fn tick(&mut self) {
        self.now += TICK;
        for at in 0..MEMBERS {
            self.come_back(at);
            self.settle_roster(at);
            self.receive(at);
            let now = self.now;
            if self.members[at].roster.next_deadline().is_some_and(|due| due <= now) {
                self.members[at].roster.timeout(now);
                self.settle_roster(at);
            }
            for other in (0..MEMBERS).filter(|other| *other != at) {
                self.work(at, other);
                self.settle_link(at, other);
                self.timers(at, other);
                self.path(at, other);
                self.settle_link(at, other);
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        for _ in 0..(time.as_millis() / TICK.as_millis()) {
            self.tick();
        }
    }

    fn fault(&mut self, byte: u8) {
        let (one, other) = (usize::from(byte / 6) % MEMBERS, usize::from(byte / 30) % MEMBERS);
        let away = Duration::from_millis(300 + u64::from(byte) * 9);
        match byte % 6 {
            0 => self.go_offline(one, away),
            1 => {
                let pair = (one.min(other), one.max(other));
                self.broken.insert(pair, self.now + Duration::from_secs(8));
            }
            // The service restarts.
            2 => (0..MEMBERS).for_each(|at| self.go_offline(at, away / (at as u32 + 1))),
            3 => {
                self.go_offline(one, away);
                let now = self.now;
                let links = self.members[one].links.values_mut();
                links.for_each(|link| link.ladder.network_changed(now));
            }
            // The app ends without goodbye and starts again under the same id.
            4 => {
                self.go_offline(one, away);
                self.members[one].links.clear();
                self.members[one].roster = Roster::new(&id(one));
            }
            // Its network is gone, for up to ten seconds.
            _ => {
                let until = self.now + 4 * away;
                self.go_offline(one, 4 * away);
                for other in (0..MEMBERS).filter(|other| *other != one) {
                    self.broken.insert((one.min(other), one.max(other)), until);
                }
            }
        }
        self.pass(Duration::from_millis(100 + u64::from(byte) * 20));
    }

    fn all_connected(&self) -> bool {
        (0..MEMBERS).all(|at| {
            let others = (0..MEMBERS).filter(|other| *other != at);
            let is = |other: usize| {
                let link = self.members[at].links.get(&other);
                link.is_some_and(|link| link.connected) && self.has_path(at, other)
            };
            others.into_iter().all(is)
        })
    }
}

/// Signals that a fault may cost: each pair of those that it concerns begins anew, and not more than twice.
const SIGNALS_PER_FAULT: u32 = 160;

fn run(script: &[u8]) {
    let mut world = World::new();
    world.pass(Duration::from_secs(5));
    assert!(world.all_connected(), "five meet within five seconds");
    let pairs = (MEMBERS * (MEMBERS - 1) / 2) as u32;
    assert!(world.signals <= pairs * 3, "{} signals for {pairs} pairs", world.signals);
    for byte in script {
        world.fault(*byte);
    }
    world.pass(Duration::from_secs(150));
    assert!(world.all_connected(), "not connected after {script:?}");
    let quiet = world.now - world.last_signal;
    assert!(quiet > Duration::from_secs(30), "somebody still negotiates, {quiet:?} ago");
    let most = pairs * 3 + SIGNALS_PER_FAULT * script.len() as u32;
    assert!(world.signals <= most, "{} signals for {} faults", world.signals, script.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_happens_five_end_connected_and_at_rest(
        script in proptest::collection::vec(any::<u8>(), 0..24)
    ) {
        run(&script);
    }
}

#[test]
fn each_fault_alone_heals() {
    for byte in 0..=u8::MAX {
        run(&[byte]);
    }
}

#[test]
fn whose_network_was_gone_is_in_all_its_calls_two_seconds_after_its_return() {
    for byte in (5..=u8::MAX).step_by(6) {
        let mut world = World::new();
        world.pass(Duration::from_secs(5));
        world.fault(byte);
        while world.members.iter().any(|member| world.now < member.back_at) {
            world.tick();
        }
        world.pass(Duration::from_secs(2));
        assert!(world.all_connected(), "{byte}");
    }
}
