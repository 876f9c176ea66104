//! The last flight of a DTLS handshake, sent again when it seems lost: pure.
//!
//! The crate (0.21.1) forgets its timer with whatever handshake message comes, also one that it has seen. A
//! server whose flight was lost hears the client repeat itself, answers nothing, and the handshake is dead:
//! every tenth connection at a loss of 5 %. So the flight is kept here, and sent again when the other side
//! repeats its own (RFC 6347 section 4.2.4), or when nothing comes for a while. A repetition is the same
//! records, which a receiver drops or takes like any datagram that the network doubled.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

/// First wait for an answer; doubled with each repetition. The crate's own is a second.
const FIRST_WAIT: Duration = Duration::from_millis(400);
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// Repetitions of one flight.
const MAX_TRIES: u32 = 10;
/// The other side's repetition has several datagrams; one answer is enough.
const ANSWER_PAUSE: Duration = Duration::from_millis(100);
/// Datagrams of one flight. A certificate chain of a browser fits into three.
const MAX_FLIGHT: usize = 16;
/// Handshake messages, or fragments of them, that are remembered.
const MAX_SEEN: usize = 128;
const RECORD_HEADER: usize = 13;
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// A datagram and where it went.
type Sent = (SocketAddr, Vec<u8>);

/// One handshake, as its datagrams show it.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    flight: Vec<Sent>,
    /// Message and offset of what came.
    seen: HashSet<(u16, u32)>,
    /// Something new came since our flight: the next datagram of ours begins another.
    answered: bool,
    tries: u32,
    due: Option<Duration>,
    last_repetition: Option<Duration>,
    over: bool,
}

impl Handshake {
    /// Whether data flows: then nothing needs a look any more.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// A datagram leaves, by itself or wrapped for a relay.
    pub(super) fn sent(&mut self, now: Duration, to: SocketAddr, datagram: &[u8], dtls: &[u8]) {
        if self.over || !matches!(dtls.first(), Some(&(HANDSHAKE | CHANGE_CIPHER_SPEC))) {
            return;
        }
        let repeated = || self.flight.first().is_some_and(|(_, first)| first == datagram);
        if std::mem::take(&mut self.answered) || repeated() {
            self.flight.clear();
            self.tries = 0;
        }
        if self.flight.len() < MAX_FLIGHT {
            self.flight.push((to, datagram.to_vec()));
            self.due = Some(now + FIRST_WAIT);
        }
    }

    /// A datagram came.
    pub(super) fn received(&mut self, now: Duration, dtls: &[u8]) {
        if self.over {
            return;
        }
        // RFC 7983 section 7: RTP and RTCP begin so.
        if dtls.first().is_some_and(|first| *first >= 128) {
            return self.end();
        }
        let (mut new, mut repeated) = (false, false);
        for record in records(dtls) {
            match record {
                Record::Data | Record::Alert => return self.end(),
                Record::Message(key) if self.seen.contains(&key) => repeated = true,
                Record::Message(key) => {
                    new = true;
                    if self.seen.len() < MAX_SEEN {
                        self.seen.insert(key);
                    }
                }
                // Nothing can be read of it; what comes with it is in the clear.
                Record::Encrypted => {}
            }
        }
        if new {
            self.answered = true;
            self.due = None;
        } else if repeated && self.last_repetition.is_none_or(|last| now >= last + ANSWER_PAUSE) {
            self.due = Some(now);
        }
    }

