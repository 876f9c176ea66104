//! Packets of a picture go through the crate together.
//!
//! The crate's driver takes a whole turn for each packet that it is handed: it asks every part of the connection
//! for events, timers and reads, and sends that one packet. So only the first packet of several is handed to it;
//! the others wait here, and nearest to the app among the interceptors they join the first one: what numbers,
//! keeps and reports packets sees each of them, in order.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtp;
use rtc::sansio::Protocol;

/// Convoys of a stream that wait for their first packet: as many as the crate's queue to its driver holds.
const MOST_WAITING: usize = 256;

/// Those who follow a first packet with this number.
type Convoy = (u16, Vec<rtp::Packet>);

/// Packets that wait for the one before them, by stream.
#[derive(Default)]
pub(super) struct Convoys(Mutex<HashMap<u32, VecDeque<Convoy>>>);

impl Convoys {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, VecDeque<Convoy>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These follow a packet that is about to be handed to the crate.
    pub(super) fn follow(&self, first: &rtp::Packet, rest: Vec<rtp::Packet>) {
        if rest.is_empty() {
            return;
        }
        let mut convoys = self.lock();
        let waiting = convoys.entry(first.header.ssrc).or_default();
        if waiting.len() >= MOST_WAITING {
            waiting.pop_front();
        }
        waiting.push_back((first.header.sequence_number, rest));
    }

    /// Those who follow this packet. What waits for one before it will not see it any more.
    fn after(&self, first: &rtp::Packet) -> Vec<rtp::Packet> {
        let number = first.header.sequence_number;
        let mut convoys = self.lock();
        let Some(waiting) = convoys.get_mut(&first.header.ssrc) else { return Vec::new() };
        let Some(at) = waiting.iter().position(|(first, _)| *first == number) else {
            return Vec::new();
        };
        waiting.drain(..at);
        waiting.pop_front().map(|(_, rest)| rest).unwrap_or_default()
    }

    fn forget(&self, ssrc: u32) {
        self.lock().remove(&ssrc);
    }
}

/// Where they join.
pub(super) struct Joining {
    convoys: Arc<Convoys>,
    inbound: VecDeque<TaggedPacket>,
    outbound: VecDeque<TaggedPacket>,
}

impl Joining {
    pub(super) fn new(convoys: Arc<Convoys>) -> Self {
        Self { convoys, inbound: VecDeque::new(), outbound: VecDeque::new() }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Joining {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = rtc::shared::error::Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Self::Error> {
        self.inbound.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<Self::Rout> {
        self.inbound.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Self::Error> {
        let rest = match &packet.message.packet {
            Packet::Rtp(first) => self.convoys.after(first),
            _ => Vec::new(),
        };
        let (now, transport) = (packet.now, packet.transport);
        self.outbound.push_back(packet);
        self.outbound.extend(rest.into_iter().map(|packet| TaggedPacket {
            now,
            transport,
            message: Packet::Rtp(packet).into(),
        }));
        Ok(())
    }

    fn poll_write(&mut self) -> Option<Self::Wout> {
        self.outbound.pop_front()
    }
}

impl Interceptor for Joining {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.convoys.forget(info.ssrc);
    }

    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(ssrc: u32, sequence_number: u16) -> rtp::Packet {
        let header = rtp::header::Header { ssrc, sequence_number, ..Default::default() };
        rtp::Packet { header, ..Default::default() }
    }

    /// The numbers that leave when this one is handed over.
    fn leave(joining: &mut Joining, ssrc: u32, number: u16) -> Vec<u16> {
        let tagged = TaggedPacket {
            now: Instant::now(),
            transport: Default::default(),
            message: Packet::Rtp(packet(ssrc, number)).into(),
        };
        joining.handle_write(tagged).unwrap();
        let left = std::iter::from_fn(|| joining.poll_write());
        left.map(|tagged| match tagged.message.packet {
            Packet::Rtp(rtp) => rtp.header.sequence_number,
            _ => unreachable!("only RTP was handed over"),
        })
        .collect()
    }

    fn follow(convoys: &Convoys, ssrc: u32, numbers: std::ops::Range<u16>) {
        let first = packet(ssrc, numbers.start);
        convoys.follow(&first, numbers.skip(1).map(|n| packet(ssrc, n)).collect());
    }

    #[test]
    fn those_who_wait_join_their_first_in_order() {
        let convoys = Arc::<Convoys>::default();
        let mut joining = Joining::new(Arc::clone(&convoys));
        follow(&convoys, 7, 1..4);
        follow(&convoys, 7, 4..5);
        follow(&convoys, 7, 5..7);
        assert_eq!(leave(&mut joining, 8, 1), [1]);
        assert_eq!(leave(&mut joining, 7, 1), [1, 2, 3]);
        assert_eq!(leave(&mut joining, 7, 4), [4]);
        // Sent again.
        assert_eq!(leave(&mut joining, 7, 1), [1]);
        assert_eq!(leave(&mut joining, 7, 5), [5, 6]);
    }

    #[test]
    fn a_first_that_never_came_takes_its_convoy_with_it() {
        let convoys = Arc::<Convoys>::default();
        let mut joining = Joining::new(Arc::clone(&convoys));
        follow(&convoys, 7, 1..4);
        follow(&convoys, 7, 4..6);
        assert_eq!(leave(&mut joining, 7, 4), [4, 5]);
        assert_eq!(leave(&mut joining, 7, 1), [1]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let convoys = Convoys::default();
        for n in 0..2_000 {
            follow(&convoys, 7, 2 * n..2 * n + 2);
        }
        assert_eq!(convoys.lock()[&7].len(), MOST_WAITING);
    }
}
