//! What STUN and TURN servers answer, read on the way: pure.
//!
//! The crate logs a refusal and goes on; here it becomes an event. RFC 8489 section 5 has the header,
//! RFC 8656 section 18 the codes.

use std::collections::HashMap;
use std::time::Duration;

/// No answer to the first request of a series within this: the server does not serve.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests that are remembered; each is forgotten with its answer.
pub(super) const MAX_PENDING: usize = 64;
const HEADER: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const ATTRIBUTE_MESSAGE_INTEGRITY: u16 = 0x0008;
const ATTRIBUTE_ERROR_CODE: u16 = 0x0009;
const ATTRIBUTE_DATA: u16 = 0x0013;
const CHANNEL_DATA_HEADER: usize = 4;
const UNAUTHORIZED: u16 = 401;
const STALE_NONCE: u16 = 438;
const WRONG_CREDENTIALS: u16 = 441;
/// Methods that ask for one address of a remote (RFC 8656 section 17).
const CREATE_PERMISSION: u16 = 0x0008;
const CHANNEL_BIND: u16 = 0x0009;
const CLASS_BITS: u16 = 0x0110;
pub(super) const MAX_REASON_CHARS: usize = 128;

/// A refusal of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// STUN error code, 300 to 699.
    pub(super) code: u16,
    /// The server's words, printable and bounded.
    pub(super) reason: String,
    /// It will not relay to one address; to others it may.
    pub(super) of_address: bool,
}

impl Refusal {
    /// Whether the server refused nothing but the address; credentials may be refused at any request.
    const fn is_of_address_alone(&self) -> bool {
        self.of_address && !matches!(self.code, UNAUTHORIZED | WRONG_CREDENTIALS)
    }

    /// What apps know it by.
    pub(super) const fn stable_code(&self) -> &'static str {
        match self.code {
            UNAUTHORIZED | WRONG_CREDENTIALS => "turn_unauthorized",
            _ if self.is_of_address_alone() => "turn_address_refused",
            _ => "turn_refused",
        }
    }
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The server serves, or asks for credentials as it should.
    Fine,
    /// It does not.
    Refused(Refusal),
    /// No answer to a request that is known.
    Unrelated,
}

/// The exchange with one server over one socket.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Transactions without an answer, and whether they carried credentials.
    pending: HashMap<[u8; 12], bool>,
    /// The server answered something.
    heard: bool,
    /// A refusal was told, and nothing succeeded since.
    told: bool,
    /// That an address was refused was told. Most relays refuse private ones, of which a remote may have many.
    told_of_address: bool,
}

impl Watch {
    /// A datagram leaves for the server. Whether it begins a series of requests that must be answered.
    pub(super) fn sent(&mut self, datagram: &[u8]) -> bool {
        let Some((class, transaction)) = header(datagram) else { return false };
        if class != Class::Request || self.pending.contains_key(&transaction) {
            return false;
        }
        let first = self.pending.is_empty() && !self.heard;
        if self.pending.len() < MAX_PENDING {
            let signed = attributes(datagram).any(|(kind, _)| kind == ATTRIBUTE_MESSAGE_INTEGRITY);
            self.pending.insert(transaction, signed);
        }
        first
    }

