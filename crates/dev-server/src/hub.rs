//! Who is connected and who is on which channel. A plain structure: whoever calls delivers.
//!
//! A peer may have several connections. It joins a channel with the first of them and leaves it with the
//! last; messages and directs go to all.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use metered_realtime::wire::{Json, Presence, PresencePeer};

/// Number of a connection, from 1.
pub(crate) type ConnectionId = u64;

/// A connection as the hub knows it; `L` is how to reach it.
#[derive(Debug)]
pub(crate) struct Member<L> {
    pub(crate) peer_id: String,
    pub(crate) peer_metadata: Option<Json>,
    /// Whether it sees presence.
    pub(crate) sees_presence: bool,
    pub(crate) channels: BTreeSet<String>,
    pub(crate) link: L,
}

#[derive(Debug)]
struct Ghost {
    id: u64,
    peer: PresencePeer,
}

#[derive(Debug, Default)]
struct Room {
    /// Connections, and whether their messages carry the sender's metadata.
    subscribers: BTreeMap<ConnectionId, bool>,
    ghosts: Vec<Ghost>,
}

#[derive(Debug)]
pub(crate) struct Hub<L> {
    members: HashMap<ConnectionId, Member<L>>,
    peers: HashMap<String, BTreeSet<ConnectionId>>,
    rooms: HashMap<String, Room>,
    next_ghost: u64,
}

impl<L> Default for Hub<L> {
    fn default() -> Self {
        Self {
            members: HashMap::new(),
            peers: HashMap::new(),
            rooms: HashMap::new(),
            next_ghost: 0,
        }
    }
}

/// A change of a channel, for everybody who sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) presence: Presence,
    pub(crate) to: Vec<ConnectionId>,
}

impl<L> Hub<L> {
    pub(crate) fn enter(&mut self, id: ConnectionId, member: Member<L>) {
        self.peers.entry(member.peer_id.clone()).or_default().insert(id);
        self.members.insert(id, member);
    }

    /// Forgets a connection; the channels that its peer leaves with it change.
    pub(crate) fn leave(&mut self, id: ConnectionId) -> Vec<Change> {
        let Some(channels) = self.members.get(&id).map(|member| member.channels.clone()) else {
            return Vec::new();
        };
        let changes = channels.iter().filter_map(|channel| self.unsubscribe(id, channel)).collect();
        if let Some(member) = self.members.remove(&id)
            && let Some(connections) = self.peers.get_mut(&member.peer_id)
        {
            connections.remove(&id);
            if connections.is_empty() {
                self.peers.remove(&member.peer_id);
            }
        }
        changes
    }

