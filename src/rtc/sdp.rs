//! The few things that must be read from a description, without a parser of the whole: pure, bounded.
//!
//! A description is text of a stranger: what is not there is `None`, nothing fails.

use std::collections::{BTreeMap, BTreeSet};

use super::engine::MediaKind;
use super::h264::Profile;

/// Bytes of a description that is looked at. A call with a dozen tracks has about 20 KiB.
pub(crate) const MAX_SDP_BYTES: usize = 256 * 1024;
/// m-lines of a description that is accepted.
pub(crate) const MAX_MEDIA_SECTIONS: usize = 256;

/// Codecs of a description that are looked at: a browser names a dozen of each kind.
const MAX_CODECS: usize = 64;
/// Streams of one track that are looked at.
const MAX_STREAMS: usize = 16;

/// An m-line, as far as the descriptions to come must keep to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Such as `audio`.
    media: String,
    /// Whether it is in use: one that is not may be taken for something else (RFC 9429 section 5.2.2).
    in_use: bool,
}

/// What matters for negotiation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SdpFacts {
    /// The m-lines, in order.
    pub(crate) lines: Vec<Line>,
    /// `a=mid` of each m-line, in order.
    pub(crate) mids: Vec<String>,
    /// The first `a=ice-ufrag`: the generation of the candidates.
    pub(crate) ice_ufrag: Option<String>,
    /// The first `a=fingerprint`: the remote's session.
    pub(crate) fingerprint: Option<String>,
    /// Bytes of a data channel message that the other side accepts (RFC 8841 section 6).
    pub(crate) max_message_size: Option<u64>,
    pub(crate) candidates: usize,
    /// Whether an m-line for data channels is in use.
    pub(crate) has_data: bool,
    /// Whether Firefox made it.
    pub(crate) is_firefox: bool,
}

impl SdpFacts {
    /// Reads a description; `None` if it is too large to be one.
    pub(crate) fn read(sdp: &str) -> Option<Self> {
        if sdp.len() > MAX_SDP_BYTES {
            return None;
        }
        let mut facts = Self::default();
        for line in sdp.lines() {
            facts.read_line(line.trim_end());
        }
        if facts.lines.len() > MAX_MEDIA_SECTIONS {
            return None;
        }
        facts.has_data = facts.lines.iter().any(|line| line.in_use && line.media == "application");
        Some(facts)
    }

    /// Whether this may be of the connection whose last description had these m-lines: its next ones keep them,
    /// in their order.
    pub(crate) fn follows_on(&self, before: &[Line]) -> bool {
        let keeps = |(old, new): (&Line, &Line)| !old.in_use || old.media == new.media;
        self.lines.len() >= before.len() && before.iter().zip(&self.lines).all(keeps)
    }

    fn read_line(&mut self, line: &str) {
        let Some((key, value)) = line.split_once(['=', ':']).map(|(first, rest)| match first {
            "a" => rest.split_once(':').unwrap_or((rest, "")),
            _ => (first, rest),
        }) else {
            return;
        };
        match key {
            "m" => {
                let mut words = value.split(' ');
                let media = words.next().unwrap_or_default().to_owned();
                self.lines.push(Line { media, in_use: words.next() != Some("0") });
            }
            // It only has no port of its own.
            "bundle-only" => {
                if let Some(line) = self.lines.last_mut() {
                    line.in_use = true;
                }
            }
            "o" => self.is_firefox |= value.starts_with("mozilla"),
            "mid" => self.mids.push(value.to_owned()),
            "ice-ufrag" => {
                self.ice_ufrag.get_or_insert_with(|| value.to_owned());
            }
            "fingerprint" => {
                self.fingerprint.get_or_insert_with(|| value.to_ascii_lowercase());
            }
            "max-message-size" => self.max_message_size = value.parse().ok(),
            "candidate" => self.candidates += 1,
            _ => {}
        }
    }
}

/// An m-line for sound or pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaSection {
    pub(crate) mid: String,
    pub(crate) kind: MediaKind,
    /// Whether whoever made the description sends.
    pub(crate) sends: bool,
    /// The streams of its track (RFC 8830), without duplicates.
    pub(crate) streams: Vec<String>,
    pub(crate) track: Option<String>,
    /// The first payload type's, such as `video/VP8`.
    pub(crate) codec: Option<String>,
}

/// An m-line without a port is refused, unless it only has none of its own: Firefox offers those that it adds later
/// so (RFC 8843 section 6).
fn is_refused(port: Option<&str>, mut lines: impl Iterator<Item = impl AsRef<str>>) -> bool {
    port == Some("0") && !lines.any(|line| line.as_ref().trim_end() == "a=bundle-only")
}

