//! Our answers to descriptions of browsers, and what we make of theirs.
//!
//! Firefox' are its own (153 ESR of Debian, the official JavaScript SDK's page in `tests/interop`; camera, microphone
//! and a data channel; its answers are to offers of ours): a direction of the whole session, attributes in alphabetical
//! order, so `fmtp` before `rtpmap`; payload types of its own; ids of tracks that the app never saw; directions in
//! `extmap`; no H.264, which this build cannot decode. Safari does not run here: its offer has the shape that it
//! documents and others saw of 17 and 18: as libwebrtc, with H.264 constrained high (640c1f) first, H.265, and layers
//! named by `rid`.

use std::collections::{BTreeMap, BTreeSet};

use super::support::*;
use crate::rtc::engine::*;
use crate::rtc::h264::{Profile, StreamProfile};
use crate::rtc::sdp;
use crate::wire::{DescriptionKind, SessionDescription};

const FIREFOX: &str = include_str!("firefox_offer.sdp");
const SAFARI: &str = include_str!("safari_offer.sdp");
const TRANSPORT_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

fn described(kind: DescriptionKind, sdp: &str) -> SessionDescription {
    SessionDescription { kind, sdp: sdp.lines().map(|line| format!("{line}\r\n")).collect() }
}

/// A codec as an m-line has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Codec {
    name: String,
    parameters: BTreeSet<String>,
    feedback: BTreeSet<String>,
}

impl Codec {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='))
    }
}

/// An m-line.
#[derive(Debug, Default)]
struct Media {
    line: String,
    codecs: BTreeMap<u8, Codec>,
    attributes: Vec<(String, String)>,
}

impl Media {
    fn all(sdp: &str) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for line in sdp.lines() {
            if let Some(media) = line.strip_prefix("m=") {
                all.push(Self { line: media.to_owned(), ..Self::default() });
            } else if let Some((media, line)) = all.last_mut().zip(line.strip_prefix("a=")) {
                media.read(line);
            }
        }
        all
    }

    fn read(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let of_codec = ["rtpmap", "fmtp", "rtcp-fb"].contains(&name);
        let of_codec = value.split_once(' ').filter(|_| of_codec).and_then(|(number, rest)| {
            Some((self.codecs.entry(number.parse().ok()?).or_default(), rest))
        });
        match (name, of_codec) {
            ("rtpmap", Some((codec, rest))) => codec.name = rest.to_owned(),
            ("fmtp", Some((codec, rest))) => {
                codec.parameters = rest.split(';').map(|word| word.trim().to_owned()).collect();
            }
            ("rtcp-fb", Some((codec, rest))) => drop(codec.feedback.insert(rest.to_owned())),
            _ => self.attributes.push((name.to_owned(), value.to_owned())),
        }
    }

    fn formats(&self) -> Vec<u8> {
        self.line.split(' ').skip(3).filter_map(|word| word.parse().ok()).collect()
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| &**value)
    }

    fn direction(&self) -> &str {
        let directions = ["sendrecv", "sendonly", "recvonly", "inactive"];
        let mut found = directions.into_iter().filter(|name| self.value(name).is_some());
        let direction = found.next().expect("a direction");
        assert_eq!(found.next(), None, "one direction");
        direction
    }

    /// Header extensions by their names.
    fn extensions(&self) -> BTreeMap<&str, &str> {
        let extensions = self.attributes.iter().filter(|(name, _)| name == "extmap");
        extensions
            .filter_map(|(_, value)| value.split_once(' '))
            .map(|(id, uri)| (uri, id.split('/').next().unwrap_or(id)))
            .collect()
    }
}

