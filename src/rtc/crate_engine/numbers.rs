//! Payload types that the remote has given other numbers.
//!
//! The crate (0.21.1) keeps to the numbers that the first m-line of a kind agreed on. A remote may number its codecs
//! anew in a later offer, and who answers sends by the offer's numbers (RFC 3264 section 6.1): Firefox does when its
//! app orders the codecs of an m-line that we had offered. So what leaves is numbered here, last of all. Likewise
//! what is sent again: the crate gives it the number that goes with the first profile of H.264, whichever is sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rtc::rtp_transceiver::rtp_sender::RTCRtpCodecParameters;

use crate::rtc::h264;
use crate::rtc::sdp::PayloadType;

/// The remote's numbers of one connection.
#[derive(Default)]
pub(super) struct Numbers {
    /// Of its last description, by the m-line's tag.
    remote: Mutex<BTreeMap<String, Vec<PayloadType>>>,
    /// Of what we send: ours and the remote's, by the stream of the media.
    streams: Mutex<HashMap<u32, Vec<(u8, u8)>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Numbers {
    /// The remote's last description.
    pub(super) fn described(&self, payload_types: BTreeMap<String, Vec<PayloadType>>) {
        *lock(&self.remote) = payload_types;
    }

    /// An answer of ours, with profiles of H.264 as the remote's offer spells them.
    pub(super) fn as_described(&self, answer: &str) -> String {
        h264::as_offered(answer, &lock(&self.remote))
    }

    /// A stream is sent on this m-line, which has these codecs of ours, as one of them.
    pub(super) fn agreed(&self, ssrc: u32, mid: &str, ours: &[RTCRtpCodecParameters], number: u8) {
        let differing = match lock(&self.remote).get(mid) {
            Some(theirs) => differing(ours, theirs, number),
            None => differing(ours, &[], number),
        };
        match differing.is_empty() {
            false => lock(&self.streams).insert(ssrc, differing),
            true => lock(&self.streams).remove(&ssrc),
        };
    }

    pub(super) fn forget(&self, ssrc: u32) {
        lock(&self.streams).remove(&ssrc);
    }

    /// What a packet's payload type is called by the remote.
    pub(super) fn of_the_remote(&self, ssrc: u32, ours: u8) -> u8 {
        let streams = lock(&self.streams);
        let known = streams.get(&ssrc).and_then(|known| known.iter().find(|(our, _)| *our == ours));
        known.map_or(ours, |(_, theirs)| *theirs)
    }
}

/// Our numbers that the remote uses otherwise, with its own, where a stream is sent as this one of ours.
fn differing(ours: &[RTCRtpCodecParameters], theirs: &[PayloadType], sent: u8) -> Vec<(u8, u8)> {
    let described = ours.iter().map(|codec| PayloadType {
        number: codec.payload_type,
        name: codec.rtp_codec.mime_type.to_ascii_lowercase(),
        parameters: codec.rtp_codec.sdp_fmtp_line.clone(),
    });
    let ours: Vec<_> = described.collect();
    let mut pairs = Vec::new();
    for our in ours.iter().filter(|our| our.repairs().is_none()) {
        let mut same = theirs.iter().filter(|their| their.is_same_codec(our));
        let number = same.clone().find(|their| their.number == our.number).or_else(|| same.next());
        pairs.extend(number.map(|their| (our.number, their.number)));
    }
    let name = ours.iter().find(|our| our.number == sent).map(|our| &our.name);
    let is_sent =
        |number: u8| ours.iter().any(|our| our.number == number && Some(&our.name) == name);
    for (our, of) in ours.iter().filter_map(|our| Some((our.number, our.repairs()?))) {
        let of = if is_sent(of) { sent } else { of };
        let their_of = pairs.iter().find(|(known, _)| *known == of).map(|(_, theirs)| *theirs);
        let their =
            theirs.iter().find(|their| their.repairs().is_some_and(|of| Some(of) == their_of));
        let same = || ours.iter().find(|our| our.repairs() == Some(of));
        pairs.extend(their.or_else(same).map(|repair| (our, repair.number)));
    }
    pairs.retain(|(our, their)| our != their);
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::crate_engine::codecs::preferring;
    use crate::rtc::sdp::payload_types;
    use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;

    #[test]
    fn what_leaves_has_the_numbers_that_the_last_offer_gave() {
        let ours = preferring(RtpCodecKind::Video, "video/VP8");
        let numbers = Numbers::default();
        let named = |numbers: &Numbers| {
            [96, 97, 98, 99, 102, 104, 45].map(|ours| numbers.of_the_remote(7, ours))
        };
        // As Firefox numbers its codecs; the second H.264 has the profile of our first one.
        let offer = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 120 124 121 125 126 127 105 106 99 100\r\na=mid:1\r\n\
            a=fmtp:120 max-fs=12288;max-fr=60\r\na=fmtp:124 apt=120\r\na=fmtp:125 apt=121\r\n\
            a=fmtp:126 profile-level-id=42001f;level-asymmetry-allowed=1;packetization-mode=1\r\n\
            a=fmtp:105 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1\r\n\
            a=rtpmap:120 VP8/90000\r\na=rtpmap:124 rtx/90000\r\na=rtpmap:121 VP9/90000\r\n\
            a=rtpmap:125 rtx/90000\r\na=rtpmap:126 H264/90000\r\na=rtpmap:105 H264/90000\r\n\
            a=rtpmap:99 AV1/90000\r\n";
        numbers.described(payload_types(offer));
        numbers.agreed(7, "1", &ours, 96);
        assert_eq!(named(&numbers), [120, 124, 121, 125, 105, 126, 99]);
        assert_eq!(numbers.of_the_remote(8, 96), 96, "another stream");
        // Where the remote knows our number as well, it stays.
        let both = offer.replace("a=mid:1\r\n", "a=mid:1\r\na=rtpmap:96 VP8/90000\r\n");
        numbers.described(payload_types(&both));
        numbers.agreed(7, "1", &ours, 96);
        assert_eq!(named(&numbers)[0], 96);
        // It answers an offer of ours.
        numbers.described(payload_types(
            "v=0\r\nm=video 9 x 96 97\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\n",
        ));
        numbers.agreed(7, "1", &ours, 96);
        assert_eq!(named(&numbers), [96, 97, 98, 99, 102, 104, 45]);
        numbers.described(payload_types(offer));
        numbers.agreed(7, "other", &ours, 96);
        assert_eq!(named(&numbers)[0], 96);
        numbers.agreed(7, "1", &ours, 96);
        numbers.forget(7);
        assert_eq!(named(&numbers)[0], 96);
    }

    #[test]
    fn what_is_sent_again_goes_with_the_profile_that_is_sent() {
        let ours = preferring(RtpCodecKind::Video, "video/H264");
        let numbers = Numbers::default();
        let repairs = || [103, 105, 113, 109, 107].map(|ours| numbers.of_the_remote(7, ours));
        // The remote answers by our numbers, or has none on this m-line.
        for described in [true, false] {
            let answer = ours.iter().map(|codec| {
                let (number, of) = (codec.payload_type, &codec.rtp_codec);
                let name = &of.mime_type["video/".len()..];
                format!(
                    "a=rtpmap:{number} {name}/90000\r\na=fmtp:{number} {}\r\n",
                    of.sdp_fmtp_line
                )
            });
            let answer: String = answer.collect();
            let tag = if described { "1" } else { "2" };
            numbers.described(payload_types(&format!(
                "v=0\r\nm=video 9 x 1\r\na=mid:{tag}\r\n{answer}"
            )));
            for (number, repair) in [(102, 103), (104, 105), (112, 113), (108, 109), (106, 107)] {
                numbers.agreed(7, "1", &ours, number);
                assert_eq!(repairs(), [repair; 5]);
                assert_eq!(numbers.of_the_remote(7, number), number);
                assert_eq!(numbers.of_the_remote(7, 97), 97, "another codec's");
            }
        }
        // By its own.
        numbers.described(payload_types(
            "v=0\r\nm=video 9 x 1\r\na=mid:1\r\na=rtpmap:96 H264/90000\r\na=rtpmap:97 rtx/90000\r\n\
            a=rtpmap:98 H264/90000\r\na=rtpmap:99 rtx/90000\r\na=fmtp:97 apt=96\r\na=fmtp:99 apt=98\r\n\
            a=fmtp:96 packetization-mode=1;profile-level-id=640c1f\r\n\
            a=fmtp:98 packetization-mode=1;profile-level-id=42e01f\r\n",
        ));
        for (number, wanted) in [(102, (98, 99)), (108, (96, 97))] {
            numbers.agreed(7, "1", &ours, number);
            assert_eq!(numbers.of_the_remote(7, number), wanted.0);
            assert_eq!(repairs(), [wanted.1; 5]);
        }
    }
}
