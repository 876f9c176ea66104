//! Who is in the room, pure.
//!
//! Invariant: a peer is joined before anything of it is delivered, and leaves once. The service marks
//! snapshots by their place alone; the signalling client tells them from changes (`Presence::snapshot`).
//! After a reconnect the first snapshot is reconciled: departures first, then survivors, then newcomers.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use crate::wire::{Json, PresencePeer};

/// Remotes of one room (JavaScript SDK 1.2.0).
pub(crate) const MAX_REMOTES: usize = 256;
/// How long a snapshot may take after a reconnect before it is asked for again (JavaScript SDK 1.2.0).
pub(crate) const RECONCILE_WAIT: Duration = Duration::from_secs(10);
/// How often it is asked for again (JavaScript SDK 1.2.0).
pub(crate) const RECONCILE_RETRIES: u32 = 2;
/// How long data of a sender is kept that the room does not name.
pub(crate) const HOLD_FOR: Duration = Duration::from_secs(5);
/// Data of one such sender.
const MAX_HELD_PER_PEER: usize = 32;
/// Such senders.
const MAX_HELD_PEERS: usize = 64;
/// Earlier ids of our own that the service may still list.
const MAX_FORMER_IDS: usize = 32;

/// What the owner shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output<T> {
    /// A peer came.
    Joined(PresencePeer),
    /// A peer is still there after our reconnect.
    Survived(String),
    /// A peer went.
    Left(String),
    /// Data of a peer that has joined.
    Deliver { from: String, data: T },
    /// The room is known again after a reconnect.
    Reconciled,
    /// Ask for the snapshot again.
    Resubscribe,
    /// No snapshot came, however often it was asked for.
    ReconcileTimeout,
}

/// What came and led to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Peers beyond the limit of the room.
    pub(crate) peers: u64,
    /// Data of senders that the room never named.
    pub(crate) data: u64,
}

#[derive(Debug)]
struct Held<T> {
    until: Duration,
    data: Vec<T>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Presence is applied as it comes.
    Live,
    /// No connection.
    Away,
    /// The connection is back, the snapshot is not.
    Reconciling { until: Duration, asked: u32 },
}

/// The room's roster.
#[derive(Debug)]
pub(crate) struct Roster<T> {
    own: String,
    former: VecDeque<String>,
    remotes: BTreeMap<String, Option<Json>>,
    held: BTreeMap<String, Held<T>>,
    phase: Phase,
    dropped: Dropped,
    outputs: VecDeque<Output<T>>,
}