/// What every answer keeps to (RFC 3264, RFC 8829, RFC 8843): the offer's m-lines in order, its tags, payload
/// types and extensions, and nothing that it does not have.
fn fits(offer: &str, answer: &str) {
    let (offered, answered) = (Media::all(offer), Media::all(answer));
    assert_eq!(offered.len(), answered.len());
    let group = |sdp: &str| {
        let line = sdp.lines().find_map(|line| line.strip_prefix("a=group:BUNDLE "));
        line.map(|tags| tags.split(' ').map(str::to_owned).collect::<BTreeSet<_>>())
    };
    assert_eq!(group(offer), group(answer));
    for (theirs, ours) in offered.iter().zip(&answered) {
        assert_eq!(theirs.value("mid"), ours.value("mid"));
        assert!(ours.value("setup").is_some_and(|setup| setup != "actpass"));
        assert!(ours.value("ice-ufrag").is_some() && !ours.line.contains(" 0 "), "{}", ours.line);
        if theirs.line.starts_with("application") {
            assert_eq!(theirs.line.split(' ').nth(3), ours.line.split(' ').nth(3));
            assert_eq!(ours.value("sctp-port"), Some("5000"));
            continue;
        }
        assert!(ours.value("rtcp-mux").is_some());
        for (uri, id) in ours.extensions() {
            assert_eq!(theirs.extensions().get(uri), Some(&id), "{uri}");
        }
        // The tag is sent with pictures alone; sound is told by its payload type and its `ssrc`.
        let needed = if theirs.line.starts_with("video") { &[TRANSPORT_CC, MID][..] } else { &[] };
        for name in needed {
            let both = theirs.extensions().contains_key(name);
            assert_eq!(ours.extensions().contains_key(name), both, "{name} {}", ours.line);
        }
        let sending = theirs.direction();
        let says_whose = ours.value("msid").is_some();
        match ours.direction() {
            "sendrecv" => assert!(sending == "sendrecv" && says_whose),
            "recvonly" => assert!(["sendrecv", "sendonly"].contains(&sending)),
            "sendonly" => assert!(["sendrecv", "recvonly"].contains(&sending) && says_whose),
            _ => {}
        }
        // Sound and pictures of one sender are told by it (RFC 8834 section 4.9).
        let cname = |(name, value): &(String, String)| name == "ssrc" && value.contains(" cname:");
        let sends = ours.direction().starts_with("send");
        assert!(!sends || ours.attributes.iter().any(cname), "{answer}");
        let formats = ours.formats();
        assert_eq!(formats.iter().collect::<BTreeSet<_>>(), ours.codecs.keys().collect());
        for format in &formats {
            let (their, our) = (&theirs.codecs[format], &ours.codecs[format]);
            assert!(their.name.eq_ignore_ascii_case(&our.name), "{their:?} {our:?}");
            assert!(our.feedback.is_subset(&their.feedback), "{their:?} {our:?}");
            match our.name.split('/').next().unwrap_or_default() {
                "rtx" => {
                    assert_eq!(our.parameter("apt"), their.parameter("apt"));
                    let of: u8 = our.parameter("apt").unwrap().parse().unwrap();
                    assert!(formats.contains(&of), "repairs what was not agreed on");
                }
                "H264" => {
                    let mode = |codec: &Codec| {
                        codec.parameter("packetization-mode").unwrap_or("0").to_owned()
                    };
                    assert_eq!(mode(our), mode(their));
                    let profile = |codec: &Codec| {
                        let parameters = Vec::from_iter(codec.parameters.clone()).join(";");
                        Profile::of_parameters(&parameters).unwrap()
                    };
                    assert_eq!(profile(our), profile(their));
                    assert_eq!(our.parameter("level-asymmetry-allowed"), Some("1"));
                }
                _ => {}
            }
            if our.name.ends_with("/90000") && !our.name.starts_with("rtx") {
                for feedback in ["nack", "nack pli", "ccm fir", "transport-cc"] {
                    assert!(our.feedback.contains(feedback), "{feedback} {our:?}");
                }
                let repaired = ours.codecs.values().any(|codec| {
                    codec.name.starts_with("rtx")
                        && codec.parameter("apt") == Some(&*format.to_string())
                });
                assert!(repaired, "{our:?} without rtx");
            }
        }
    }
}

