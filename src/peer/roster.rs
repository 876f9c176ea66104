//! Who is in the room, pure.
//!
//! Invariant: a peer is joined before anything of it is delivered, and leaves once. The service marks
//! snapshots by their place alone; the signalling client tells them from changes (`Presence::snapshot`).
//! After a reconnect the first snapshot is reconciled: departures first, then survivors, then newcomers.
//!
//! A peer that the service no longer lists while we are connected to it has most likely lost its socket and
//! comes back: it is departing for a while, and its connection goes on. So a lost socket of the other side,
//! or a restart of the service, ends no call. The owner says whether it is connected, and after its return
//! whether it is still the same.

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
/// Bytes of all that is kept.
const MAX_HELD_BYTES: usize = 4 * 1024 * 1024;
/// Such senders.
const MAX_HELD_PEERS: usize = 64;
/// How long a peer that we are connected to may be missing: some attempts to reconnect.
pub(crate) const DEPARTING_FOR: Duration = Duration::from_secs(10);
/// After so long the service is asked for the room's snapshot: a departure that belonged to an older socket
/// of the peer is put right by it.
pub(crate) const DEPARTING_DOUBT: Duration = Duration::from_secs(3);
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
    /// The service no longer lists a peer that we are connected to. Say [`Roster::gone`] when that ends.
    Departing(String),
    /// It is listed again. Say [`Roster::same`] or [`Roster::gone`].
    Returned(String),
    /// Data of a peer that has joined.
    Deliver { from: String, data: T },
    /// The room is known again after a reconnect.
    Reconciled,
    /// Ask for the snapshot.
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
    bytes: usize,
}

