//! The last datagrams of the data channels, sent again over a new path: pure.
//!
//! What was under way when a path broke is lost, and SCTP sends it again when its timer says so: after a
//! second at least (RFC 9260 section 16), after half a minute if the path was away for that long. As soon as
//! there is a path again, the last datagrams are sent once more: the same DTLS records, so that a receiver
//! drops those that it has (RFC 6347 section 4.1.2.6).

use std::collections::VecDeque;

/// As many as a receiver's window for repetitions remembers.
const MAX_DATAGRAMS: usize = 64;
/// First byte of a DTLS record with data (RFC 7983 section 7).
const APPLICATION_DATA: u8 = 23;

/// The last datagrams with data.
#[derive(Debug, Default)]
pub(super) struct Recent {
    datagrams: VecDeque<Vec<u8>>,
}

impl Recent {
    /// A datagram leaves.
    pub(super) fn sent(&mut self, datagram: &[u8]) {
        if datagram.first() != Some(&APPLICATION_DATA) {
            return;
        }
        let mut kept = match self.datagrams.len() < MAX_DATAGRAMS {
            true => Vec::with_capacity(datagram.len()),
            // Its memory serves again.
            false => self.datagrams.pop_front().unwrap_or_default(),
        };
        kept.clear();
        kept.extend_from_slice(datagram);
        self.datagrams.push_back(kept);
    }

    /// All of them, the oldest first.
    pub(super) fn all(&self) -> Vec<Vec<u8>> {
        self.datagrams.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_with_data_are_kept() {
        let mut recent = Recent::default();
        for n in 0..=u8::MAX {
            recent.sent(&[APPLICATION_DATA, n]);
            recent.sent(&[22, n]);
            recent.sent(&[]);
        }
        let all = recent.all();
        assert_eq!(all.len(), MAX_DATAGRAMS);
        assert_eq!((&all[0][..], &all[63][..]), (&[23, 192][..], &[23, 255][..]));
    }
}
