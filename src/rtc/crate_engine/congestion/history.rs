//! Packets that were sent, and what the remote says became of them. Pure: told the time.
//!
//! The crate's own history takes a packet for lost as soon as a later one is acknowledged; on a path that
//! reorders, that is a loss that never was. Here a packet is lost when a report missed it, and one that left
//! 250 ms later has arrived. Of packets that no report speaks of, because it was lost itself, nothing is known.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rtc::rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, SymbolTypeTcc, TransportLayerCc,
};

use crate::rtc::engine::PacketFate;

/// Packets that are remembered: far fewer than the numbers of 16 bits, so that each number means one of them.
const MOST: usize = 8_192;
/// How much later another packet must have left, and arrived, until one counts as lost.
const PATIENCE: Duration = Duration::from_millis(250);
/// A tick of a report's reference time, which has 24 bits.
const TICK_US: i64 = 64_000;

struct Sent {
    at: Instant,
    bytes: usize,
    /// Whether its fate was told.
    told: bool,
    /// Whether a report missed it.
    missed: bool,
}

#[derive(Default)]
pub(super) struct History {
    packets: VecDeque<Sent>,
    /// The number of the next packet, never wrapped.
    next: u64,
    /// When the latest packet left of those that arrived.
    latest: Option<Instant>,
    /// The last report's reference time, never wrapped.
    reference: Option<i64>,
    /// With the remote's pause before it reports, which is short.
    round_trip: Option<Duration>,
}

impl History {
    /// Notes a packet; its number on the wire.
    pub(super) fn send(&mut self, now: Instant, bytes: usize) -> u16 {
        if self.packets.len() >= MOST {
            self.packets.pop_front();
        }
        self.packets.push_back(Sent { at: now, bytes, told: false, missed: false });
        self.next += 1;
        (self.next - 1) as u16
    }

    /// What a report says that was not known before.
    pub(super) fn report(&mut self, now: Instant, report: &TransportLayerCc) -> Vec<PacketFate> {
        let mut fates = Vec::new();
        let mut arrival = self.reference_us(report.reference_time);
        let mut deltas = report.recv_deltas.iter();
        let mut number = report.base_sequence_number;
        // A chunk may describe more packets than the report has.
        let symbols = report.packet_chunks.iter().flat_map(symbols);
        for symbol in symbols.take(report.packet_status_count.into()) {
            let received = symbol != SymbolTypeTcc::PacketNotReceived;
            let dated = matches!(
                symbol,
                SymbolTypeTcc::PacketReceivedSmallDelta | SymbolTypeTcc::PacketReceivedLargeDelta
            );
            if dated {
                // One delta too few: the report is broken from here on.
                let Some(delta) = deltas.next() else { break };
                arrival = arrival.saturating_add(delta.delta);
            }
            if let Some(sent) = self.find(number) {
                let (at, bytes) = (sent.at, sent.bytes);
                sent.missed |= !received;
                if received && !std::mem::replace(&mut sent.told, true) {
                    self.latest = self.latest.max(Some(at));
                    if dated {
                        fates.push(PacketFate {
                            sent: at.into(),
                            bytes,
                            arrival_us: Some(arrival),
                        });
                    }
                }
            }
            number = number.wrapping_add(1);
        }
        let newest = fates.iter().map(|fate| fate.sent.into_std()).max();
        if let Some(newest) = newest {
            let sample = now.saturating_duration_since(newest);
            self.round_trip =
                Some(self.round_trip.map_or(sample, |known| (known * 3 + sample) / 4));
        }
        self.lose(&mut fates);
        fates
    }

    /// A round trip that is known otherwise, if none is.
    pub(super) fn hint(&mut self, round_trip: Option<Duration>) {
        if self.latest.is_none() {
            self.round_trip = round_trip.or(self.round_trip);
        }
    }

    /// As the reports have it; a usual one before the first.
    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip.unwrap_or(Duration::from_millis(100))
    }

    fn lose(&mut self, fates: &mut Vec<PacketFate>) {
        let Some(latest) = self.latest else { return };
        while let Some(first) = self.packets.front() {
            if !first.told {
                if first.at + PATIENCE > latest {
                    return;
                }
                if first.missed {
                    let (sent, bytes) = (first.at.into(), first.bytes);
                    fates.push(PacketFate { sent, bytes, arrival_us: None });
                }
            }
            self.packets.pop_front();
        }
    }

    fn find(&mut self, number: u16) -> Option<&mut Sent> {
        let age = (self.next as u16).wrapping_sub(number);
        let at = self.packets.len().checked_sub(usize::from(age))?;
        self.packets.get_mut(at)
    }

    /// In microseconds on the remote's clock, going on when its 24 bits wrap.
    fn reference_us(&mut self, ticks: u32) -> i64 {
        const WRAP: i64 = 1 << 24;
        let ticks = i64::from(ticks) % WRAP;
        let reference = match self.reference {
            None => ticks,
            Some(last) => {
                let ahead = (ticks - last).rem_euclid(WRAP);
                last + if ahead >= WRAP / 2 { ahead - WRAP } else { ahead }
            }
        };
        self.reference = Some(reference);
        reference * TICK_US
    }
}

fn symbols(chunk: &PacketStatusChunk) -> impl Iterator<Item = SymbolTypeTcc> + '_ {
    let (run, list) = match chunk {
        PacketStatusChunk::RunLengthChunk(run) => {
            (Some((run.packet_status_symbol, usize::from(run.run_length))), &[][..])
        }
        PacketStatusChunk::StatusVectorChunk(vector) => (None, &vector.symbol_list[..]),
    };
    let run = run.into_iter().flat_map(|(symbol, count)| std::iter::repeat_n(symbol, count));
    run.chain(list.iter().copied())
}