/// The m-lines for sound and pictures, in order.
pub(crate) fn media_sections(sdp: &str) -> Vec<MediaSection> {
    let mut sections: Vec<MediaSection> = Vec::new();
    let mut inside = false;
    let mut first = "";
    let mut lines = sdp.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        if let Some(media) = line.strip_prefix("m=") {
            let mut words = media.split(' ');
            let kind = match words.next() {
                Some("audio") => Some(MediaKind::Audio),
                Some("video") => Some(MediaKind::Video),
                _ => None,
            };
            inside = kind.is_some() && sections.len() < MAX_MEDIA_SECTIONS;
            if let Some(kind) = kind.filter(|_| inside) {
                let rest = lines.clone().take_while(|line| !line.starts_with("m="));
                // Without a direction it is sendrecv (RFC 8866 section 6.7).
                let sends = !is_refused(words.next(), rest);
                first = words.nth(1).unwrap_or_default();
                let (mid, streams) = (String::new(), Vec::new());
                let section = MediaSection { mid, kind, sends, streams, track: None, codec: None };
                sections.push(section);
            }
        } else if let Some(section) = sections.last_mut().filter(|_| inside) {
            read_section_line(section, first, line);
        }
    }
    sections
}

fn read_section_line(section: &mut MediaSection, first: &str, line: &str) {
    match line.strip_prefix("a=").map(|rest| rest.split_once(':').unwrap_or((rest, ""))) {
        Some(("mid", mid)) => mid.clone_into(&mut section.mid),
        Some(("recvonly" | "inactive", "")) => section.sends = false,
        Some(("rtpmap", value)) => {
            if let Some((payload_type, codec)) = value.split_once(' ')
                && payload_type == first
            {
                let name = codec.split('/').next().unwrap_or_default();
                section.codec = Some(format!("{}/{name}", section.kind.as_str()));
            }
        }
        Some(("msid", value)) => {
            let (stream, track) = value.split_once(' ').unwrap_or((value, ""));
            let new = stream != "-" && !section.streams.iter().any(|known| known == stream);
            if new && section.streams.len() < MAX_STREAMS {
                section.streams.push(stream.to_owned());
            }
            if !track.is_empty() {
                section.track.get_or_insert_with(|| track.to_owned());
            }
        }
        _ => {}
    }
}

/// Who may send on each m-line for sound and pictures, by its tag, as an offer says: its maker, and who answers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Directions(BTreeMap<String, (bool, bool)>);

impl Directions {
    pub(crate) fn of(offer: &str) -> Self {
        let sections = offer.split("\nm=").skip(1).take(MAX_MEDIA_SECTIONS);
        let found = sections.filter_map(|section| Some((tag(section)?.to_owned(), sends(section))));
        Self(found.collect())
    }

    /// An answer without what the offer does not allow (RFC 3264 section 6.1), and without a promise to send
    /// where there is no track. The crate (0.21.1) answers `sendonly` by `sendrecv` when it has a track for
    /// that m-line, which a browser may refuse.
    pub(crate) fn allowed(&self, answer: &str) -> String {
        let allowed = |section: &str| {
            let (we, they) = sends(section);
            let offered = tag(section).and_then(|tag| self.0.get(tag));
            let Some((they_may, we_may)) = offered else { return section.to_owned() };
            let has_track = section.lines().any(|line| line.starts_with("a=msid:"));
            let now = (we && *we_may && has_track, they && *they_may);
            if now == (we, they) {
                return section.to_owned();
            }
            let line = |line: &'_ str| match line.trim_end() {
                "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive" => {
                    let direction = match now {
                        (true, true) => "sendrecv",
                        (true, false) => "sendonly",
                        (false, true) => "recvonly",
                        (false, false) => "inactive",
                    };
                    format!("a={direction}\r\n")
                }
                _ => line.to_owned(),
            };
            section.split_inclusive('\n').map(line).collect()
        };
        let mut sections = answer.split("\nm=");
        let session = sections.next().unwrap_or_default().to_owned();
        let media = sections.map(|section| {
            let media = section.starts_with("audio ") || section.starts_with("video ");
            // The end of its last line is the separator's.
            let whole = format!("{section}\n");
            let fitted = if media { allowed(&whole) } else { whole };
            fitted.strip_suffix('\n').unwrap_or(&fitted).to_owned()
        });
        std::iter::once(session).chain(media).collect::<Vec<_>>().join("\nm=")
    }
}

pub(super) fn tag(section: &str) -> Option<&str> {
    section.lines().find_map(|line| line.trim_end().strip_prefix("a=mid:"))
}

