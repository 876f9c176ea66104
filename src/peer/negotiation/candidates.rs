//! Which of the remote's candidates are used.

use crate::rtc::sdp::SdpFacts;
use crate::wire::IceCandidate;

/// Candidates of one generation (JavaScript SDK 1.2.0).
pub(super) const MAX_CANDIDATES: usize = 200;
/// Characters of one candidate (JavaScript SDK 1.2.0).
const MAX_CANDIDATE_CHARS: usize = 1_000;
/// Characters of what says where it belongs: a fragment has no more (RFC 8839 section 5.4).
const MAX_TAG_CHARS: usize = 256;

/// The remote's candidates: of the present generation, none of an ignored offer, not too many.
#[derive(Debug, Default)]
pub(super) struct RemoteCandidates {
    /// The generation: the user name fragment of the last description.
    ufrag: Option<String>,
    /// Whether the last description began it.
    begun: bool,
    /// The generation of an offer that lost a collision.
    ignored: Option<Option<String>>,
    /// From before the first description.
    early: Vec<IceCandidate>,
    count: usize,
    /// Whether the remote named any address, of use or not.
    any: bool,
    dropped: u64,
}

impl RemoteCandidates {
    /// A description begins a generation, or goes on with one.
    pub(super) fn begin(&mut self, facts: &SdpFacts) {
        self.begun = !self.is_of(facts);
        if self.begun {
            self.count = 0;
        }
        self.ufrag.clone_from(&facts.ice_ufrag);
        self.count += facts.candidates;
        self.any |= facts.candidates > 0;
        self.ignored = None;
    }

    pub(super) fn is_of(&self, facts: &SdpFacts) -> bool {
        self.ufrag == facts.ice_ufrag
    }

    /// Whether the last description began a generation.
    pub(super) fn begins_generation(&self) -> bool {
        self.begun
    }

    /// An offer is not taken: neither are its candidates.
    pub(super) fn ignore(&mut self, ufrag: Option<String>) {
        self.ignored = Some(ufrag);
    }

    pub(super) fn any(&self) -> bool {
        self.any
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn early_bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let size = |candidate: &IceCandidate| {
            let tags = text(&candidate.sdp_mid) + text(&candidate.username_fragment);
            candidate.candidate.len() + tags
        };
        self.early.iter().map(size).sum()
    }

    /// What to tell the engine, if anything.
    pub(super) fn take(
        &mut self,
        candidate: Option<IceCandidate>,
        established: bool,
    ) -> Option<IceCandidate> {
        // The end of candidates changes nothing for the engine: it never waits for it.
        let candidate = candidate.filter(|candidate| !candidate.candidate.is_empty())?;
        let fragment = candidate.username_fragment.as_deref().filter(|text| !text.is_empty());
        let ignored = self.ignored.as_ref().is_some_and(|ignored| match (fragment, ignored) {
            (Some(fragment), Some(ignored)) => fragment == ignored,
            // It follows the ignored offer and does not say where it belongs.
            (None, _) => true,
            (Some(_), None) => false,
        });
        let stale = established
            && match (fragment, self.ufrag.as_deref()) {
                (Some(fragment), Some(current)) => fragment != current,
                _ => false,
            };
        // A hidden address (draft-ietf-mmusic-mdns-ice-candidates) is not looked up: the remote reaches us.
        let hidden =
            candidate.candidate.split(' ').nth(4).is_some_and(|host| host.ends_with(".local"));
        let long = candidate.candidate.len() > MAX_CANDIDATE_CHARS
            || [&candidate.username_fragment, &candidate.sdp_mid]
                .into_iter()
                .flatten()
                .any(|tag| tag.len() > MAX_TAG_CHARS);
        self.any |= !ignored && !stale;
        if ignored || stale || hidden || long || self.count >= MAX_CANDIDATES {
            self.dropped += 1;
            return None;
        }
        self.count += 1;
        if established {
            return Some(candidate);
        }
        self.early.push(candidate);
        None
    }