    /// When the flight is due to be sent again.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due.filter(|_| !self.over && !self.flight.is_empty() && self.tries < MAX_TRIES)
    }

    /// The flight, if it is due.
    pub(super) fn repetition(&mut self, now: Duration) -> Option<&[Sent]> {
        if self.due()? > now {
            return None;
        }
        let wait = FIRST_WAIT.saturating_mul(2 << self.tries.min(8)).min(LONGEST_WAIT);
        self.tries += 1;
        self.due = Some(now + wait);
        self.last_repetition = Some(now);
        Some(&self.flight)
    }

    fn end(&mut self) {
        *self = Self { over: true, ..Self::default() };
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Record {
    /// A handshake message in the clear, or a fragment: its number and the fragment's offset.
    Message((u16, u32)),
    /// A handshake message that is not in the clear, or the change to that.
    Encrypted,
    Alert,
    Data,
}

/// The records of a datagram; what is no DTLS has none.
fn records(datagram: &[u8]) -> impl Iterator<Item = Record> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let head = rest.get(..RECORD_HEADER)?;
        let length = usize::from(u16::from_be_bytes([head[11], head[12]]));
        let body = rest.get(RECORD_HEADER..RECORD_HEADER + length)?;
        rest = &rest[RECORD_HEADER + length..];
        let in_the_clear = head[3..5] == [0, 0];
        Some(match head[0] {
            HANDSHAKE if in_the_clear => {
                let message = body.get(..9)?;
                let number = u16::from_be_bytes([message[4], message[5]]);
                let offset = u32::from_be_bytes([0, message[6], message[7], message[8]]);
                Record::Message((number, offset))
            }
            HANDSHAKE | CHANGE_CIPHER_SPEC => Record::Encrypted,
            ALERT => Record::Alert,
            APPLICATION_DATA => Record::Data,
            _ => return None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(5);

    fn to() -> SocketAddr {
        ([127, 0, 0, 1], 9).into()
    }

    fn record(kind: u8, epoch: u8, number: u8) -> Vec<u8> {
        let mut all = vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, number, 0, 12];
        all.extend_from_slice(&[1, 0, 0, 0, 0, number, 0, 0, 0, 0, 0, 0]);
        all
    }

    fn sent(handshake: &mut Handshake, now: Duration, datagram: &[u8]) {
        handshake.sent(now, to(), datagram, datagram);
    }

    fn repeated(handshake: &mut Handshake, now: Duration) -> usize {
        handshake.repetition(now).map_or(0, <[_]>::len)
    }

    #[test]
    fn a_flight_without_an_answer_is_sent_again_less_and_less_often() {
        let mut handshake = Handshake::default();
        sent(&mut handshake, NOW, &record(HANDSHAKE, 0, 0));
        sent(&mut handshake, NOW, &record(HANDSHAKE, 0, 1));
        let mut waits = Vec::new();
        let mut now = NOW;
        while let Some(due) = handshake.due() {
            assert_eq!(repeated(&mut handshake, due - Duration::from_millis(1)), 0);
            assert_eq!(repeated(&mut handshake, due), 2);
            waits.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(waits, [400, 800, 1_600, 3_000, 3_000, 3_000, 3_000, 3_000, 3_000, 3_000]);
    }

    #[test]
    fn the_other_sides_repetition_is_answered_once_at_once() {
        let mut handshake = Handshake::default();
        let hello = record(HANDSHAKE, 0, 0);
        handshake.received(NOW, &hello);
        sent(&mut handshake, NOW, &record(HANDSHAKE, 0, 7));
        assert_eq!(repeated(&mut handshake, NOW), 0);
        handshake.received(NOW, &hello);
        handshake.received(NOW, &hello);
        assert_eq!(repeated(&mut handshake, NOW), 1);
        handshake.received(NOW, &hello);
        assert_eq!(repeated(&mut handshake, NOW), 0);
        handshake.received(NOW + ANSWER_PAUSE, &hello);
        assert_eq!(repeated(&mut handshake, NOW + ANSWER_PAUSE), 1);
    }

    #[test]
    fn an_answer_ends_the_flight_and_data_ends_the_handshake() {
        let mut handshake = Handshake::default();
        sent(&mut handshake, NOW, &record(HANDSHAKE, 0, 0));
        handshake.received(NOW, &record(HANDSHAKE, 0, 3));
        assert_eq!(handshake.due(), None);
        sent(&mut handshake, NOW, &record(CHANGE_CIPHER_SPEC, 0, 1));
        sent(&mut handshake, NOW, &record(HANDSHAKE, 1, 1));
        handshake.received(NOW, &record(HANDSHAKE, 1, 1));
        // What is encrypted tells nothing: the flight is still unanswered.
        assert_eq!(repeated(&mut handshake, NOW + FIRST_WAIT), 2);
        handshake.received(NOW, &record(APPLICATION_DATA, 1, 2));
        assert!(handshake.is_over());
        sent(&mut handshake, NOW, &record(HANDSHAKE, 0, 0));
        assert_eq!(handshake.due(), None);
    }

    #[test]
    fn whatever_comes_is_bounded_and_nothing_panics() {
        let mut handshake = Handshake::default();
        for n in 0..100_000_u32 {
            let mut message = record(HANDSHAKE, 0, 0);
            message[17..19].copy_from_slice(&u16::try_from(n % 65_536).unwrap().to_be_bytes());
            handshake.received(NOW, &message[..(n % 26) as usize]);
            handshake.received(NOW, &message);
            handshake.answered = false;
            sent(&mut handshake, NOW, &message);
        }
        assert!(handshake.seen.len() <= MAX_SEEN && handshake.flight.len() <= MAX_FLIGHT);
    }
}
