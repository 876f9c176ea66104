//! What a TURN server sends, read as the carrier and the watch read it: for the property tests and for the
//! fuzzer.
#![allow(clippy::unwrap_used)] // a check: it fails by panicking

use bytes::{Bytes, BytesMut};

use super::carrier::{frame, next_frame};
use super::watch::{Answer, MAX_PENDING, MAX_REASON_CHARS, Watch};

/// Any bytes of a server: cut in any way they give the same messages, and none brings the watch out of step.
pub(crate) fn turn(bytes: &[u8]) {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let whole = messages(stream, stream.len().max(1));
    let pieces = messages(stream, usize::from(*cut % 32) + 1);
    assert_eq!(whole, pieces, "the cuts of a stream changed its messages");
    let mut again = BytesMut::new();
    for message in &whole {
        frame(message, &mut again);
    }
    assert_eq!(messages(&again, again.len().max(1)), whole, "what is written is read");
    watch(&whole);
}

/// The messages of a stream that arrives in pieces, until it speaks something else.
fn messages(stream: &[u8], piece: usize) -> Vec<Bytes> {
    let (mut received, mut found) = (BytesMut::new(), Vec::new());
    for piece in stream.chunks(piece) {
        received.extend_from_slice(piece);
        loop {
            match next_frame(&mut received) {
                Ok(Some(message)) => found.push(message),
                Ok(None) => break,
                Err(_) => return found,
            }
        }
    }
    found
}

/// Each message is sent and received, in turn.
fn watch(messages: &[Bytes]) {
    let mut watch = Watch::default();
    for (n, message) in messages.iter().enumerate() {
        if n % 2 == 0 {
            watch.sent(message);
            // The server's answer to a request: the same with the class changed.
            if message.len() >= 2 {
                let mut answer = message.to_vec();
                answer[0] |= 1;
                answer[1] |= 0x10;
                told(&watch.received(&answer));
            }
        } else {
            told(&watch.received(message));
        }
        assert!(watch.pending() <= MAX_PENDING);
    }
    // The first break may have lost nothing; the next one has.
    watch.broken();
    watch.broken();
    assert_eq!(watch.pending(), 0);
    assert!(!watch.broken(), "told once");
}

fn told(answer: &Answer) {
    if let Answer::Refused(refusal) = answer {
        assert!(refusal.reason.chars().count() <= MAX_REASON_CHARS);
        assert!(!refusal.reason.contains(char::is_control));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_a_server_sends(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            super::turn(&bytes);
        }
    }

    #[test]
    fn a_break_that_lost_nothing_is_not_told() {
        super::turn(&[&[0][..], &REQUEST, &[0x01, 0x01, 0, 0], &REQUEST[4..]].concat());
    }

    const REQUEST: [u8; 20] = *b"\x00\x03\x00\x00\x21\x12\xa4\x42twelve bytes";

    #[test]
    fn a_refusal_is_read_on_the_way() {
        let attribute = b"\x00\x09\x00\x08\x00\x00\x04\x56Full";
        let mut stream = vec![3];
        for id in 0..8 {
            stream.extend_from_slice(b"\x00\x03\x00\x0c\x21\x12\xa4\x42");
            stream.extend_from_slice(&[id; 12]);
            stream.extend_from_slice(attribute);
        }
        super::turn(&stream);
    }
}