    /// Those that came before the first description and belong to it, the last one first.
    pub(super) fn early(&mut self) -> Vec<IceCandidate> {
        let mut early = std::mem::take(&mut self.early);
        self.count = self.count.saturating_sub(early.len());
        early.reverse();
        early
    }
}

/// Fills in what browsers want to know of a candidate. All m-lines share the first one's transport.
pub(super) fn completed(candidate: IceCandidate, local_sdp: &str) -> IceCandidate {
    let facts = SdpFacts::read(local_sdp).unwrap_or_default();
    IceCandidate {
        candidate: candidate.candidate,
        sdp_mid: facts.mids.into_iter().next().or(Some(String::from("0"))),
        sdp_m_line_index: Some(0),
        username_fragment: facts.ice_ufrag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(text: &str, fragment: Option<&str>) -> Option<IceCandidate> {
        let username_fragment = fragment.map(str::to_owned);
        Some(IceCandidate { candidate: text.into(), username_fragment, ..Default::default() })
    }

    fn facts(fragment: &str) -> SdpFacts {
        SdpFacts::read(&format!("a=ice-ufrag:{fragment}\n")).unwrap()
    }

    const HOST: &str = "candidate:1 1 udp 1 127.0.0.1 9 typ host";

    #[test]
    fn only_the_present_generation_counts() {
        let mut candidates = RemoteCandidates::default();
        candidates.begin(&facts("a"));
        assert!(candidates.take(candidate(HOST, Some("a")), true).is_some());
        assert!(candidates.take(candidate(HOST, None), true).is_some());
        assert!(candidates.take(candidate(HOST, Some("b")), true).is_none());
        candidates.ignore(Some("c".into()));
        assert!(candidates.take(candidate(HOST, None), true).is_none());
        assert!(candidates.take(candidate(HOST, Some("a")), true).is_some());
        candidates.begin(&facts("d"));
        assert!(candidates.take(candidate(HOST, None), true).is_some());
        assert_eq!(candidates.dropped(), 2);
    }

    #[test]
    fn a_flood_is_cut_off_and_ends_with_the_generation() {
        let mut candidates = RemoteCandidates::default();
        candidates.begin(&facts("a"));
        let taken = (0..10_000).filter(|_| candidates.take(candidate(HOST, None), true).is_some());
        assert_eq!(taken.count(), MAX_CANDIDATES);
        candidates.begin(&facts("b"));
        assert!(candidates.take(candidate(HOST, None), true).is_some());
        assert!(candidates.take(candidate(&"x".repeat(2_000), None), true).is_none());
        assert!(candidates.take(candidate("candidate:1 1 udp 1 x.local 9", None), true).is_none());
        assert!(candidates.take(candidate(HOST, Some(&"f".repeat(300))), false).is_none());
        assert!(candidates.early().is_empty());
        assert!(candidates.take(None, true).is_none());
    }

    #[test]
    fn a_hidden_address_is_one_that_was_named_and_the_end_of_candidates_is_none() {
        let mut candidates = RemoteCandidates::default();
        candidates.begin(&facts("a"));
        candidates.take(None, true);
        candidates.take(candidate(HOST, Some("other")), true);
        assert!(!candidates.any());
        candidates.take(candidate("candidate:1 1 udp 1 x.local 9", None), true);
        assert!(candidates.any());

        let mut described = RemoteCandidates::default();
        let sdp = format!("a=ice-ufrag:a\na={HOST}\n");
        described.begin(&SdpFacts::read(&sdp).unwrap());
        assert!(described.any());
    }

    #[test]
    fn early_ones_wait_for_the_first_description() {
        let mut candidates = RemoteCandidates::default();
        assert!(candidates.take(candidate(HOST, Some("a")), false).is_none());
        assert_eq!(candidates.early().len(), 1);
        assert!(candidates.early().is_empty());
    }
}