    pub(crate) fn member(&self, id: ConnectionId) -> Option<&Member<L>> {
        self.members.get(&id)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (ConnectionId, &Member<L>)> {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn connections_of(&self, peer_id: &str) -> Vec<ConnectionId> {
        self.peers.get(peer_id).into_iter().flatten().copied().collect()
    }

    fn is_on(&self, peer_id: &str, channel: &str) -> bool {
        self.peers
            .get(peer_id)
            .into_iter()
            .flatten()
            .any(|id| self.members.get(id).is_some_and(|member| member.channels.contains(channel)))
    }

    /// Puts a connection on a channel; `Some` change if its peer was not there before.
    pub(crate) fn subscribe(
        &mut self,
        id: ConnectionId,
        channel: &str,
        include_sender_metadata: bool,
    ) -> Option<Change> {
        let member = self.members.get(&id)?;
        let peer = PresencePeer {
            peer_id: member.peer_id.clone(),
            metadata: member.peer_metadata.clone(),
        };
        let was_there = self.is_on(&peer.peer_id, channel);
        let room = self.rooms.entry(channel.to_owned()).or_default();
        room.subscribers.insert(id, include_sender_metadata);
        self.members.get_mut(&id)?.channels.insert(channel.to_owned());
        (!was_there).then(|| {
            let to = self.viewers(channel, &peer.peer_id);
            let joined = vec![peer];
            Change { presence: Presence { channel: channel.into(), joined, left: vec![] }, to }
        })
    }

    /// Takes a connection off a channel; `Some` change if its peer is not there any more.
    pub(crate) fn unsubscribe(&mut self, id: ConnectionId, channel: &str) -> Option<Change> {
        let member = self.members.get_mut(&id)?;
        if !member.channels.remove(channel) {
            return None;
        }
        let peer_id = member.peer_id.clone();
        let peer =
            PresencePeer { peer_id: peer_id.clone(), metadata: member.peer_metadata.clone() };
        if let Some(room) = self.rooms.get_mut(channel) {
            room.subscribers.remove(&id);
            if room.subscribers.is_empty() && room.ghosts.is_empty() {
                self.rooms.remove(channel);
            }
        }
        (!self.is_on(&peer_id, channel)).then(|| {
            let to = self.viewers(channel, &peer_id);
            let left = vec![peer];
            Change { presence: Presence { channel: channel.into(), joined: vec![], left }, to }
        })
    }

    /// Connections on a channel that see presence and are not the peer's own.
    fn viewers(&self, channel: &str, but: &str) -> Vec<ConnectionId> {
        self.rooms
            .get(channel)
            .into_iter()
            .flat_map(|room| room.subscribers.keys())
            .copied()
            .filter(|id| self.members.get(id).is_some_and(|m| m.sees_presence && m.peer_id != but))
            .collect()
    }

    /// Who is on a channel, without one peer.
    pub(crate) fn present(&self, channel: &str, but: &str) -> Vec<PresencePeer> {
        let Some(room) = self.rooms.get(channel) else { return Vec::new() };
        let mut seen = BTreeSet::new();
        let members = room.subscribers.keys().filter_map(|id| self.members.get(id));
        members
            .filter(|member| member.peer_id != but && seen.insert(&member.peer_id))
            .map(|m| PresencePeer { peer_id: m.peer_id.clone(), metadata: m.peer_metadata.clone() })
            .chain(room.ghosts.iter().map(|ghost| ghost.peer.clone()))
            .collect()
    }

    /// Connections that a message goes to, and whether with the sender's metadata.
    pub(crate) fn audience(
        &self,
        channel: &str,
        but: &str,
    ) -> impl Iterator<Item = (ConnectionId, &Member<L>, bool)> {
        let but = but.to_owned();
        self.rooms
            .get(channel)
            .into_iter()
            .flat_map(|room| &room.subscribers)
            .filter_map(|(id, with)| Some((*id, self.members.get(id)?, *with)))
            .filter(move |(_, member, _)| member.peer_id != but)
    }

    /// A peer that is listed and not there.
    pub(crate) fn haunt(&mut self, channel: &str, peer: PresencePeer) -> (u64, Change) {
        self.next_ghost += 1;
        let id = self.next_ghost;
        let to = self.viewers(channel, &peer.peer_id);
        let room = self.rooms.entry(channel.to_owned()).or_default();
        room.ghosts.push(Ghost { id, peer: peer.clone() });
        let joined = vec![peer];
        (id, Change { presence: Presence { channel: channel.into(), joined, left: vec![] }, to })
    }

    pub(crate) fn exorcise(&mut self, channel: &str, ghost: u64) -> Option<Change> {
        let room = self.rooms.get_mut(channel)?;
        let at = room.ghosts.iter().position(|known| known.id == ghost)?;
        let peer = room.ghosts.remove(at).peer;
        if room.subscribers.is_empty() && room.ghosts.is_empty() {
            self.rooms.remove(channel);
        }
        let to = self.viewers(channel, &peer.peer_id);
        let left = vec![peer];
        Some(Change { presence: Presence { channel: channel.into(), joined: vec![], left }, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(peers: &[(ConnectionId, &str)]) -> Hub<()> {
        let mut hub = Hub::default();
        for (id, peer_id) in peers {
            let member = Member {
                peer_id: (*peer_id).to_owned(),
                peer_metadata: None,
                sees_presence: true,
                channels: BTreeSet::new(),
                link: (),
            };
            hub.enter(*id, member);
        }
        hub
    }

    fn ids(peers: &[PresencePeer]) -> Vec<&str> {
        peers.iter().map(|peer| peer.peer_id.as_str()).collect()
    }

    #[test]
    fn a_peer_joins_with_its_first_connection_and_leaves_with_its_last() {
        let mut hub = hub(&[(1, "a"), (2, "b"), (3, "b")]);
        hub.subscribe(1, "c", false);
        let joined = hub.subscribe(2, "c", false).unwrap();
        assert_eq!((ids(&joined.presence.joined), joined.to), (vec!["b"], vec![1]));
        assert_eq!(hub.subscribe(3, "c", false), None);
        assert_eq!(hub.subscribe(3, "c", true), None);
        assert_eq!(ids(&hub.present("c", "a")), ["b"]);
        assert!(hub.leave(2).is_empty());
        let left = hub.leave(3);
        assert_eq!((ids(&left[0].presence.left), &left[0].to), (vec!["b"], &vec![1]));
        assert_eq!(hub.len(), 1);
    }

    #[test]
    fn messages_go_to_all_but_the_publishers_own_connections() {
        let mut hub = hub(&[(1, "a"), (2, "b"), (3, "b"), (4, "a")]);
        for id in 1..=4 {
            hub.subscribe(id, "c", id == 3);
        }
        let to: Vec<_> = hub.audience("c", "a").map(|(id, _, with)| (id, with)).collect();
        assert_eq!(to, [(2, false), (3, true)]);
        assert_eq!(hub.connections_of("a"), [1, 4]);
    }

    #[test]
    fn rooms_do_not_outlive_their_members() {
        let mut hub = hub(&[(1, "a")]);
        hub.subscribe(1, "c", false);
        let ghost = PresencePeer { peer_id: "g".into(), metadata: None };
        let (id, change) = hub.haunt("c", ghost);
        assert_eq!(change.to, [1]);
        assert_eq!(ids(&hub.present("c", "a")), ["g"]);
        hub.leave(1);
        assert_eq!(hub.rooms.len(), 1);
        hub.exorcise("c", id).unwrap();
        assert!(hub.rooms.is_empty());
    }
}