/// Whether who made this m-line sends, and takes.
fn sends(section: &str) -> (bool, bool) {
    let direction = section.lines().find_map(|line| match line.trim_end() {
        "a=sendonly" => Some((true, false)),
        "a=recvonly" => Some((false, true)),
        "a=inactive" => Some((false, false)),
        _ => None,
    });
    direction.unwrap_or((true, true))
}

/// The codecs that whoever made this description takes where it may receive, now or later, such as
/// `video/vp8`; H.264 if it takes pictures in several packets (RFC 6184 section 6.2).
pub(crate) fn codecs_taken(sdp: &str) -> BTreeSet<String> {
    let mut taken = BTreeSet::new();
    for section in sdp.split("\nm=").skip(1).take(MAX_MEDIA_SECTIONS) {
        let mut words = section.split(' ');
        let kind = words.next().unwrap_or_default();
        let lines = || section.lines().filter_map(|line| line.trim_end().strip_prefix("a="));
        if is_refused(words.next(), section.lines()) || lines().any(|line| line == "sendonly") {
            continue;
        }
        let parameters = lines().filter_map(|line| line.strip_prefix("fmtp:")?.split_once(' '));
        let parameters = parameters.filter(|(_, set)| set.contains("packetization-mode=1"));
        let fragments: BTreeSet<_> = parameters.map(|(payload_type, _)| payload_type).collect();
        let codecs = lines().filter_map(|line| line.strip_prefix("rtpmap:")?.split_once(' '));
        for (payload_type, codec) in codecs {
            let name = codec.split('/').next().unwrap_or_default();
            let fits = !name.eq_ignore_ascii_case("H264") || fragments.contains(payload_type);
            if fits && taken.len() < MAX_CODECS {
                taken.insert(format!("{kind}/{name}").to_ascii_lowercase());
            }
        }
    }
    taken
}

/// A codec under a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PayloadType {
    pub(crate) number: u8,
    /// Such as `video/vp8`.
    pub(crate) name: String,
    pub(crate) parameters: String,
}

/// One of a format's parameters, such as `apt=96`.
pub(super) fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (found, value) = parameter.trim().split_once('=')?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

impl PayloadType {
    fn parameter(&self, name: &str) -> Option<&str> {
        parameter(&self.parameters, name)
    }

    /// The number of the codec whose packets are sent again under this one (RFC 4588 section 8).
    pub(crate) fn repairs(&self) -> Option<u8> {
        self.parameter("apt")?.parse().ok()
    }

    /// Whether another has the same pictures or sound, whatever its number.
    pub(crate) fn is_same_codec(&self, other: &Self) -> bool {
        let same = |name: &str, default: &str| {
            let value = |one: &Self| one.parameter(name).unwrap_or(default).to_ascii_lowercase();
            value(self) == value(other)
        };
        // The level may differ.
        let profile = |one: &Self| Profile::of_parameters(&one.parameters);
        self.name == other.name
            && match &*self.name {
                "video/h264" => same("packetization-mode", "0") && profile(self) == profile(other),
                "video/vp9" => same("profile-id", "0"),
                _ => true,
            }
    }
}

/// The codecs of each m-line for sound and pictures, by its tag.
pub(crate) fn payload_types(sdp: &str) -> BTreeMap<String, Vec<PayloadType>> {
    let mut all = BTreeMap::new();
    for section in sdp.split("\nm=").skip(1).take(MAX_MEDIA_SECTIONS) {
        let kind = section.split(' ').next().unwrap_or_default();
        let Some(tag) = tag(section).filter(|_| ["audio", "video"].contains(&kind)) else {
            continue;
        };
        let numbered = |attribute: &'static str| {
            section.lines().filter_map(move |line| {
                let value = line.trim_end().strip_prefix("a=")?.strip_prefix(attribute)?;
                let (number, rest) = value.strip_prefix(':')?.split_once(' ')?;
                Some((number.parse::<u8>().ok()?, rest))
            })
        };
        let mut codecs: Vec<PayloadType> = Vec::new();
        for (number, codec) in numbered("rtpmap").take(MAX_CODECS) {
            let name = codec.split('/').next().unwrap_or_default();
            let name = format!("{kind}/{name}").to_ascii_lowercase();
            codecs.push(PayloadType { number, name, parameters: String::new() });
        }
        for (number, parameters) in numbered("fmtp").take(MAX_CODECS) {
            if let Some(codec) = codecs.iter_mut().find(|codec| codec.number == number) {
                parameters.clone_into(&mut codec.parameters);
            }
        }
        all.insert(tag.to_owned(), codecs);
    }
    all
}

