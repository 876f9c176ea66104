//! Tracks that we send: one track of the crate per sender, for the connection's life.
//!
//! The crate's `replace_track` silences a sender for good: whoever swaps what is sent does it before
//! [`TrackSender::send`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverId};
use tokio::time::Instant;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_local::{TrackLocal, TrackLocalEvent};
use webrtc::peer_connection::PeerConnection;
use webrtc::rtp_transceiver::{RtpSender, RtpTransceiver};

use super::codecs::{ORIENTATION_URI, preferring};
use super::congestion::Feedback;
use super::convoys::Convoys;
use crate::rtc::RtcError;
use crate::rtc::engine::{
    Agreement, MediaKind, OutgoingPacket, SenderFeedback, SenderFormat, SenderInit, TrackSender,
};
use crate::rtc::h264::{Profile, StreamProfile};

type CrateError = webrtc::error::Error;

pub(super) struct CrateSender {
    track_id: String,
    mime_type: &'static str,
    ssrc: u32,
    track: Arc<TrackLocalStaticRTP>,
    sender: Arc<dyn RtpSender>,
    transceiver: Arc<dyn RtpTransceiver>,
    convoys: Arc<Convoys>,
    feedback: Arc<Feedback>,
}

impl fmt::Debug for CrateSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrateSender").field("track", &self.track_id).finish_non_exhaustive()
    }
}

impl CrateSender {
    /// `agreed` says whether the remote has described an m-line of this kind: the crate keeps to its codecs.
    pub(super) async fn add(
        connection: &dyn PeerConnection,
        init: &SenderInit,
        agreed: bool,
        (convoys, feedback): (&Arc<Convoys>, &Arc<Feedback>),
    ) -> Result<Self, CrateError> {
        let kind = match init.kind {
            MediaKind::Audio => RtpCodecKind::Audio,
            MediaKind::Video => RtpCodecKind::Video,
        };
        let preferences = preferring(kind, init.mime_type);
        let codec = preferences.first().map(|first| first.rtp_codec.clone()).unwrap_or_default();
        let ssrc = fastrand::u32(1..);
        let coding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                ..Default::default()
            },
            codec,
            ..Default::default()
        };
        let track = Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
            init.stream_id.clone(),
            init.track_id.clone(),
            init.track_id.clone(),
            kind,
            vec![coding],
        )));
        let sender = connection.add_track(Arc::clone(&track) as _).await?;
        let id = RTCRtpTransceiverId::from(sender.id());
        let transceivers = connection.get_transceivers().await;
        let transceiver = transceivers
            .into_iter()
            .find(|transceiver| transceiver.id() == id)
            .ok_or(CrateError::ErrRTPTransceiverNotExisted)?;
        // The crate offers the track's codec alone, and the remote could send no other on this m-line. What
        // was agreed on before stays.
        if transceiver.mid().await?.is_none() {
            // None at all stands for those agreed on, in the remote's order and under its payload types. Others
            // would be refused, or matched by name alone and listed twice.
            let preferences = if agreed { Vec::new() } else { preferences };
            transceiver.set_codec_preferences(preferences).await?;
        }
        let (track_id, mime_type) = (init.track_id.clone(), init.mime_type);
        let (convoys, feedback) = (Arc::clone(convoys), Arc::clone(feedback));
        Ok(Self { track_id, mime_type, ssrc, track, sender, transceiver, convoys, feedback })
    }

    fn packet(&self, packet: OutgoingPacket) -> Result<rtp::Packet, RtcError> {
        let OutgoingPacket { format, sequence, timestamp, marker, payload, orientation } = packet;
        let mut header = rtp::header::Header {
            version: 2,
            payload_type: format.payload_type,
            sequence_number: sequence,
            timestamp,
            marker,
            ssrc: self.ssrc,
            ..Default::default()
        };
        if let (Some(id), Some(byte)) = (format.orientation, orientation) {
            let set = header.set_extension(id, vec![byte].into());
            set.map_err(|error| RtcError::new("send", &error))?;
        }
        Ok(rtp::Packet { header, payload })
    }

    /// The codec of those agreed on that the stream is sent as.
    fn choose<'a>(
        &self,
        codecs: &'a [RTCRtpCodecParameters],
        stream: Option<StreamProfile>,
    ) -> Option<&'a RTCRtpCodecParameters> {
        let mut fitting = codecs.iter().filter(|codec| self.fits(codec));
        let Some(stream) = stream else { return fitting.next() };
        let ranked = fitting.filter_map(|codec| {
            let decoder = Profile::of_parameters(&codec.rtp_codec.sdp_fmtp_line)?;
            Some((stream.fits(decoder)?, codec))
        });
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, codec)| codec)
    }

    fn fits(&self, codec: &RTCRtpCodecParameters) -> bool {
        let codec = &codec.rtp_codec;
        let fragments = || codec.sdp_fmtp_line.contains("packetization-mode=1");
        codec.mime_type.eq_ignore_ascii_case(self.mime_type)
            && (!codec.mime_type.eq_ignore_ascii_case("video/H264") || fragments())
    }
}