#[derive(Debug)]
enum Departing {
    Missing { since: Duration, doubted: bool },
    Returned(PresencePeer),
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
    /// Of the remotes.
    departing: BTreeMap<String, Departing>,
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
            departing: BTreeMap::new(),
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

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.remotes.contains_key(id)
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let reconcile = match self.phase {
            Phase::Reconciling { until, .. } => Some(until),
            _ => None,
        };
        let departing = self.departing.values().filter_map(|departing| match departing {
            Departing::Missing { since, doubted: false } => Some(*since + DEPARTING_DOUBT),
            Departing::Missing { since, doubted: true } => Some(*since + DEPARTING_FOR),
            Departing::Returned(_) => None,
        });
        // Without a connection nobody can be seen to return.
        let departing = departing.filter(|_| self.phase != Phase::Away);
        self.held.values().map(|held| held.until).chain(reconcile).chain(departing).min()
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
        for departing in self.departing.values_mut() {
            if let Departing::Missing { since, .. } = departing {
                *since = now;
            }
        }
        // An id of ours that comes back is no ghost, and one that was a remote's is ours now.
        self.former.retain(|id| id != own);
        self.leave(own);
        if self.remotes.is_empty() {
            self.phase = Phase::Live;
            self.outputs.push_back(Output::Reconciled);
        } else {
            self.phase = Phase::Reconciling { until: now + RECONCILE_WAIT, asked: 0 };
        }
    }

    /// Presence of the room's channel. `connected` tells to which remotes there is a connection, heard or not.
    pub(crate) fn presence(
        &mut self,
        now: Duration,
        snapshot: bool,
        joined: &[PresencePeer],
        left: &[PresencePeer],
        connected: impl Fn(&str) -> bool,
    ) {
        let reconcile = matches!(self.phase, Phase::Reconciling { .. });
        if reconcile && snapshot {
            let there: HashSet<&str> = joined.iter().map(|peer| peer.peer_id.as_str()).collect();
            let missing: Vec<String> =
                self.remotes.keys().filter(|id| !there.contains(id.as_str())).cloned().collect();
            for id in missing {
                self.depart(now, &id, &connected);
            }
            for id in self.remotes.keys().filter(|id| !self.departing.contains_key(*id)) {
                self.outputs.push_back(Output::Survived(id.clone()));
            }
        }
        for peer in left {
            self.depart(now, &peer.peer_id, &connected);
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
        if let Some(departing @ Departing::Missing { .. }) = self.departing.get_mut(id) {
            *departing = Departing::Returned(peer.clone());
            self.outputs.push_back(Output::Returned(id.clone()));
            return;
        }
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

    fn depart(&mut self, now: Duration, id: &str, connected: impl Fn(&str) -> bool) {
        if !self.remotes.contains_key(id) {
            return;
        }
        match self.departing.get(id) {
            Some(Departing::Missing { .. }) => {}
            Some(Departing::Returned(_)) => self.leave(id),
            None if connected(id) => {
                let missing = Departing::Missing { since: now, doubted: false };
                self.departing.insert(id.to_owned(), missing);
                self.outputs.push_back(Output::Departing(id.to_owned()));
            }
            None => self.leave(id),
        }
    }

    fn leave(&mut self, id: &str) {
        self.departing.remove(id);
        if self.remotes.remove(id).is_some() {
            self.outputs.push_back(Output::Left(id.to_owned()));
        }
    }

    /// A departing peer is not connected any more, or is another one since its return.
    pub(crate) fn gone(&mut self, id: &str) {
        let returned = match self.departing.remove(id) {
            None => return,
            Some(Departing::Missing { .. }) => None,
            Some(Departing::Returned(peer)) => Some(peer),
        };
        self.leave(id);
        if let Some(peer) = returned {
            self.join(&peer);
        }
    }

    /// A peer that returned is the one that it was.
    pub(crate) fn same(&mut self, id: &str) {
        // A verdict that comes while it is missing is about an earlier return.
        let returned = matches!(self.departing.get(id), Some(Departing::Returned(_)));
        if returned && let Some(Departing::Returned(peer)) = self.departing.remove(id) {
            self.remotes.insert(id.to_owned(), peer.metadata);
            self.outputs.push_back(Output::Survived(id.to_owned()));
        }
    }

    /// Data of so many bytes that a peer sent to us alone.
    pub(crate) fn data(&mut self, now: Duration, from: &str, data: T, bytes: usize) {
        if self.remotes.contains_key(from) {
            return self.outputs.push_back(Output::Deliver { from: from.to_owned(), data });
        }
        if from == self.own || self.former.iter().any(|id| id == from) {
            self.dropped.data += 1;
            return;
        }
        let held_bytes: usize = self.held.values().map(|held| held.bytes).sum();
        let fits = held_bytes + bytes <= MAX_HELD_BYTES;
        let room = self.held.len() < MAX_HELD_PEERS;
        let until = now + HOLD_FOR;
        match self.held.get_mut(from) {
            Some(held) if fits && held.data.len() < MAX_HELD_PER_PEER => {
                held.data.push(data);
                held.bytes += bytes;
            }
            None if fits && room => {
                self.held.insert(from.to_owned(), Held { until, data: vec![data], bytes });
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
        self.doubt(now);
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

impl<T> Roster<T> {
    /// What is missing too long has left; what is missing for a while is asked for.
    fn doubt(&mut self, now: Duration) {
        if self.phase == Phase::Away {
            return;
        }
        let mut left = Vec::new();
        let mut ask = false;
        for (id, departing) in &mut self.departing {
            let Departing::Missing { since, doubted } = departing else { continue };
            if now >= *since + DEPARTING_FOR {
                left.push(id.clone());
            } else if !*doubted && now >= *since + DEPARTING_DOUBT {
                *doubted = true;
                ask = true;
            }
        }
        for id in left {
            self.leave(&id);
        }
        if ask && self.phase == Phase::Live {
            self.outputs.push_back(Output::Resubscribe);
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
        roster.presence(NOW, true, &peers(ids), &[], |_| false);
        outputs(&mut roster);
        roster
    }

    #[test]
    fn peers_come_once_and_go_once() {
        let mut roster = Roster::new("me");
        roster.presence(NOW, true, &peers(&["a", "me"]), &[], |_| false);
        roster.presence(NOW, false, &peers(&["a"]), &peers(&["stranger"]), |_| false);
        roster.presence(NOW, false, &[], &peers(&["a"]), |_| false);
        roster.presence(NOW, false, &[], &peers(&["a"]), |_| false);
        assert_eq!(outputs(&mut roster), [joined("a"), Output::Left("a".into())]);
    }

    #[test]
    fn one_frame_that_says_both_means_a_new_session() {
        let mut roster = room(&["a"]);
        roster.presence(NOW, false, &peers(&["a"]), &peers(&["a"]), |_| false);
        assert_eq!(outputs(&mut roster), [Output::Left("a".into()), joined("a")]);
    }

    #[test]
    fn after_a_reconnect_departures_come_first_and_survivors_before_newcomers() {
        let mut roster = room(&["a", "b"]);
        roster.away();
        roster.back(NOW, "me2");
        roster.presence(NOW, true, &peers(&["c", "b", "me", "me2"]), &[], |_| false);
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
        roster.presence(NOW, false, &peers(&["b"]), &[], |_| false);
        roster.presence(NOW, true, &peers(&["a", "b"]), &[], |_| false);
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
    fn a_connected_peer_that_loses_its_socket_stays_and_is_asked_for() {
        let mut roster = room(&["a", "b"]);
        roster.presence(NOW, false, &[], &peers(&["a", "b"]), |id| id == "a");
        let departing = Output::Departing("a".into());
        assert_eq!(outputs(&mut roster), [departing, Output::Left("b".into())]);
        assert!(roster.contains("a"));
        assert_eq!(roster.next_deadline(), Some(DEPARTING_DOUBT));
        roster.timeout(DEPARTING_DOUBT);
        assert_eq!(outputs(&mut roster), [Output::Resubscribe]);
        // The departure was that of an older socket: the snapshot lists the peer.
        roster.presence(DEPARTING_DOUBT, true, &peers(&["a"]), &[], |_| true);
        assert_eq!(outputs(&mut roster), [Output::Returned("a".into())]);
        roster.same("a");
        assert_eq!(outputs(&mut roster), [Output::Survived("a".into())]);
        assert_eq!(roster.next_deadline(), None);
    }

    #[test]
    fn a_departing_peer_leaves_after_a_while_or_with_its_connection() {
        let mut roster = room(&["a", "b"]);
        roster.presence(NOW, false, &[], &peers(&["a", "b"]), |_| true);
        outputs(&mut roster);
        roster.gone("b");
        roster.gone("b");
        assert_eq!(outputs(&mut roster), [Output::Left("b".into())]);
        roster.timeout(DEPARTING_DOUBT);
        assert_eq!(roster.next_deadline(), Some(DEPARTING_FOR));
        roster.timeout(DEPARTING_FOR);
        assert_eq!(outputs(&mut roster), [Output::Resubscribe, Output::Left("a".into())]);
        assert!(!roster.contains("a"));
    }

    #[test]
    fn a_verdict_about_a_peer_that_is_missing_does_not_keep_it() {
        let mut roster = room(&["a"]);
        roster.presence(NOW, false, &[], &peers(&["a"]), |_| true);
        roster.same("a");
        roster.timeout(DEPARTING_DOUBT);
        roster.timeout(DEPARTING_FOR);
        assert_eq!(outputs(&mut roster).pop(), Some(Output::Left("a".into())));
    }

    #[test]
    fn an_id_that_becomes_ours_is_no_remote() {
        let mut roster = room(&["a"]);
        roster.away();
        roster.back(NOW, "a");
        roster.presence(NOW, true, &peers(&["a"]), &[], |_| false);
        assert_eq!(outputs(&mut roster), [Output::Left("a".into()), Output::Reconciled]);
    }

    #[test]
    fn a_peer_that_returns_as_another_leaves_and_joins() {
        let mut roster = room(&["a"]);
        roster.presence(NOW, false, &peers(&["a"]), &peers(&["a"]), |_| true);
        roster.gone("a");
        let wanted = [
            Output::Departing("a".into()),
            Output::Returned("a".into()),
            Output::Left("a".into()),
            joined("a"),
        ];
        assert_eq!(outputs(&mut roster), wanted);
        roster.presence(NOW, false, &[], &peers(&["a"]), |_| true);
        roster.presence(NOW, false, &peers(&["a"]), &[], |_| true);
        roster.presence(NOW, false, &[], &peers(&["a"]), |_| true);
        let last = outputs(&mut roster).pop();
        assert_eq!(last, Some(Output::Left("a".into())), "gone again before it was known");
    }

    #[test]
    fn when_the_service_restarts_all_who_are_connected_stay() {
        let mut roster = room(&["a", "b"]);
        roster.away();
        roster.back(NOW, "me");
        roster.presence(NOW, true, &[], &[], |_| true);
        let departing = |id: &str| Output::Departing(id.into());
        assert_eq!(outputs(&mut roster), [departing("a"), departing("b"), Output::Reconciled]);
        roster.away();
        assert_eq!(roster.next_deadline(), None, "nobody can be seen to return");
        roster.timeout(DEPARTING_FOR * 2);
        roster.back(DEPARTING_FOR * 2, "me");
        roster.presence(DEPARTING_FOR * 2, true, &peers(&["b"]), &[], |_| true);
        roster.same("b");
        let wanted =
            [Output::Returned("b".into()), Output::Reconciled, Output::Survived("b".into())];
        assert_eq!(outputs(&mut roster), wanted);
        assert_eq!(roster.next_deadline(), Some(DEPARTING_FOR * 2 + DEPARTING_DOUBT));
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
        roster.data(NOW, "a", 1, 1);
        roster.data(NOW, "b", 2, 1);
        roster.presence(NOW, false, &peers(&["a"]), &[], |_| false);
        let wanted = [joined("a"), Output::Deliver { from: "a".into(), data: 1 }];
        assert_eq!(outputs(&mut roster), wanted);
        roster.timeout(HOLD_FOR);
        roster.presence(NOW, false, &peers(&["b"]), &[], |_| false);
        assert_eq!(outputs(&mut roster), [joined("b")]);
        assert_eq!(roster.dropped().data, 1);
    }

    #[test]
    fn what_strangers_send_is_bounded() {
        let mut roster = room(&[]);
        for sender in 0..1_000 {
            for n in 0..100 {
                roster.data(NOW, &sender.to_string(), n, 1);
            }
        }
        assert_eq!(roster.held.len(), MAX_HELD_PEERS);
        let kept = (MAX_HELD_PEERS * MAX_HELD_PER_PEER) as u64;
        assert_eq!(roster.dropped().data, 100_000 - kept);
    }

    #[test]
    fn what_is_kept_for_strangers_is_bounded_by_its_bytes() {
        let mut roster = room(&[]);
        for n in 0..100 {
            roster.data(NOW, &n.to_string(), 0, 256 * 1024);
        }
        assert_eq!(roster.dropped().data, 100 - 16);
    }

    #[test]
    fn a_room_has_256_remotes_and_a_place_becomes_free() {
        let ids: Vec<String> = (0..1_000).map(|n| format!("p{n:04}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut roster = room(&ids);
        assert_eq!(roster.dropped().peers, 1_000 - MAX_REMOTES as u64);
        roster.presence(NOW, false, &peers(&["late"]), &peers(&["p0000"]), |_| false);
        assert_eq!(outputs(&mut roster), [Output::Left("p0000".into()), joined("late")]);
    }
}
