//! Reads the crate's report into ours. What the crate leaves at zero is not reported.

use rtc::peer_connection::transport::{RTCIceCandidatePair, RTCIceProtocol};
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use webrtc::peer_connection::{
    RTCIceCandidate, RTCIceCandidateType, RTCStatsReport, RTCStatsReportEntry,
};

use super::channel::UNUSED_STREAM;
use super::congestion::Feedback;
use crate::rtc::runtime::ConnectionRuntime;
use crate::rtc::stats::{
    CandidatePairStats, CandidateStats, CandidateType, ChannelStats, ConnectionStats, TrackStats,
};

pub(super) fn read(report: &RTCStatsReport, feedback: &Feedback) -> ConnectionStats {
    let mut stats = ConnectionStats::default();
    for entry in report.iter() {
        match entry {
            RTCStatsReportEntry::Transport(transport) => {
                stats.bytes_sent = transport.bytes_sent;
                stats.bytes_received = transport.bytes_received;
                stats.packets_sent = transport.packets_sent;
                stats.packets_received = transport.packets_received;
            }
            RTCStatsReportEntry::DataChannel(channel)
                if channel.data_channel_identifier == UNUSED_STREAM => {}
            RTCStatsReportEntry::DataChannel(channel) => stats.channels.push(ChannelStats {
                label: channel.label.clone(),
                stream_id: channel.data_channel_identifier,
                messages_sent: channel.messages_sent.into(),
                bytes_sent: channel.bytes_sent,
                messages_received: channel.messages_received.into(),
                bytes_received: channel.bytes_received,
            }),
            RTCStatsReportEntry::InboundRtp(inbound) => {
                let received = &inbound.received_rtp_stream_stats;
                stats.packets_lost += received.packets_lost;
                stats.tracks.push(TrackStats {
                    track_id: inbound.track_identifier.clone(),
                    kind: kind(received.rtp_stream_stats.kind).to_owned(),
                    direction: "inbound".to_owned(),
                    packets: received.packets_received,
                    bytes: inbound.bytes_received,
                    packets_lost: received.packets_lost,
                    ..TrackStats::default()
                });
            }
            RTCStatsReportEntry::OutboundRtp(outbound) => {
                let sent = &outbound.sent_rtp_stream_stats;
                let figures = feedback.figures(sent.rtp_stream_stats.ssrc);
                let remote = figures.remote;
                let round_trip = remote.and_then(|remote| remote.round_trip);
                stats.tracks.push(TrackStats {
                    track_id: feedback.track_of(sent.rtp_stream_stats.ssrc),
                    kind: kind(sent.rtp_stream_stats.kind).to_owned(),
                    direction: "outbound".to_owned(),
                    packets: sent.packets_sent,
                    bytes: sent.bytes_sent,
                    packets_lost: remote.map_or(0, |remote| remote.packets_lost),
                    retransmitted_packets: figures.retransmitted_packets,
                    retransmitted_bytes: figures.retransmitted_bytes,
                    fraction_lost: remote.map(|remote| remote.fraction_lost),
                    jitter_ms: remote.map(|remote| remote.jitter_ms),
                    round_trip_time_ms: round_trip.map(|time| time.as_secs_f64() * 1_000.0),
                    ..TrackStats::default()
                });
            }
            _ => {}
        }
    }
    stats
}

/// The selected pair; its round trip is in the report.
pub(super) fn read_pair(
    pair: &RTCIceCandidatePair,
    report: &RTCStatsReport,
    runtime: &ConnectionRuntime,
) -> CandidatePairStats {
    let selected = report.transport().map(|transport| &transport.selected_candidate_pair_id);
    let round_trip = report
        .candidate_pairs()
        .find(|pair| Some(&pair.stats.id) == selected)
        .map(|pair| pair.current_round_trip_time * 1_000.0)
        .filter(|milliseconds| *milliseconds > 0.0);
    CandidatePairStats {
        local: read_candidate(pair.local(), relay_url(pair.local(), report, runtime)),
        remote: read_candidate(pair.remote(), None),
        round_trip_time_ms: round_trip,
    }
}

/// The crate's candidate has lost its URL; the report still has it.
fn relay_url(
    candidate: &RTCIceCandidate,
    report: &RTCStatsReport,
    runtime: &ConnectionRuntime,
) -> Option<String> {
    if candidate.typ != RTCIceCandidateType::Relay {
        return None;
    }
    report.iter().find_map(|entry| match entry {
        RTCStatsReportEntry::LocalCandidate(local)
            if local.port == candidate.port
                && local.address.as_deref() == Some(&candidate.address) =>
        {
            runtime.url_of(&local.url)
        }
        _ => None,
    })
}

fn read_candidate(candidate: &RTCIceCandidate, relay_url: Option<String>) -> CandidateStats {
    let candidate_type = match candidate.typ {
        RTCIceCandidateType::Srflx => CandidateType::Srflx,
        RTCIceCandidateType::Prflx => CandidateType::Prflx,
        RTCIceCandidateType::Relay => CandidateType::Relay,
        _ => CandidateType::Host,
    };
    let protocol = if candidate.protocol == RTCIceProtocol::Tcp { "tcp" } else { "udp" };
    CandidateStats {
        candidate_type,
        address: (!candidate.address.is_empty()).then(|| candidate.address.clone()),
        port: candidate.port,
        protocol: protocol.to_owned(),
        relay_url,
    }
}

fn kind(kind: RtpCodecKind) -> &'static str {
    match kind {
        RtpCodecKind::Audio => "audio",
        RtpCodecKind::Video => "video",
        _ => "",
    }
}