    /// A datagram came from the server.
    pub(super) fn received(&mut self, datagram: &[u8]) -> Answer {
        let Some((class, transaction)) = header(datagram) else { return Answer::Unrelated };
        if !matches!(class, Class::Success | Class::Error) {
            return Answer::Unrelated;
        }
        let Some(signed) = self.pending.remove(&transaction) else { return Answer::Unrelated };
        self.heard = true;
        let refusal = (class == Class::Error).then(|| refusal(datagram)).flatten();
        match refusal {
            None => {
                self.told = false;
                Answer::Fine
            }
            // The first request has no credentials: being asked for them is how it begins.
            Some(Refusal { code: UNAUTHORIZED, .. }) if !signed => Answer::Fine,
            Some(Refusal { code: STALE_NONCE, .. }) => Answer::Fine,
            Some(refusal) if refusal.is_of_address_alone() => {
                match std::mem::replace(&mut self.told_of_address, true) {
                    true => Answer::Fine,
                    false => Answer::Refused(refusal),
                }
            }
            Some(_) if std::mem::replace(&mut self.told, true) => Answer::Fine,
            Some(refusal) => Answer::Refused(refusal),
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Whether the server has answered anything.
    pub(super) fn was_heard(&self) -> bool {
        self.heard
    }

    /// The way to the server broke: what was pending will not be answered. Whether anything was.
    pub(super) fn broken(&mut self) -> bool {
        let lost = !self.pending.is_empty() || !self.heard;
        self.pending.clear();
        self.heard = false;
        lost && !std::mem::replace(&mut self.told, true)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// Class and transaction of a STUN message.
pub(super) fn header(datagram: &[u8]) -> Option<(Class, [u8; 12])> {
    let head = datagram.get(..HEADER)?;
    if head[0] & 0xc0 != 0 || head[4..8] != MAGIC_COOKIE {
        return None;
    }
    let class = match (head[0] & 1, head[1] & 0x10) {
        (0, 0) => Class::Request,
        (0, _) => Class::Indication,
        (_, 0) => Class::Success,
        (_, _) => Class::Error,
    };
    Some((class, head[8..20].try_into().ok()?))
}

/// What a datagram carries by a relay (RFC 8656 sections 11 and 12); itself if it is no relay's.
pub(super) fn unwrapped(datagram: &[u8]) -> &[u8] {
    match datagram.first() {
        Some(0x40..=0x4f) => datagram.get(CHANNEL_DATA_HEADER..).unwrap_or_default(),
        Some(0..=3) => attributes(datagram)
            .find(|(kind, _)| *kind == ATTRIBUTE_DATA)
            .map_or(datagram, |(_, value)| value),
        _ => datagram,
    }
}

pub(super) fn attributes(datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = datagram.get(HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let head = rest.get(..4)?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = rest.get(4..4 + length)?;
        rest = rest.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn refusal(datagram: &[u8]) -> Option<Refusal> {
    let (_, value) = attributes(datagram).find(|(kind, _)| *kind == ATTRIBUTE_ERROR_CODE)?;
    let (class, number) = (value.get(2)? & 7, value.get(3)?);
    let reason = String::from_utf8_lossy(value.get(4..)?);
    let method = u16::from_be_bytes([*datagram.first()?, *datagram.get(1)?]) & !CLASS_BITS;
    Some(Refusal {
        code: u16::from(class) * 100 + u16::from(*number),
        of_address: matches!(method, CREATE_PERMISSION | CHANNEL_BIND),
        reason: reason.chars().filter(|c| !c.is_control()).take(MAX_REASON_CHARS).collect(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::rtc::runtime) fn message(
        kind: u16,
        id: u8,
        attributes: &[(u16, &[u8])],
    ) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend_from_slice(&kind.to_be_bytes());
            body.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut all = kind.to_be_bytes().to_vec();
        all.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        all.extend_from_slice(&MAGIC_COOKIE);
        all.extend_from_slice(&[id; 12]);
        all.extend_from_slice(&body);
        all
    }

    fn error(id: u8, code: u16, reason: &str) -> Vec<u8> {
        let mut value = vec![0, 0, u8::try_from(code / 100).unwrap(), (code % 100) as u8];
        value.extend_from_slice(reason.as_bytes());
        message(0x0113, id, &[(ATTRIBUTE_ERROR_CODE, &value)])
    }

    const ALLOCATE: u16 = 0x0003;
    const SIGNED: &[(u16, &[u8])] = &[(ATTRIBUTE_MESSAGE_INTEGRITY, &[0; 20])];

    #[test]
    fn being_asked_for_credentials_is_fine_and_their_refusal_is_told_once() {
        let mut watch = Watch::default();
        assert!(watch.sent(&message(ALLOCATE, 1, &[])));
        assert!(!watch.was_heard());
        assert_eq!(watch.received(&error(1, 401, "Unauthorized")), Answer::Fine);
        assert!(watch.was_heard());
        for (id, wanted) in [(2, true), (3, false)] {
            assert!(!watch.sent(&message(ALLOCATE, id, SIGNED)));
            let answer = watch.received(&error(id, 401, "Un\u{7}authorized"));
            let refusal = Refusal { code: 401, reason: "Unauthorized".into(), of_address: false };
            assert_eq!(answer == Answer::Refused(refusal), wanted);
        }
    }

    #[test]
    fn a_stale_nonce_is_routine_and_success_makes_the_next_refusal_news() {
        let mut watch = Watch::default();
        watch.sent(&message(ALLOCATE, 1, SIGNED));
        assert_eq!(watch.received(&error(1, 438, "Stale")), Answer::Fine);
        watch.sent(&message(ALLOCATE, 2, SIGNED));
        assert!(matches!(watch.received(&error(2, 486, "Quota")), Answer::Refused(_)));
        watch.sent(&message(ALLOCATE, 3, SIGNED));
        assert_eq!(watch.received(&message(0x0103, 3, &[])), Answer::Fine);
        watch.sent(&message(ALLOCATE, 4, SIGNED));
        assert!(matches!(watch.received(&error(4, 486, "Quota")), Answer::Refused(_)));
    }

    #[test]
    fn an_address_that_is_refused_is_no_fault_of_the_credentials_and_told_once() {
        let mut watch = Watch::default();
        let mut told = Vec::new();
        for (id, code) in [(1, 403), (2, 443), (3, 403), (4, 441), (5, 441)] {
            watch.sent(&message(CREATE_PERMISSION, id, SIGNED));
            let mut answer = error(id, code, "Forbidden IP");
            answer[1] = 0x18;
            if let Answer::Refused(refusal) = watch.received(&answer) {
                told.push((refusal.code, refusal.stable_code()));
            }
        }
        assert_eq!(told, [(403, "turn_address_refused"), (441, "turn_unauthorized")]);
        let mut watch = Watch::default();
        watch.sent(&message(ALLOCATE, 1, SIGNED));
        let Answer::Refused(refusal) = watch.received(&error(1, 403, "Forbidden")) else {
            panic!("told");
        };
        assert_eq!((refusal.stable_code(), refusal.of_address), ("turn_refused", false));
    }

    #[test]
    fn a_repetition_is_no_new_request_and_strangers_are_unrelated() {
        let mut watch = Watch::default();
        let request = message(ALLOCATE, 1, &[]);
        assert!(watch.sent(&request));
        assert!(!watch.sent(&request));
        assert_eq!(watch.received(&error(9, 401, "x")), Answer::Unrelated);
        assert_eq!(watch.received(b"\x40\x00\x00\x04data"), Answer::Unrelated);
        assert_eq!(watch.received(&[]), Answer::Unrelated);
        assert!(watch.broken());
        assert!(!watch.broken(), "told once");
    }

    #[test]
    fn what_a_relay_carries_is_found() {
        assert_eq!(unwrapped(b"\x40\x01\x00\x02hi"), b"hi");
        assert_eq!(unwrapped(&message(0x0017, 1, &[(ATTRIBUTE_DATA, b"hi")])), b"hi");
        assert_eq!(unwrapped(b"\x16hi"), b"\x16hi");
        for nothing in [&b"\x40"[..], b"\x00", b""] {
            assert!(unwrapped(nothing).len() <= nothing.len());
        }
    }

    #[test]
    fn a_truncated_attribute_ends_the_reading() {
        let mut broken = error(1, 401, "Unauthorized");
        broken.truncate(26);
        let mut watch = Watch::default();
        watch.sent(&message(ALLOCATE, 1, SIGNED));
        assert_eq!(watch.received(&broken), Answer::Fine);
    }
}