/// Whether whoever made this description opens the DTLS handshake; `None` if it leaves that to the other
/// side (RFC 8842 section 5.2).
pub(crate) fn opens_dtls(sdp: &str) -> Option<bool> {
    let setup = sdp.lines().find_map(|line| line.trim_end().strip_prefix("a=setup:"));
    match setup {
        Some("active") => Some(true),
        Some("passive") => Some(false),
        _ => None,
    }
}

/// Whether a description carries this candidate already.
pub(crate) fn carries(sdp: &str, candidate: &str) -> bool {
    let candidate = candidate.strip_prefix("candidate:").unwrap_or(candidate);
    let mut lines = sdp.lines().filter_map(|line| line.trim_end().strip_prefix("a=candidate:"));
    lines.any(|line| line == candidate)
}

/// Whatever the text: bounded facts, and each candidate that counts is one that is carried.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(text: &str) {
    let Some(facts) = SdpFacts::read(text) else { return };
    assert!(facts.lines.len() <= MAX_MEDIA_SECTIONS && facts.follows_on(&facts.lines));
    let spelled = super::h264::as_browsers_spell(text);
    assert_eq!(super::h264::as_offered(&spelled, &payload_types(text)).len(), text.len());
    assert!(facts.mids.len() <= text.len() / "mid=".len());
    let lines = text.lines().filter_map(|line| line.trim_end().strip_prefix("a=candidate:"));
    let mut candidates = 0;
    for candidate in lines.take(16) {
        candidates += 1;
        assert!(carries(text, &format!("candidate:{candidate}")));
    }
    assert!(facts.candidates >= candidates);
    // A line more changes what it says and nothing else.
    let more = format!("{text}\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\n");
    if let Some(read) = SdpFacts::read(&more) {
        assert_eq!(read, SdpFacts { candidates: facts.candidates + 1, ..facts });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\na=fingerprint:sha-256 AB:CD\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=ice-ufrag:frag\r\na=ice-pwd:secret\r\n\
        a=mid:0\r\na=max-message-size:262144\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n";

    #[test]
    fn facts_are_read() {
        let facts = SdpFacts::read(OFFER).unwrap();
        assert_eq!(facts.mids, ["0"]);
        assert_eq!(facts.ice_ufrag.as_deref(), Some("frag"));
        assert_eq!(facts.fingerprint.as_deref(), Some("sha-256 ab:cd"));
        assert_eq!((facts.max_message_size, facts.candidates), (Some(262_144), 1));
        assert!(facts.has_data);
        assert!(
            !SdpFacts::read(&OFFER.replace("application 9", "application 0")).unwrap().has_data
        );
    }

    #[test]
    fn an_m_line_that_has_no_port_of_its_own_is_in_use() {
        let offer = |attribute: &str| {
            format!(
                "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 109\r\na=recvonly\r\na=mid:0\r\n\
                m=video 0 UDP/TLS/RTP/SAVPF 120\r\n{attribute}a=sendrecv\r\na=mid:1\r\na=rtpmap:120 VP8/90000\r\n\
                m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n{attribute}"
            )
        };
        for (attribute, in_use) in [("a=bundle-only\r\n", true), ("", false)] {
            let offer = offer(attribute);
            let sends: Vec<_> = media_sections(&offer).iter().map(|media| media.sends).collect();
            assert_eq!(sends, [false, in_use]);
            assert_eq!(codecs_taken(&offer).contains("video/vp8"), in_use);
            assert_eq!(SdpFacts::read(&offer).unwrap().has_data, in_use);
        }
    }

    #[test]
    fn tracks_are_read_by_their_m_lines() {
        let sdp = "v=0\r\na=sendrecv\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=recvonly\r\n\
            a=msid:s t\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n\
            m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=msid:s v\r\na=msid:z v\r\na=mid:2\r\n\
            a=rtpmap:97 rtx/90000\r\na=rtpmap:96 VP8/90000\r\n\
            m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:3\r\na=msid:- w\r\n";
        let sections = media_sections(sdp);
        let mids: Vec<_> = sections.iter().map(|section| section.mid.as_str()).collect();
        let sends: Vec<_> = sections.iter().map(|section| section.sends).collect();
        assert_eq!((mids, sends), (vec!["0", "2", "3"], vec![false, true, false]));
        assert_eq!(sections[1].streams, ["s", "z"]);
        assert_eq!(sections[1].track.as_deref(), Some("v"));
        assert_eq!(sections[1].codec.as_deref(), Some("video/VP8"));
        assert_eq!((sections[2].streams.len(), sections[2].track.as_deref()), (0, Some("w")));
        assert_eq!(media_sections(&"m=video 9 x 96\n".repeat(1_000)).len(), MAX_MEDIA_SECTIONS);
    }

    #[test]
    fn an_answer_keeps_to_what_the_offer_allows() {
        let line = |tag: &str, direction: &str, more: &str| {
            format!("m=video 9 x 96\r\na=mid:{tag}\r\na={direction}\r\n{more}")
        };
        let all = ["sendrecv", "sendonly", "recvonly", "inactive"];
        let offer: String = all
            .iter()
            .map(|says| line(says, says, ""))
            .fold("v=0\r\n".into(), |all, one| all + &one);
        let data = "m=application 9 x y\r\na=mid:data\r\n";
        let directions = Directions::of(&format!("{offer}{data}"));
        for (ours, with, without) in [
            (
                "sendrecv",
                ["sendrecv", "recvonly", "sendonly", "inactive"],
                ["recvonly", "recvonly", "inactive", "inactive"],
            ),
            (
                "sendonly",
                ["sendonly", "inactive", "sendonly", "inactive"],
                ["inactive", "inactive", "inactive", "inactive"],
            ),
            (
                "recvonly",
                ["recvonly", "recvonly", "inactive", "inactive"],
                ["recvonly", "recvonly", "inactive", "inactive"],
            ),
        ] {
            for (track, wanted) in [("a=msid:s t\r\n", with), ("", without)] {
                let answer = |says: [&str; 4]| {
                    let lines = all.iter().zip(says).map(|(tag, says)| line(tag, says, track));
                    lines.fold("v=0\r\na=x\r\n".to_owned(), |all, one| all + &one) + data
                };
                assert_eq!(directions.allowed(&answer([ours; 4])), answer(wanted));
            }
        }
        // What was not offered is not our business.
        let other = format!("v=0\r\n{}", line("other", "sendrecv", ""));
        assert_eq!(directions.allowed(&other), other);
        assert_eq!(Directions::default().allowed(""), "");
    }

    #[test]
    fn what_it_takes_is_read_where_it_may_receive() {
        let sdp = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n\
            m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\n\
            a=rtpmap:97 H264/90000\r\na=fmtp:97 packetization-mode=0\r\n\
            m=video 9 UDP/TLS/RTP/SAVPF 98\r\na=sendonly\r\na=rtpmap:98 AV1/90000\r\n\
            m=video 0 UDP/TLS/RTP/SAVPF 99\r\na=rtpmap:99 VP9/90000\r\n";
        let taken = |sdp: &str| codecs_taken(sdp).into_iter().collect::<Vec<_>>();
        assert_eq!(taken(sdp), ["audio/opus", "video/vp8"]);
        let both = sdp.replace("mode=0", "mode=1;profile-level-id=42e01f");
        assert_eq!(taken(&both), ["audio/opus", "video/h264", "video/vp8"]);
        let bomb = (0..1_000).map(|n| format!("a=rtpmap:1 x{n}/1\n")).collect::<String>();
        assert_eq!(taken(&format!("v=0\nm=video 9 x 1\n{bomb}")).len(), MAX_CODECS);
    }

    #[test]
    fn who_opens_the_handshake_is_said_or_left_open() {
        assert_eq!(opens_dtls("m=x\r\na=setup:active\r\n"), Some(true));
        assert_eq!(opens_dtls("a=setup:passive\n"), Some(false));
        assert_eq!(opens_dtls("a=setup:actpass\r\n"), None);
        assert_eq!(opens_dtls(OFFER), None);
    }

    #[test]
    fn a_candidate_is_found_with_and_without_its_prefix() {
        assert!(carries(OFFER, "candidate:1 1 udp 1 127.0.0.1 9 typ host"));
        assert!(carries(OFFER, "1 1 udp 1 127.0.0.1 9 typ host"));
        assert!(!carries(OFFER, "candidate:2 1 udp 1 127.0.0.1 9 typ host"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_bounded_facts(text in "([amo]=|candidate:|mid:|application 9|[\\r\\n ]|.){0,60}") {
            fuzz(&text);
        }
    }

    #[test]
    fn nonsense_has_no_facts_and_a_bomb_is_refused() {
        assert_eq!(SdpFacts::read("\0\nnonsense\na=\nmid").unwrap(), SdpFacts::default());
        assert_eq!(SdpFacts::read(&"m=x\n".repeat(MAX_MEDIA_SECTIONS + 1)), None);
        assert_eq!(SdpFacts::read(&"a".repeat(MAX_SDP_BYTES + 1)), None);
    }
}