/// Ends the sender of a track, if the connection has it.
pub(super) async fn remove(connection: &dyn PeerConnection, id: &str) -> Result<(), CrateError> {
    for sender in connection.get_senders().await {
        if sender.track().track().await.track_id() == id {
            return connection.remove_track(&sender).await;
        }
    }
    Ok(())
}

#[async_trait]
impl TrackSender for CrateSender {
    fn id(&self) -> &str {
        &self.track_id
    }

    fn stream(&self) -> u32 {
        self.ssrc
    }

    fn mime_type(&self) -> &'static str {
        self.mime_type
    }

    async fn agreement(&self, stream: Option<StreamProfile>) -> Agreement {
        // It fails when the connection ended.
        let Ok(direction) = self.transceiver.current_direction().await else {
            return Agreement::Open;
        };
        if direction == RTCRtpTransceiverDirection::Unspecified {
            return Agreement::Open;
        }
        let Ok(parameters) = self.sender.get_parameters().await else { return Agreement::Open };
        let parameters = parameters.rtp_parameters;
        let Some(codec) = self.choose(&parameters.codecs, stream) else {
            return Agreement::Refused;
        };
        let sends = matches!(
            direction,
            RTCRtpTransceiverDirection::Sendrecv | RTCRtpTransceiverDirection::Sendonly
        );
        if !sends {
            return Agreement::Open;
        }
        if let Ok(Some(mid)) = self.transceiver.mid().await {
            if self.feedback.silenced().has(&mid) {
                return Agreement::Open;
            }
            let (numbers, number) = (self.feedback.numbers(), codec.payload_type);
            numbers.agreed(self.ssrc, &mid, &parameters.codecs, number);
        }
        let extensions = parameters.header_extensions.iter();
        let orientation = extensions
            .filter(|extension| extension.uri == ORIENTATION_URI)
            .find_map(|extension| u8::try_from(extension.id).ok());
        Agreement::Taken(SenderFormat { payload_type: codec.payload_type, orientation })
    }

    async fn send(&self, packets: Vec<OutgoingPacket>) -> Result<(), RtcError> {
        let packets = packets.into_iter().map(|packet| self.packet(packet));
        let mut packets = packets.collect::<Result<Vec<_>, _>>()?;
        if packets.is_empty() {
            return Ok(());
        }
        let first = packets.remove(0);
        self.convoys.follow(&first, packets);
        let sent = self.track.write_rtp(first).await;
        sent.map_err(|error| RtcError::new("send", &error))
    }

    fn captured(&self, timestamp: u32, at: Instant) {
        self.feedback.captured(self.ssrc, timestamp, at.into());
    }

    async fn next(&self) -> Option<SenderFeedback> {
        // Nothing else is let through.
        let TrackLocalEvent::OnRtcpPacket(_) = self.track.poll().await? else { return None };
        Some(SenderFeedback::KeyFrameWanted)
    }
}
