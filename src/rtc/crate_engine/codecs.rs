//! What we offer and take: codecs, header extensions, feedback, and the interceptors behind them.
//!
//! Opus for sound; VP8, H.264 (constrained baseline, baseline, main, constrained high and high, packetisation mode
//! 1), VP9 and AV1 for pictures, each with retransmission on a stream of its own (RFC 4588). The payload types are
//! those that browsers use.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rtc::interceptor::{
    Attribute, Interceptor, NackResponderBuilder, Packet, StreamInfo, TaggedPacket,
};
use rtc::peer_connection::configuration::interceptor_registry::{
    Slot, configure_rtcp_reports, configure_simulcast_extension_headers,
    configure_twcc_receiver_only,
};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::sansio::Protocol;
use webrtc::peer_connection::{MediaEngine, Registry};

use super::congestion::{Congestion, Feedback, SEND_TIME_URI};
use super::convoys::{Convoys, Joining};
use super::requests::Requests;

/// The header extension of a picture's rotation (3GPP TS 26.114 section 7.4.5).
pub(super) const ORIENTATION_URI: &str = "urn:3gpp:video-orientation";
/// Packets that are kept for retransmission: three seconds of 3 Mbit/s.
const NACK_HISTORY: u16 = 1_024;

const H264: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=";

/// Payload type, name, parameters; the retransmission's payload type is the next one.
const VIDEO: [(u8, &str, &str); 8] = [
    (96, "video/VP8", ""),
    (98, "video/VP9", "profile-id=0"),
    (102, "video/H264", "42e01f"),
    (104, "video/H264", "42001f"),
    // The most that Chromium takes where its system has no decoder.
    (112, "video/H264", "4d0032"),
    // What Apple's encoders and decoders speak beside constrained baseline.
    (108, "video/H264", "640c32"),
    (106, "video/H264", "640032"),
    (45, "video/AV1", ""),
];

fn codec(payload_type: u8, name: &str, parameters: &str) -> RTCRtpCodecParameters {
    let video = name.starts_with("video/");
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: name.to_owned(),
            clock_rate: if video { 90_000 } else { 48_000 },
            channels: if video { 0 } else { 2 },
            sdp_fmtp_line: match name {
                "video/H264" => format!("{H264}{parameters}"),
                _ => parameters.to_owned(),
            },
            rtcp_feedback: match name {
                "video/rtx" => Vec::new(),
                _ if video => {
                    feedback(&[("ccm", "fir"), ("goog-remb", ""), ("nack", ""), ("nack", "pli")])
                }
                _ => Vec::new(),
            },
        },
        payload_type,
    }
}

fn feedback(kinds: &[(&str, &str)]) -> Vec<RTCPFeedback> {
    let one = |(typ, parameter): &(&str, &str)| RTCPFeedback {
        typ: (*typ).to_owned(),
        parameter: (*parameter).to_owned(),
    };
    kinds.iter().map(one).collect()
}

/// All codecs of a kind; the named one first, each followed by its retransmission.
pub(super) fn preferring(kind: RtpCodecKind, name: &str) -> Vec<RTCRtpCodecParameters> {
    if kind == RtpCodecKind::Audio {
        return vec![codec(111, "audio/opus", "minptime=10;useinbandfec=1")];
    }
    let (first, rest): (Vec<_>, Vec<_>) = VIDEO.iter().partition(|entry| entry.1 == name);
    let with_rtx = |(payload_type, name, parameters): &(u8, &str, &str)| {
        let rtx = codec(payload_type + 1, "video/rtx", &format!("apt={payload_type}"));
        [codec(*payload_type, name, parameters), rtx]
    };
    first.into_iter().chain(rest).flat_map(with_rtx).collect()
}

/// The media engine of one connection and its interceptors.
pub(super) fn media(
    feedback: &Arc<Feedback>,
    convoys: &Arc<Convoys>,
) -> Result<(MediaEngine, Registry), rtc::shared::error::Error> {
    let mut media = MediaEngine::default();
    for kind in [RtpCodecKind::Audio, RtpCodecKind::Video] {
        for codec in preferring(kind, "") {
            media.register_codec(codec, kind)?;
        }
    }
    let orientation = RTCRtpHeaderExtensionCapability { uri: ORIENTATION_URI.to_owned() };
    media.register_header_extension(orientation, RtpCodecKind::Video, None)?;
    configure_simulcast_extension_headers(&mut media)?;
    for kind in [RtpCodecKind::Audio, RtpCodecKind::Video] {
        let send_time = RTCRtpHeaderExtensionCapability { uri: SEND_TIME_URI.to_owned() };
        media.register_header_extension(send_time, kind, None)?;
    }
    let registry = Registry::new()
        .with(Slot::CongestionControl, Congestion::new(Arc::clone(feedback)))
        .with(Slot::NackGenerator, Requests::default())
        .with(Slot::NackResponder, NackResponderBuilder::new().with_size(NACK_HISTORY).build())
        .with(Slot::from(14_000), KeyFrameRequests::default())
        // Nearest to the app, so that what waits goes the whole way.
        .with(Slot::from(15_000), Joining::new(Arc::clone(convoys)));
    let registry = configure_twcc_receiver_only(registry, &mut media)?;
    Ok((media, configure_rtcp_reports(registry)))
}

/// Lets requests for key frames through to the tracks that they are about; all other RTCP ends in the
/// interceptors below.
#[derive(Default)]
struct KeyFrameRequests {
    inbound: VecDeque<TaggedPacket>,
    outbound: VecDeque<TaggedPacket>,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for KeyFrameRequests {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = rtc::shared::error::Error;
    type Time = Instant;

    fn handle_read(&mut self, mut packet: TaggedPacket) -> Result<(), Self::Error> {
        if let Packet::Rtcp(reports) = &mut packet.message.packet {
            reports.retain(|report| {
                let report = report.as_any();
                report.is::<PictureLossIndication>() || report.is::<FullIntraRequest>()
            });
            if reports.is_empty() {
                return Ok(());
            }
            packet.message.add(Attribute::DeliverToApplication);
        }
        self.inbound.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<Self::Rout> {
        self.inbound.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Self::Error> {
        self.outbound.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<Self::Wout> {
        self.outbound.pop_front()
    }
}

impl Interceptor for KeyFrameRequests {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