/// Reads any bytes as reports on packets that were sent.
#[cfg(feature = "fuzzing")]
pub(super) fn fuzz(mut bytes: &[u8]) {
    let mut history = History::default();
    let begun = Instant::now();
    let mut at = begun;
    while !bytes.is_empty() {
        let length = usize::from(bytes[0]).min(bytes.len() - 1);
        let (mut piece, rest) = bytes[1..].split_at(length);
        bytes = rest;
        for _ in 0..=length {
            at += Duration::from_millis(7);
            history.send(at, length);
        }
        for report in rtc::rtcp::packet::unmarshal(&mut piece).unwrap_or_default() {
            let Some(report) = report.as_any().downcast_ref() else { continue };
            let fates = history.report(at, report);
            assert!(fates.len() <= MOST && history.packets.len() <= MOST);
            assert!(fates.iter().all(|fate| fate.sent.into_std() >= begun));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::rtcp::transport_feedbacks::transport_layer_cc::{
        RecvDelta, RunLengthChunk, StatusVectorChunk,
    };

    const GONE: SymbolTypeTcc = SymbolTypeTcc::PacketNotReceived;
    const CAME: SymbolTypeTcc = SymbolTypeTcc::PacketReceivedSmallDelta;

    fn report(first: u16, reference_time: u32, symbols: &[SymbolTypeTcc]) -> TransportLayerCc {
        let came = symbols.iter().filter(|symbol| **symbol == CAME).count();
        let delta = RecvDelta { type_tcc_packet: CAME, delta: 1_000 };
        TransportLayerCc {
            base_sequence_number: first,
            packet_status_count: symbols.len() as u16,
            reference_time,
            packet_chunks: vec![PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
                symbol_list: symbols.to_vec(),
                ..StatusVectorChunk::default()
            })],
            recv_deltas: vec![delta; came],
            ..TransportLayerCc::default()
        }
    }

    #[test]
    fn a_late_packet_is_no_lost_packet() {
        let (mut history, begun) = (History::default(), Instant::now());
        for n in 0..40 {
            assert_eq!(history.send(begun + Duration::from_millis(n * 20), 100), n as u16);
        }
        let fates = history.report(begun, &report(0, 1, &[CAME, GONE, CAME]));
        let arrivals: Vec<_> = fates.iter().map(|fate| fate.arrival_us).collect();
        assert_eq!(arrivals, [Some(65_000), Some(66_000)]);
        // It was overtaken.
        let fates = history.report(begun, &report(1, 2, &[CAME]));
        assert_eq!(fates.len(), 1);
        // What is said twice is told once.
        assert!(history.report(begun, &report(0, 2, &[CAME, CAME, CAME])).is_empty());
        assert!(history.report(begun, &report(3, 2, &[GONE])).is_empty());
        // 240 ms after number 3 left, and 260 ms.
        assert_eq!(history.report(begun, &report(15, 3, &[CAME])).len(), 1);
        let fates = history.report(begun, &report(16, 3, &[CAME]));
        let lost = fates.iter().filter(|fate| fate.arrival_us.is_none()).count();
        assert_eq!((fates.len(), lost), (2, 1));
    }

    #[test]
    fn a_lost_report_takes_no_packets_with_it() {
        let (mut history, begun) = (History::default(), Instant::now());
        for n in 0..40 {
            history.send(begun + Duration::from_millis(n * 20), 100);
        }
        history.report(begun, &report(0, 1, &[CAME, CAME, GONE]));
        // The one on 3 to 19 was lost. Number 2 is what is known to have been.
        let fates = history.report(begun, &report(20, 3, &[CAME, CAME]));
        let lost: Vec<_> = fates.iter().filter(|fate| fate.arrival_us.is_none()).collect();
        assert_eq!((fates.len(), lost.len()), (3, 1));
        assert_eq!(lost[0].sent.into_std(), begun + Duration::from_millis(40));
    }

    #[test]
    fn numbers_and_the_reference_wrap() {
        let (mut history, begun) = (History::default(), Instant::now());
        for n in 0..70_000 {
            history.send(begun + Duration::from_millis(n), 100);
        }
        let last = 69_999_u32 as u16;
        let before = history.report(begun, &report(last - 1, (1 << 24) - 1, &[CAME]));
        let after = history.report(begun, &report(last, 0, &[CAME]));
        let arrival = |fates: &[PacketFate]| fates.iter().rev().find_map(|fate| fate.arrival_us);
        assert_eq!(arrival(&after).unwrap() - arrival(&before).unwrap(), TICK_US);
        assert!(history.packets.len() <= MOST);
    }

    #[test]
    fn a_report_that_says_more_than_it_can_know_is_harmless() {
        let (mut history, begun) = (History::default(), Instant::now());
        history.send(begun, 100);
        let run = RunLengthChunk {
            packet_status_symbol: CAME,
            run_length: 0x1fff,
            ..RunLengthChunk::default()
        };
        let chunks = vec![PacketStatusChunk::RunLengthChunk(run); 500];
        let hostile = TransportLayerCc {
            packet_status_count: u16::MAX,
            packet_chunks: chunks,
            ..report(0, 1, &[CAME])
        };
        assert_eq!(history.report(begun, &hostile).len(), 1);
    }
}
