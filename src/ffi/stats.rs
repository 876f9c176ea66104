//! Figures, as the core has them.

use std::time::Duration;

use crate::media::{AudioStats, VideoStats, audio};
use crate::peer::{
    CandidatePairStats, CandidateStats, CandidateType, ChannelStats, ConnectionStats, PeerCounters,
    RemoteCounters, TrackStats,
};
use crate::signalling::{Counters as SignallingCounters, PacingOptions};

/// The token bucket of a client.
#[uniffi::remote(Record)]
pub struct PacingOptions {
    /// Requests per second in the long run; more than 0.
    pub per_second: f64,
    /// Requests at once after a pause; 1 or more.
    pub burst: u32,
}

/// What came to a signalling client and led to nothing.
#[uniffi::remote(Record)]
pub struct SignallingCounters {
    /// Frames that are not what the protocol says.
    pub malformed_frames: u64,
    /// Broken entries and fields inside frames that were otherwise good.
    pub dropped_entries: u64,
    /// Frames of a type that this version does not know.
    pub unknown_frames: u64,
    /// Binary frames; the protocol has none.
    pub binary_frames: u64,
    /// Answers to requests that nobody waits for any more.
    pub late_answers: u64,
    /// Frames of connections that were already given up.
    pub stale_frames: u64,
}

/// What came to a peer and led to nothing.
#[uniffi::remote(Record)]
pub struct PeerCounters {
    /// Peers beyond 256 in the room.
    pub peers_beyond_limit: u64,
    /// Data and signals of senders that the room never named.
    pub from_strangers: u64,
    /// Signals that a remote sent faster than they could be taken.
    pub signals_overflow: u64,
}

/// What came from a remote and led to nothing.
#[uniffi::remote(Record)]
pub struct RemoteCounters {
    /// Answers to offers that were taken back or replaced.
    pub stale_answers: u64,
    /// Candidates of another generation, with hidden addresses, too long, or beyond 200.
    pub candidates: u64,
    /// Offers that lost a collision; the remote takes ours instead.
    pub ignored_offers: u64,
    /// Signals beyond what may wait, or too large to be any.
    pub signals_overflow: u64,
}

/// One end of the selected pair.
#[uniffi::remote(Record)]
pub struct CandidateStats {
    /// Where its address comes from.
    pub candidate_type: CandidateType,
    /// The address, unless hidden.
    pub address: Option<String>,
    /// The port.
    pub port: u16,
    /// `udp` or `tcp`, between the candidates.
    pub protocol: String,
    /// The relay's URL, for our own relayed candidate.
    pub relay_url: Option<String>,
}

/// The pair of candidates that carries the data.
#[uniffi::remote(Record)]
pub struct CandidatePairStats {
    /// Ours.
    pub local: CandidateStats,
    /// The remote's.
    pub remote: CandidateStats,
    /// The last measured round trip; none before the first.
    pub round_trip_time_ms: Option<f64>,
}

/// A data channel's figures.
#[uniffi::remote(Record)]
pub struct ChannelStats {
    /// The label.
    pub label: String,
    /// The SCTP stream, or the engine's number of the channel before there is one.
    pub stream_id: u16,
    /// Messages handed to the transport.
    pub messages_sent: u64,
    /// Bytes of payload handed to the transport.
    pub bytes_sent: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Bytes of payload received.
    pub bytes_received: u64,
}

/// A track's figures, in one direction.
#[uniffi::remote(Record)]
pub struct TrackStats {
    /// The track's id, if known.
    pub track_id: String,
    /// `audio` or `video`.
    pub kind: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// RTP packets received or sent.
    pub packets: u64,
    /// Bytes of RTP payload received or sent.
    pub bytes: u64,
    /// Packets lost: inbound, as far as known here; outbound, as the remote reports.
    pub packets_lost: i64,
    /// Packets sent again because the remote asked; outbound only.
    pub retransmitted_packets: u64,
    /// Bytes of RTP payload in them.
    pub retransmitted_bytes: u64,
    /// Share of the packets lost, 0 to 1, in the remote's last report; outbound only.
    pub fraction_lost: Option<f64>,
    /// Variation of the transit time, measured by who receives.
    pub jitter_ms: Option<f64>,
    /// From here to the remote and back, from its last report; outbound only.
    pub round_trip_time_ms: Option<f64>,
    /// Bits per second that the encoder shall make for this remote; outbound only.
    pub target_bitrate: Option<u64>,
    /// Whole pictures sent or received; video only.
    pub frames: u64,
    /// Those of them that a decoder can begin with.
    pub key_frames: u64,
    /// Key frames that we asked for because of losses; inbound video only.
    pub key_frames_asked: u64,
    /// Times without a picture for a second; inbound video only.
    pub freezes: u64,
    /// Samples at 48 kHz that were made up because their packet did not come in time; inbound audio only.
    pub concealed_samples: u64,
}

