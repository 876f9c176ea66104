//! Profiles of H.264, as descriptions name them and streams have them: pure.
//!
//! A profile has several spellings in `profile-level-id` (RFC 6184 section 8.1, table 5), so profiles are compared
//! and never text. The level is no part of it: with `level-asymmetry-allowed` each side names its own.

use std::collections::BTreeMap;

use super::sdp::{self, PayloadType};

/// What a decoder must know of H.264.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    ConstrainedHigh,
    High,
    /// One that calls do not use: `profile_idc` and the constraint flags.
    Other(u8, u8),
}

/// Before the name of a profile in a format's parameters.
const PARAMETER: &str = "profile-level-id=";
/// What is meant by a description that names none (RFC 6184 section 8.1).
const UNNAMED: &str = "42000a";

impl Profile {
    /// By `profile_idc` and the flags `constraint_set0` to `constraint_set5`, from the highest bit on. The last two
    /// bits are reserved.
    fn of(idc: u8, flags: u8) -> Self {
        let set = |n: u8| flags & (0x80 >> n) != 0;
        match idc {
            // Baseline obeys main as well, main obeys baseline, extended obeys both.
            0x42 if set(1) => Self::ConstrainedBaseline,
            0x4d if set(0) => Self::ConstrainedBaseline,
            0x58 if set(0) && set(1) => Self::ConstrainedBaseline,
            0x42 => Self::Baseline,
            0x58 if set(0) => Self::Baseline,
            0x4d => Self::Main,
            // Neither fields nor B slices (ITU-T H.264 section A.2.4.2).
            0x64 if set(4) && set(5) => Self::ConstrainedHigh,
            0x64 => Self::High,
            _ => Self::Other(idc, flags),
        }
    }

    /// Of the parameters of a format; `None` if they name a profile and it is none.
    pub(crate) fn of_parameters(parameters: &str) -> Option<Self> {
        let named = sdp::parameter(parameters, "profile-level-id").unwrap_or(UNNAMED);
        let is_one = named.len() == 6 && named.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(named, 16).ok().filter(|_| is_one)?;
        let [_, idc, flags, _level] = number.to_be_bytes();
        Some(Self::of(idc, flags))
    }

    /// The spelling of browsers: the first four digits of `profile-level-id`.
    fn spelling(self) -> Option<&'static str> {
        match self {
            Self::ConstrainedBaseline => Some("42e0"),
            Self::Baseline => Some("4200"),
            Self::Main => Some("4d00"),
            Self::ConstrainedHigh => Some("640c"),
            Self::High => Some("6400"),
            Self::Other(..) => None,
        }
    }
}

/// What a stream says of itself in its sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamProfile {
    profile: Profile,
    /// Whether it has fields, which constrained high has not.
    interlaced: bool,
}

impl StreamProfile {
    pub(crate) fn new(idc: u8, flags: u8, interlaced: bool) -> Self {
        Self { profile: Profile::of(idc, flags), interlaced }
    }

    /// How well a decoder of this profile fits, 0 best; `None` if the stream may be beyond it.
    ///
    /// Two things that encoders for calls never make are not looked for, because many of them do not say so in
    /// their flags: arbitrary slice orders (baseline, but not constrained baseline: encoders of Android leave the
    /// flag out) and B slices (high, but not constrained high: VideoToolbox, and so Safari, sends plain high where
    /// constrained high was agreed on).
    pub(crate) fn fits(self, decoder: Profile) -> Option<usize> {
        use Profile::*;
        let best_first: &[Profile] = match (self.profile, self.interlaced) {
            (ConstrainedBaseline, _) => {
                &[ConstrainedBaseline, Baseline, ConstrainedHigh, Main, High]
            }
            (Baseline, _) => &[Baseline, ConstrainedBaseline, ConstrainedHigh, Main, High],
            (Main, false) => &[Main, ConstrainedHigh, High],
            (Main, true) => &[Main, High],
            (ConstrainedHigh, _) => &[ConstrainedHigh, High],
            (High, false) => &[High, ConstrainedHigh],
            (High, true) => &[High],
            (other @ Other(..), _) => return (other == decoder).then_some(0),
        };
        best_first.iter().position(|profile| *profile == decoder)
    }
}

/// Where in a line a profile is named, if it is one of a format: its six digits.
fn named(line: &str) -> Option<(usize, &str)> {
    let rest = line.strip_prefix("a=fmtp:")?;
    let at = rest.to_ascii_lowercase().find(PARAMETER)? + "a=fmtp:".len() + PARAMETER.len();
    let digits = line.get(at..at + 6)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some((at, digits))
}

fn spelled(line: &str, at: usize, spelling: &str) -> String {
    format!("{}{spelling}{}", &line[..at], &line[at + spelling.len()..])
}

/// A remote's description with the spellings of browsers. The crate (0.21.1) compares the first four digits, so that
/// it takes `42c01f` for another codec than `42e01f`.
pub(crate) fn as_browsers_spell(description: &str) -> String {
    let line = |line: &str| {
        let found = named(line).and_then(|(at, digits)| {
            let profile = Profile::of_parameters(&format!("{PARAMETER}{digits}"))?;
            Some(spelled(line, at, profile.spelling()?))
        });
        found.unwrap_or_else(|| line.to_owned())
    };
    description.split_inclusive('\n').map(line).collect()
}