impl<T> Roster<T> {
    pub(crate) fn new(own: &str) -> Self {
        Self {
            own: own.to_owned(),
            former: VecDeque::new(),
            remotes: BTreeMap::new(),
            held: BTreeMap::new(),
            phase: Phase::Live,
            dropped: Dropped::default(),
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output<T>> {
        self.outputs.pop_front()
    }

    pub(crate) fn dropped(&self) -> Dropped {
        self.dropped
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.remotes.contains_key(id)
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let reconcile = match self.phase {
            Phase::Reconciling { until, .. } => Some(until),
            _ => None,
        };
        self.held.values().map(|held| held.until).chain(reconcile).min()
    }

    /// The connection is lost; it will be made anew.
    pub(crate) fn away(&mut self) {
        self.phase = Phase::Away;
    }

    /// The connection is back, perhaps under another id of ours.
    pub(crate) fn back(&mut self, now: Duration, own: &str) {
        if own != self.own {
            if self.former.len() >= MAX_FORMER_IDS {
                self.former.pop_front();
            }
            self.former.push_back(std::mem::replace(&mut self.own, own.to_owned()));
        }
        // An id of ours that comes back is no ghost.
        self.former.retain(|id| id != own);
        if self.remotes.is_empty() {
            self.phase = Phase::Live;
            self.outputs.push_back(Output::Reconciled);
        } else {
            self.phase = Phase::Reconciling { until: now + RECONCILE_WAIT, asked: 0 };
        }
    }

    /// Presence of the room's channel.
    pub(crate) fn presence(
        &mut self,
        snapshot: bool,
        joined: &[PresencePeer],
        left: &[PresencePeer],
    ) {
        let reconcile = matches!(self.phase, Phase::Reconciling { .. });
        if reconcile && snapshot {
            let there: HashSet<&str> = joined.iter().map(|peer| peer.peer_id.as_str()).collect();
            let gone: Vec<String> =
                self.remotes.keys().filter(|id| !there.contains(id.as_str())).cloned().collect();
            for id in gone {
                self.leave(&id);
            }
            for id in self.remotes.keys() {
                self.outputs.push_back(Output::Survived(id.clone()));
            }
        }
        for peer in left {
            self.leave(&peer.peer_id);
        }
        for peer in joined {
            self.join(peer);
        }
        if reconcile && snapshot {
            self.phase = Phase::Live;
            self.outputs.push_back(Output::Reconciled);
        }
    }

    fn join(&mut self, peer: &PresencePeer) {
        let id = &peer.peer_id;
        if *id == self.own || self.former.contains(id) || self.remotes.contains_key(id) {
            return;
        }
        if self.remotes.len() >= MAX_REMOTES {
            self.dropped.peers += 1;
            return;
        }
        self.remotes.insert(id.clone(), peer.metadata.clone());
        self.outputs.push_back(Output::Joined(peer.clone()));
        for data in self.held.remove(id).map(|held| held.data).unwrap_or_default() {
            self.outputs.push_back(Output::Deliver { from: id.clone(), data });
        }
    }

    fn leave(&mut self, id: &str) {
        if self.remotes.remove(id).is_some() {
            self.outputs.push_back(Output::Left(id.to_owned()));
        }
    }

    /// Data that a peer sent to us alone.
    pub(crate) fn data(&mut self, now: Duration, from: &str, data: T) {
        if self.remotes.contains_key(from) {
            return self.outputs.push_back(Output::Deliver { from: from.to_owned(), data });
        }
        if from == self.own || self.former.iter().any(|id| id == from) {
            self.dropped.data += 1;
            return;
        }
        let room = self.held.len() < MAX_HELD_PEERS;
        let until = now + HOLD_FOR;
        match self.held.get_mut(from) {
            Some(held) if held.data.len() < MAX_HELD_PER_PEER => held.data.push(data),
            None if room => {
                self.held.insert(from.to_owned(), Held { until, data: vec![data] });
            }
            _ => self.dropped.data += 1,
        }
    }

    /// Time passed.
    pub(crate) fn timeout(&mut self, now: Duration) {
        let mut lost = 0;
        self.held.retain(|_, held| {
            let keep = now < held.until;
            lost += if keep { 0 } else { held.data.len() as u64 };
            keep
        });
        self.dropped.data += lost;
        if let Phase::Reconciling { until, asked } = self.phase
            && now >= until
        {
            if asked < RECONCILE_RETRIES {
                let until = now + RECONCILE_WAIT;
                self.phase = Phase::Reconciling { until, asked: asked + 1 };
                self.outputs.push_back(Output::Resubscribe);
            } else {
                // The roster stays as it was; presence corrects it as it comes.
                self.phase = Phase::Live;
                self.outputs.push_back(Output::ReconcileTimeout);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn peers(ids: &[&str]) -> Vec<PresencePeer> {
        ids.iter().map(|id| PresencePeer { peer_id: (*id).to_owned(), metadata: None }).collect()
    }

    fn joined(id: &str) -> Output<u8> {
        Output::Joined(peers(&[id]).remove(0))
    }

    fn outputs(roster: &mut Roster<u8>) -> Vec<Output<u8>> {
        std::iter::from_fn(|| roster.poll_output()).collect()
    }

    fn room(ids: &[&str]) -> Roster<u8> {
        let mut roster = Roster::new("me");
        roster.presence(true, &peers(ids), &[]);
        outputs(&mut roster);
        roster
    }

    #[test]
    fn peers_come_once_and_go_once() {
        let mut roster = Roster::new("me");
        roster.presence(true, &peers(&["a", "me"]), &[]);
        roster.presence(false, &peers(&["a"]), &peers(&["stranger"]));
        roster.presence(false, &[], &peers(&["a"]));
        roster.presence(false, &[], &peers(&["a"]));
        assert_eq!(outputs(&mut roster), [joined("a"), Output::Left("a".into())]);
    }

    #[test]
    fn one_frame_that_says_both_means_a_new_session() {
        let mut roster = room(&["a"]);
        roster.presence(false, &peers(&["a"]), &peers(&["a"]));
        assert_eq!(outputs(&mut roster), [Output::Left("a".into()), joined("a")]);
    }

    #[test]
    fn after_a_reconnect_departures_come_first_and_survivors_before_newcomers() {
        let mut roster = room(&["a", "b"]);
        roster.away();
        roster.back(NOW, "me2");
        roster.presence(true, &peers(&["c", "b", "me", "me2"]), &[]);
        let wanted = [
            Output::Left("a".into()),
            Output::Survived("b".into()),
            joined("c"),
            Output::Reconciled,
        ];
        assert_eq!(outputs(&mut roster), wanted, "and our former id is no peer");
    }

    #[test]
    fn a_change_before_the_snapshot_is_not_taken_for_it() {
        let mut roster = room(&["a"]);
        roster.away();
        roster.back(NOW, "me");
        roster.presence(false, &peers(&["b"]), &[]);
        roster.presence(true, &peers(&["a", "b"]), &[]);
        let wanted = [
            joined("b"),
            Output::Survived("a".into()),
            Output::Survived("b".into()),
            Output::Reconciled,
        ];
        assert_eq!(outputs(&mut roster), wanted);
    }

    #[test]
    fn a_snapshot_that_stays_away_is_asked_for_twice() {
        let mut roster = room(&["a"]);
        roster.away();
        roster.back(NOW, "me");
        let mut told = Vec::new();
        while let Some(deadline) = roster.next_deadline() {
            roster.timeout(deadline);
            told.extend(outputs(&mut roster).into_iter().map(|output| (deadline, output)));
        }
        let at = |n: u32| RECONCILE_WAIT * n;
        let wanted = [
            (at(1), Output::Resubscribe),
            (at(2), Output::Resubscribe),
            (at(3), Output::ReconcileTimeout),
        ];
        assert_eq!(told, wanted);
        assert!(roster.contains("a"));
    }

    #[test]
    fn an_empty_room_is_reconciled_at_once() {
        let mut roster = room(&[]);
        roster.away();
        roster.back(NOW, "me");
        assert_eq!(outputs(&mut roster), [Output::Reconciled]);
    }

    #[test]
    fn data_waits_for_its_sender_and_not_for_ever() {
        let mut roster = room(&[]);
        roster.data(NOW, "a", 1);
        roster.data(NOW, "b", 2);
        roster.presence(false, &peers(&["a"]), &[]);
        let wanted = [joined("a"), Output::Deliver { from: "a".into(), data: 1 }];
        assert_eq!(outputs(&mut roster), wanted);
        roster.timeout(HOLD_FOR);
        roster.presence(false, &peers(&["b"]), &[]);
        assert_eq!(outputs(&mut roster), [joined("b")]);
        assert_eq!(roster.dropped().data, 1);
    }

    #[test]
    fn what_strangers_send_is_bounded() {
        let mut roster = room(&[]);
        for sender in 0..1_000 {
            for n in 0..100 {
                roster.data(NOW, &sender.to_string(), n);
            }
        }
        assert_eq!(roster.held.len(), MAX_HELD_PEERS);
        let kept = (MAX_HELD_PEERS * MAX_HELD_PER_PEER) as u64;
        assert_eq!(roster.dropped().data, 100_000 - kept);
    }

    #[test]
    fn a_room_has_256_remotes_and_a_place_becomes_free() {
        let ids: Vec<String> = (0..1_000).map(|n| format!("p{n:04}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut roster = room(&ids);
        assert_eq!(roster.dropped().peers, 1_000 - MAX_REMOTES as u64);
        roster.presence(false, &peers(&["late"]), &peers(&["p0000"]));
        assert_eq!(outputs(&mut roster), [Output::Left("p0000".into()), joined("late")]);
    }
}
