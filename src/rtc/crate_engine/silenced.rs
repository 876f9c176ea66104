//! m-lines on which our answer does not promise to send, although the crate (0.21.1) believes so until the next offer.
//!
//! It answers `sendonly` by `sendrecv` where it has a track; what leaves says `recvonly`
//! ([`Directions::allowed`](crate::rtc::sdp::Directions::allowed)). Without this the track's source would be told that
//! the remote takes it, and packets and sender reports would go to who awaits none.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::rtc::sdp::media_sections;

/// Those of one connection, by their tags.
#[derive(Default)]
pub(super) struct Silenced(Mutex<BTreeSet<String>>);

impl Silenced {
    /// The crate's answer, and what left of it.
    pub(super) fn answered(&self, of_the_crate: &str, sent: &str) {
        let sending = |sdp: &str| -> BTreeSet<String> {
            let sections = media_sections(sdp).into_iter().filter(|section| section.sends);
            sections.map(|section| section.mid).collect()
        };
        self.set(sending(of_the_crate).difference(&sending(sent)).cloned().collect());
    }

    /// The remote answered: what it says is what the crate believes.
    pub(super) fn was_answered(&self) {
        self.set(BTreeSet::new());
    }

    fn set(&self, silenced: BTreeSet<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = silenced;
    }

    pub(super) fn has(&self, mid: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(mid)
    }
}