/// An answer with the spellings of the offer, whose codecs are given by their m-line's tag: who compares text finds
/// its own.
pub(crate) fn as_offered(answer: &str, offered: &BTreeMap<String, Vec<PayloadType>>) -> String {
    let mut sections = answer.split("\nm=");
    let session = sections.next().unwrap_or_default().to_owned();
    let section = |section: &str| {
        let codecs = sdp::tag(section).and_then(|tag| offered.get(tag));
        let line = |line: &str| {
            let found = named(line).and_then(|(at, ours)| {
                let number = line.strip_prefix("a=fmtp:")?.split_once(' ')?.0.parse::<u8>().ok()?;
                let codec = codecs?.iter().find(|codec| codec.number == number)?;
                let theirs = sdp::parameter(&codec.parameters, "profile-level-id")?;
                let ours = Profile::of_parameters(&format!("{PARAMETER}{ours}"))?;
                let same = Profile::of_parameters(&codec.parameters) == Some(ours);
                Some(spelled(line, at, theirs.get(..4).filter(|_| same)?))
            });
            found.unwrap_or_else(|| line.to_owned())
        };
        section.split_inclusive('\n').map(line).collect::<String>()
    };
    std::iter::once(session).chain(sections.map(section)).collect::<Vec<_>>().join("\nm=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(level_id: &str) -> Option<Profile> {
        Profile::of_parameters(&format!("packetization-mode=1; {PARAMETER}{level_id}"))
    }

    #[test]
    fn spellings_of_a_profile_are_one() {
        use Profile::*;
        for (ids, wanted) in [
            (
                &["42e01f", "42c01f", "42401f", "42E034", "4d801f", "4de00a", "58c01f"][..],
                ConstrainedBaseline,
            ),
            (&["42001f", "428015", "58801f"], Baseline),
            (&["4d001f", "4d4032", "4d2028"], Main),
            (&["640c1f", "640c34", "640C28"], ConstrainedHigh),
            (&["64001f", "640032", "64081f"], High),
            (&["f4001f"], Other(0xf4, 0)),
            (&["58001f"], Other(0x58, 0)),
        ] {
            for id in ids {
                assert_eq!(profile(id), Some(wanted), "{id}");
            }
        }
        assert_eq!(Profile::of_parameters("packetization-mode=1"), Some(Baseline));
        assert_eq!(Profile::of_parameters("Profile-Level-Id=640c1f"), Some(ConstrainedHigh));
        for nonsense in ["", "42e0", "42e01", "42e01f00", "xxxxxx", "+2e01f", "é2e01"] {
            assert_eq!(profile(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_stream_goes_to_decoders_that_know_all_of_it() {
        use Profile::*;
        let all = [ConstrainedBaseline, Baseline, Main, ConstrainedHigh, High, Other(0xf4, 0)];
        let fitting = |idc, flags, interlaced| {
            let stream = StreamProfile::new(idc, flags, interlaced);
            let mut fitting: Vec<_> = all
                .into_iter()
                .filter_map(|decoder| Some((stream.fits(decoder)?, decoder)))
                .collect();
            fitting.sort_by_key(|(rank, _)| *rank);
            fitting.into_iter().map(|(_, decoder)| decoder).collect::<Vec<_>>()
        };
        assert_eq!(fitting(0x42, 0xc0, false)[..2], [ConstrainedBaseline, Baseline]);
        assert_eq!(fitting(0x42, 0xc0, false).len(), 5);
        assert_eq!(fitting(0x42, 0, false)[..2], [Baseline, ConstrainedBaseline]);
        assert_eq!(fitting(0x4d, 0, false), [Main, ConstrainedHigh, High]);
        assert_eq!(fitting(0x4d, 0, true), [Main, High]);
        assert_eq!(fitting(0x64, 0x0c, false), [ConstrainedHigh, High]);
        assert_eq!(fitting(0x64, 0, false), [High, ConstrainedHigh]);
        assert_eq!(fitting(0x64, 0, true), [High]);
        assert_eq!(fitting(0xf4, 0, false), [Other(0xf4, 0)]);
        assert_eq!(fitting(0x6e, 0, false), []);
    }

    #[test]
    fn descriptions_are_spelled_for_the_crate_and_answers_for_the_remote() {
        let offer = "v=0\r\nm=video 9 x 96 97\r\na=mid:v\r\na=rtpmap:96 H264/90000\r\n\
            a=fmtp:96 PROFILE-level-id=42c01f;packetization-mode=1\r\na=rtpmap:97 H264/90000\r\n\
            a=fmtp:97 packetization-mode=1;profile-level-id=f4001f\r\na=fmtp:98 apt=96\r\n\
            a=x-note:profile-level-id=42c01f\r\na=fmtp:99 profile-level-id=42";
        let read = as_browsers_spell(offer);
        assert_eq!(read, offer.replacen("42c01f", "42e01f", 1));
        assert_eq!(as_browsers_spell(&read), read);
        let offered = sdp::payload_types(offer);
        assert_eq!(as_offered(&read, &offered), offer);
        // The level is ours, and another profile under that number is left as it is.
        let higher = read.replace("42e01f", "42e032");
        assert_eq!(as_offered(&higher, &offered), offer.replacen("42c01f", "42c032", 1));
        let other = read.replace("42e01f", "640c1f");
        assert_eq!(as_offered(&other, &offered), other);
        assert_eq!(as_offered("", &offered), "");
    }

    proptest::proptest! {
        #[test]
        fn any_text_keeps_its_length(text in "(a=fmtp:|[0-9]{2} |profile-level-id=|[0-9a-f]{6}|m=|a=mid:v|\r\n|.){0,30}") {
            let spelled = as_browsers_spell(&text);
            assert_eq!(spelled.len(), text.len());
            assert_eq!(as_offered(&spelled, &sdp::payload_types(&text)).len(), text.len());
        }
    }
}