/// Figures of a connection at one moment. The counters are of the present transport.
#[uniffi::remote(Record)]
pub struct ConnectionStats {
    /// The pair in use; none without a path.
    pub selected_pair: Option<CandidatePairStats>,
    /// Bytes sent, all protocols above UDP.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Datagrams sent.
    pub packets_sent: u64,
    /// Datagrams received.
    pub packets_received: u64,
    /// Media packets known to be lost on the way to us, all tracks.
    pub packets_lost: i64,
    /// Bits per second that the path to the remote is believed to carry; none without tracks to send.
    pub available_outgoing_bitrate: Option<u64>,
    /// Per data channel.
    pub channels: Vec<ChannelStats>,
    /// Per track and direction.
    pub tracks: Vec<TrackStats>,
}

/// Figures of a track of pictures, since it came.
#[uniffi::remote(Record)]
pub struct VideoStats {
    /// Whole pictures.
    pub frames_received: u64,
    /// Those of them that a decoder can begin with.
    pub key_frames_received: u64,
    /// Bytes of RTP payload.
    pub bytes_received: u64,
    /// RTP packets.
    pub packets_received: u64,
    /// Packets that never came, nor their retransmissions in time.
    pub packets_lost: u64,
    /// Times that a key frame was asked for because of losses.
    pub key_frames_asked: u64,
    /// Times without a picture for a second.
    pub freezes: u64,
    /// Variation of the transit time (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
}

/// Figures of a track of sound, since it came.
#[uniffi::remote(Record)]
pub struct AudioStats {
    /// RTP packets, duplicates too.
    pub packets_received: u64,
    /// Bytes of RTP payload.
    pub bytes_received: u64,
    /// Packets that did not come, or not yet.
    pub packets_lost: u64,
    /// Variation of the transit time (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
    /// Samples at 48 kHz that were made up for lost packets, of the output that was opened last.
    pub concealed_samples: u64,
    /// Times that this began, of that output.
    pub concealments: u64,
    /// From a packet's arrival on the fastest way to its sound, of that output.
    pub delay_ms: f64,
}

/// Figures of an output of sound, since it was opened. Samples are at 48 kHz.
#[derive(Clone, Copy, Debug, PartialEq, uniffi::Record)]
pub struct PlayoutStats {
    /// Packets that arrived, whatever became of them.
    pub packets_received: u64,
    /// Packets that came after their time, or were skipped to bound the delay.
    pub packets_late: u64,
    /// Packets that came again.
    pub packets_duplicate: u64,
    /// Packets that were not Opus, or that the codec refused.
    pub packets_broken: u64,
    /// Samples played from packets.
    pub played_samples: u64,
    /// Samples that the copy in a later packet stood in for.
    pub fec_samples: u64,
    /// Samples that were concealed.
    pub concealed_samples: u64,
    /// Stretches of concealment.
    pub concealments: u64,
    /// Samples of comfort noise.
    pub comfort_samples: u64,
    /// Samples left out to shorten the delay.
    pub hurried_samples: u64,
    /// Samples added to lengthen it.
    pub waited_samples: u64,
    /// Streams that ended in a jump of sequence or time.
    pub restarts: u64,
    /// Variation of the transit time (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
    /// What the delay is steered to.
    pub target_delay_ms: f64,
    /// The delay of the last packet that was played.
    pub delay_ms: f64,
}

impl From<audio::PlayoutStats> for PlayoutStats {
    fn from(stats: audio::PlayoutStats) -> Self {
        let audio::PlayoutStats { jitter, hurried_samples, waited_samples, broken_packets } = stats;
        let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        Self {
            packets_received: jitter.received,
            packets_late: jitter.late,
            packets_duplicate: jitter.duplicates,
            packets_broken: broken_packets,
            played_samples: jitter.played_samples,
            fec_samples: jitter.fec_samples,
            concealed_samples: jitter.concealed_samples,
            concealments: jitter.concealments,
            comfort_samples: jitter.comfort_samples,
            hurried_samples,
            waited_samples,
            restarts: jitter.restarts,
            jitter_ms: ms(jitter.jitter),
            target_delay_ms: ms(jitter.target_delay),
            delay_ms: ms(jitter.delay),
        }
    }
}