/// What is agreed on with an offer for tracks of these codecs: the payload types, and the answer.
async fn answered(offer: &str, codecs: &[&'static str]) -> (Vec<Option<u8>>, String) {
    let side = Side::new().await;
    side.connection.apply_remote(described(DescriptionKind::Offer, offer)).await.unwrap();
    let mut senders = Vec::new();
    for codec in codecs {
        let kind = if *codec == "audio/opus" { MediaKind::Audio } else { MediaKind::Video };
        let (track_id, stream_id) = (format!("our-{codec}"), "our-stream".to_owned());
        let init = SenderInit { kind, track_id, stream_id, mime_type: codec };
        senders.push(side.connection.add_sender(&init).await.unwrap());
    }
    let answer = side.connection.answer().await.unwrap();
    let mut agreed = Vec::new();
    for sender in senders {
        agreed.push(match sender.agreement(None).await {
            Agreement::Taken(format) => Some(format.payload_type),
            _ => None,
        });
    }
    side.connection.close(true).await;
    (agreed, answer.sdp)
}

fn video(sdp: &str) -> Media {
    Media::all(sdp).into_iter().find(|media| media.line.starts_with("video")).unwrap()
}

/// Names and parameters that count, in the answer's order.
fn main_codecs(sdp: &str) -> Vec<String> {
    let media = video(sdp);
    let named = |format: u8| {
        let codec = &media.codecs[&format];
        let name = codec.name.split('/').next().unwrap_or_default();
        let profile = codec.parameter("profile-level-id");
        profile.map_or(name.to_owned(), |profile| format!("{name} {profile}"))
    };
    media.formats().into_iter().map(named).filter(|name| name != "rtx").collect()
}

#[tokio::test]
async fn firefox_gets_an_answer_in_its_own_numbers() {
    for (codec, number) in [("video/VP8", 120), ("video/VP9", 121), ("video/AV1", 99)] {
        let (agreed, answer) = answered(FIREFOX, &["audio/opus", codec]).await;
        assert_eq!(agreed, [Some(109), Some(number)], "{codec}\n{answer}");
        fits(FIREFOX, &answer);
        let media = Media::all(&answer);
        assert_eq!(media[0].formats(), [109]);
        assert_eq!(media[0].codecs[&109].parameter("useinbandfec"), Some("1"));
        assert_eq!([media[0].direction(), media[1].direction()], ["sendrecv"; 2]);
        let msid = format!("our-stream our-{codec}");
        assert_eq!(media[1].value("msid"), Some(&*msid));
    }
    let sections = sdp::media_sections(FIREFOX);
    assert_eq!(sections[0].streams, ["{e0195f3e-a077-459e-83fe-214bafdf1de3}"]);
    assert_eq!(sections[0].codec.as_deref(), Some("audio/opus"));
    assert_eq!(sections[1].codec.as_deref(), Some("video/VP8"));
    assert_eq!(sections[1].track.as_deref(), Some("{685f36a2-c6d3-4786-9e01-d516c35e89de}"));
}

#[tokio::test]
async fn safari_gets_an_answer_in_its_own_numbers() {
    for (codec, number) in [("video/H264", 96), ("video/VP8", 104), ("video/VP9", 106)] {
        let (agreed, answer) = answered(SAFARI, &["audio/opus", codec]).await;
        assert_eq!(agreed, [Some(111), Some(number)], "{codec}\n{answer}");
        fits(SAFARI, &answer);
        assert!(!answer.contains("H265") && !answer.contains(" red/"), "{answer}");
    }
}

#[tokio::test]
async fn the_order_and_the_profiles_are_the_remotes() {
    let (_, answer) = answered(FIREFOX, &[]).await;
    assert_eq!(main_codecs(&answer)[..2], ["VP8", "VP9"]);
    let (_, answer) = answered(SAFARI, &[]).await;
    assert_eq!(main_codecs(&answer), ["H264 640c1f", "H264 42e01f", "VP8", "VP9"]);
}

#[tokio::test]
async fn directions_are_turned_around() {
    for offer in [FIREFOX, SAFARI] {
        for (says, without, with) in [
            ("sendrecv", "recvonly", "sendrecv"),
            ("sendonly", "recvonly", "recvonly"),
            ("recvonly", "inactive", "sendonly"),
        ] {
            let offer = offer.replace("a=sendrecv", &format!("a={says}"));
            for (codecs, wanted) in [(&[][..], without), (&["audio/opus", "video/VP8"], with)] {
                let (agreed, answer) = answered(&offer, codecs).await;
                fits(&offer, &answer);
                let media = Media::all(&answer);
                let found = [media[0].direction(), media[1].direction()];
                assert_eq!(found, [wanted; 2], "{says}\n{answer}");
                // What finds no place in the answer waits for our own offer.
                let sends = wanted.starts_with("send");
                assert!(agreed.iter().all(|agreed| agreed.is_some() == sends), "{says} {agreed:?}");
            }
        }
    }
}

#[tokio::test]
async fn later_tracks_keep_to_the_remotes_numbers() {
    for (offer, codec) in [(FIREFOX, "video/VP8"), (FIREFOX, "video/AV1"), (SAFARI, "video/H264")] {
        let side = Side::new().await;
        side.connection.apply_remote(described(DescriptionKind::Offer, offer)).await.unwrap();
        side.connection.answer().await.unwrap();
        for n in 0..3 {
            let init = SenderInit {
                kind: MediaKind::Video,
                track_id: format!("track {n}"),
                stream_id: "stream".into(),
                mime_type: codec,
            };
            side.connection.add_sender(&init).await.unwrap();
        }
        let ours = side.connection.offer(false).await.unwrap();
        let agreed = video(offer).codecs;
        let pictures: Vec<_> = Media::all(&ours.sdp)
            .into_iter()
            .filter(|media| media.line.starts_with("video"))
            .collect();
        assert_eq!(pictures.len(), 3);
        for media in &pictures {
            let formats = media.formats();
            let once: BTreeSet<_> = formats.iter().collect();
            assert_eq!(once.len(), formats.len(), "{}", media.line);
            assert_eq!(once, media.codecs.keys().collect(), "{}", media.line);
            for (format, codec) in &media.codecs {
                assert!(codec.name.eq_ignore_ascii_case(&agreed[format].name), "{}", ours.sdp);
                assert_eq!(codec.parameter("apt"), agreed[format].parameter("apt"), "{}", ours.sdp);
            }
        }
        side.connection.close(true).await;
    }
}

#[tokio::test]
async fn what_firefox_answers_is_taken() {
    let answers = [
        ("video/VP8", include_str!("firefox_answer_vp8.sdp"), Some(96)),
        ("video/AV1", include_str!("firefox_answer_av1.sdp"), Some(45)),
        ("video/H264", include_str!("firefox_answer_h264.sdp"), None),
    ];
    for (codec, answer, number) in answers {
        for (direction, takes) in [("recvonly", true), ("inactive", false)] {
            let side = Side::new().await;
            let init = SenderInit {
                kind: MediaKind::Video,
                track_id: "track".into(),
                stream_id: "stream".into(),
                mime_type: codec,
            };
            let sender = side.connection.add_sender(&init).await.unwrap();
            side.connection.offer(false).await.unwrap();
            let answer = answer.replace("a=recvonly", &format!("a={direction}"));
            side.connection
                .apply_remote(described(DescriptionKind::Answer, &answer))
                .await
                .unwrap();
            let agreement = sender.agreement(None).await;
            match number {
                Some(number) if takes => {
                    let Agreement::Taken(format) = agreement else { panic!("{agreement:?}") };
                    assert_eq!(format.payload_type, number, "{codec}");
                }
                Some(_) => assert_eq!(agreement, Agreement::Open, "it is paused, not refused"),
                None => assert_eq!(agreement, Agreement::Refused, "{codec}"),
            }
            assert_eq!(side.connection.remote_takes(codec), number.is_some(), "{codec}");
            side.connection.close(true).await;
        }
    }
}

/// Safari with what newer ones have: AV1, H.265 of another form, FEC of a stream of its own.
fn newer_safari() -> String {
    let more = "a=rtpmap:45 AV1/90000\na=rtcp-fb:45 goog-remb\na=rtcp-fb:45 transport-cc\na=rtcp-fb:45 ccm fir\n\
        a=rtcp-fb:45 nack\na=rtcp-fb:45 nack pli\na=fmtp:45 level-idx=5;profile=0;tier=0\na=rtpmap:46 rtx/90000\n\
        a=fmtp:46 apt=45\na=rtpmap:114 flexfec-03/90000\na=rtcp-fb:114 goog-remb\na=rtcp-fb:114 transport-cc\n\
        a=fmtp:114 repair-window=10000000\na=rid:h send\n";
    SAFARI
        .replace("108 109 35 36 37\n", "108 109 45 46 35 36 37 114\n")
        .replace("level-id=93;tx-mode=SRST", "level-id=186;profile-id=1;tier-flag=0;tx-mode=SRST")
        .replace("a=rid:h send\n", more)
}

#[tokio::test]
async fn a_newer_safari_gets_av1_and_neither_h265_nor_fec() {
    let offer = newer_safari();
    for (codec, number) in [("video/H264", 96), ("video/AV1", 45)] {
        let (agreed, answer) = answered(&offer, &["audio/opus", codec]).await;
        assert_eq!(agreed, [Some(111), Some(number)], "{codec}\n{answer}");
        fits(&offer, &answer);
        let wanted = ["H264 640c1f", "H264 42e01f", "VP8", "VP9", "AV1"];
        assert_eq!(main_codecs(&answer), wanted);
        let pictures = video(&answer);
        assert_eq!(pictures.value("msid"), Some(&*format!("our-stream our-{codec}")));
        assert!(pictures.extensions().contains_key("urn:3gpp:video-orientation"));
        for unknown in ["H265", "red/", "ulpfec", "flexfec"] {
            assert!(!answer.contains(unknown), "{unknown}\n{answer}");
        }
    }
    // Who sends nothing else is declined.
    let only = offer.lines().map(|line| match line.split(' ').next() {
        Some("m=audio") => "m=audio 9 UDP/TLS/RTP/SAVPF 111".to_owned(),
        Some("m=video") => "m=video 9 UDP/TLS/RTP/SAVPF 102 103".to_owned(),
        _ => line.to_owned(),
    });
    let kept = only.filter(|line| {
        let numbered = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"];
        let number = numbered.iter().find_map(|name| line.strip_prefix(name)?.split(' ').next());
        let number = number.and_then(|number| number.parse::<u8>().ok());
        number.is_none_or(|number| [102, 103, 111].contains(&number))
    });
    let only: String = kept.map(|line| line + "\n").collect();
    let (agreed, answer) = answered(&only, &["audio/opus"]).await;
    assert_eq!(agreed, [Some(111)]);
    assert!(video(&answer).line.starts_with("video 0 "), "{answer}");
}

/// Streams as their encoders describe them, and what each is sent as.
fn streams(numbers: [Option<u8>; 6]) -> [(StreamProfile, Option<u8>); 6] {
    let profiles = [
        (0x42, 0xe0, false),
        (0x42, 0, false),
        (0x64, 0x0c, false),
        // As VideoToolbox has it, where constrained high was asked for.
        (0x64, 0, false),
        (0x64, 0, true),
        (0xf4, 0, false),
    ];
    let mut numbers = numbers.into_iter();
    profiles.map(|(idc, flags, interlaced)| {
        (StreamProfile::new(idc, flags, interlaced), numbers.next().flatten())
    })
}

async fn sent_as(sender: &dyn TrackSender, wanted: [Option<u8>; 6]) {
    for (stream, number) in streams(wanted) {
        let found = match sender.agreement(Some(stream)).await {
            Agreement::Taken(format) => Some(format.payload_type),
            Agreement::Refused => None,
            Agreement::Open => panic!("{stream:?} is open"),
        };
        assert_eq!(found, number, "{stream:?}");
    }
}

fn picture(codec: &'static str) -> SenderInit {
    let (track_id, stream_id) = ("track".to_owned(), "stream".to_owned());
    SenderInit { kind: MediaKind::Video, track_id, stream_id, mime_type: codec }
}

#[tokio::test]
async fn a_stream_is_sent_as_the_profile_that_it_has() {
    let (constrained, both) = ([98, 98].map(Some), [98, 98, 96, 96].map(Some));
    let without = SAFARI.replace("a=rtpmap:96 H264", "a=rtpmap:96 H266");
    let spelled = SAFARI.replace("42e01f", "42c01f").replace("640c1f", "640C1F");
    let high = SAFARI.replacen("640c1f", "64001f", 1);
    for (offer, wanted) in [
        (SAFARI, [both[0], both[1], both[2], both[3], None, None]),
        (&*spelled, [both[0], both[1], both[2], both[3], None, None]),
        (&*without, [constrained[0], constrained[1], None, None, None, None]),
        (&*high, [both[0], both[1], both[2], both[3], Some(96), None]),
    ] {
        let side = Side::new().await;
        side.connection.apply_remote(described(DescriptionKind::Offer, offer)).await.unwrap();
        let sender = side.connection.add_sender(&picture("video/H264")).await.unwrap();
        let answer = side.connection.answer().await.unwrap();
        fits(offer, &answer.sdp);
        if offer == spelled {
            assert_eq!(main_codecs(&answer.sdp)[..2], ["H264 640C1F", "H264 42c01f"]);
        }
        sent_as(&*sender, wanted).await;
        side.connection.close(true).await;
    }
}

/// What Safari makes of an offer: the codecs that it knows, in the offer's order and under its numbers, at its own
/// level.
fn answer_of_safari(offer: &str) -> String {
    let offered = video(offer);
    let known = |number: &u8| {
        let codec = &offered.codecs[number];
        let repaired = codec.parameter("apt").and_then(|of| of.parse().ok());
        let of = repaired.map_or(codec, |of: u8| &offered.codecs[&of]);
        let profile = of.parameter("profile-level-id");
        profile.is_none_or(|profile| ["42e0", "640c"].contains(&&profile[..4]))
            && !of.name.starts_with("AV1")
    };
    let numbers: Vec<u8> = offered.formats().into_iter().filter(known).collect();
    let mut lines = Vec::new();
    for line in SAFARI.lines().take_while(|line| !line.starts_with("m=")) {
        lines.push(line.replace("BUNDLE 0 1 2", "BUNDLE 0 1"));
    }
    let words: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    lines.push(format!("m=video 9 UDP/TLS/RTP/SAVPF {}", words.join(" ")));
    let section = SAFARI.split("\nm=video").nth(1).unwrap().lines().skip(1);
    let numbered =
        ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=mid:", "a=extmap:", "a=rid", "a=simul"];
    let kept = section
        .take_while(|line| !line.starts_with("m="))
        .filter(|line| !numbered.iter().any(|name| line.starts_with(name)));
    lines.extend(kept.map(|line| line.replace("actpass", "active")));
    lines.push(format!("a=mid:{}", offered.value("mid").unwrap()));
    for (uri, id) in offered.extensions() {
        lines.push(format!("a=extmap:{id} {uri}"));
    }
    for number in numbers {
        let codec = &offered.codecs[&number];
        lines.push(format!("a=rtpmap:{number} {}", codec.name));
        lines.extend(codec.feedback.iter().map(|kind| format!("a=rtcp-fb:{number} {kind}")));
        let parameters = Vec::from_iter(codec.parameters.clone()).join(";");
        if !parameters.is_empty() {
            let parameters = parameters.replace("640c32", "640c1f");
            lines.push(format!("a=fmtp:{number} {parameters}"));
        }
    }
    let data = SAFARI.split("\nm=application").nth(1).unwrap();
    let data = format!("m=application{data}").replace("a=mid:2", "a=mid:1");
    lines.push(data.replace("actpass", "active"));
    lines.join("\n")
}

#[tokio::test]
async fn what_safari_answers_is_taken() {
    let side = Side::new().await;
    let sender = side.connection.add_sender(&picture("video/H264")).await.unwrap();
    let offer = side.connection.offer(false).await.unwrap();
    let offered = main_codecs(&offer.sdp);
    let h264 = ["42e01f", "42001f", "4d0032", "640c32", "640032"].map(|id| format!("H264 {id}"));
    assert_eq!(offered[..5], h264, "the track's own codec comes first");
    let answer = described(DescriptionKind::Answer, &answer_of_safari(&offer.sdp));
    assert_eq!(main_codecs(&answer.sdp), ["H264 42e01f", "H264 640c1f", "VP8", "VP9"]);
    side.connection.apply_remote(answer).await.unwrap();
    sent_as(&*sender, [Some(102), Some(102), Some(108), Some(108), None, None]).await;
    for (codec, takes) in [("video/H264", true), ("video/VP8", true), ("video/AV1", false)] {
        assert_eq!(side.connection.remote_takes(codec), takes, "{codec}");
    }
    side.connection.close(true).await;
}
