//! Figures of a connection, typed, with the unit in each name.

use serde::Serialize;

/// Where a candidate's address comes from (RFC 8445 section 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CandidateType {
    /// An interface of the device.
    Host,
    /// What a STUN server saw.
    Srflx,
    /// What the remote saw.
    Prflx,
    /// A relay.
    Relay,
}

/// One end of the selected pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CandidateStats {
    /// Where its address comes from.
    pub candidate_type: CandidateType,
    /// The address, unless hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The port.
    pub port: u16,
    /// `udp` or `tcp`, between the candidates.
    pub protocol: String,
    /// The relay's URL, for our own relayed candidate: it tells whether the relay is reached over UDP, TCP
    /// or TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay_url: Option<String>,
}

/// The pair of candidates that carries the data.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CandidatePairStats {
    /// Ours.
    pub local: CandidateStats,
    /// The remote's.
    pub remote: CandidateStats,
    /// The last measured round trip; `None` before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_time_ms: Option<f64>,
}

/// A data channel's figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// Packets known to be lost; inbound only.
    pub packets_lost: i64,
}

/// Figures of a connection at one moment.
///
/// The counters are of the present transport: a rebuilt connection starts anew.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStats {
    /// The pair in use; `None` without a path.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    /// Per data channel.
    pub channels: Vec<ChannelStats>,
    /// Per track and direction.
    pub tracks: Vec<TrackStats>,
}
