//! Figures of a connection, typed, with the unit in each name.

use serde::Serialize;

/// Where a candidate's address comes from (RFC 8445 section 5.1.1).
///
/// ```
/// use metered_realtime::peer::CandidateType;
/// /// Whether the way costs the relay's traffic.
/// fn is_relayed(local: CandidateType, remote: CandidateType) -> bool {
///     [local, remote].contains(&CandidateType::Relay)
/// }
/// assert!(is_relayed(CandidateType::Host, CandidateType::Relay));
/// ```
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
///
/// ```
/// use metered_realtime::peer::{CandidateStats, CandidateType};
/// /// `relay over turns:turn.example.org:443`, or `host over udp`.
/// fn way(end: &CandidateStats) -> String {
///     let kind = format!("{:?}", end.candidate_type).to_lowercase();
///     format!("{kind} over {}", end.relay_url.as_ref().unwrap_or(&end.protocol))
/// }
/// let ours = CandidateStats {
///     candidate_type: CandidateType::Host,
///     address: None, // hidden
///     port: 50_000,
///     protocol: "udp".into(),
///     relay_url: None,
/// };
/// assert_eq!(way(&ours), "host over udp");
/// ```
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
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Chat { to_bob, channel, .. }| {
/// channel.send_text("hello").await?; // a path is there
/// use metered_realtime::peer::CandidatePairStats;
/// let pair: CandidatePairStats = to_bob.stats().await?.selected_pair.ok_or("the path was lost")?;
/// println!("{:?} to {:?}, {:?} ms", pair.local.candidate_type, pair.remote.candidate_type, pair.round_trip_time_ms);
/// assert_eq!(pair.local.protocol, "udp");
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Chat { to_bob, channel, .. }| {
/// channel.send_text("hello").await?;
/// use metered_realtime::peer::ChannelStats;
/// let stats = to_bob.stats().await?;
/// let ChannelStats { label, messages_sent, bytes_sent, .. } = &stats.channels[0];
/// assert_eq!((label.as_str(), *messages_sent, *bytes_sent), ("chat", 1, 5));
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Filmed { to_bob, video, .. }| {
/// use metered_realtime::peer::TrackStats;
/// let mut frames = video.frames();
/// frames.next().await; // a picture is here
/// let stats = to_bob.stats().await?;
/// let inbound = stats.tracks.iter().find(|track| track.direction == "inbound").ok_or("none")?;
/// let TrackStats { kind, frames, packets_lost, .. } = inbound;
/// assert!(kind == "video" && *frames > 0);
/// println!("{packets_lost} packets lost");
/// # Ok(())
/// # });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    /// Packets lost: inbound, as far as known here; outbound, as the remote reports. Retransmissions that came
    /// do not count.
    pub packets_lost: i64,
    /// Packets sent again because the remote asked; outbound only.
    pub retransmitted_packets: u64,
    /// Bytes of RTP payload in them.
    pub retransmitted_bytes: u64,
    /// Share of the packets lost, 0 to 1, in the remote's last report; `None` before the first. Outbound only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction_lost: Option<f64>,
    /// Variation of the transit time (RFC 3550 section 6.4.1), measured by who receives; `None` while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<f64>,
    /// From here to the remote and back, from its last report; `None` before. Outbound only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_time_ms: Option<f64>,
    /// Bits per second that the encoder shall make for this remote; `None` before the first estimate. Outbound
    /// only.
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// Figures of a connection at one moment.
///
/// The counters are of the present transport: a rebuilt connection starts anew.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Chat { to_bob, channel, .. }| {
/// use metered_realtime::peer::ConnectionStats;
/// /// Bits per second between two looks.
/// fn rate(before: &ConnectionStats, now: &ConnectionStats, seconds: f64) -> f64 {
///     // A rebuilt connection counts from 0 again.
///     now.bytes_sent.saturating_sub(before.bytes_sent) as f64 * 8.0 / seconds
/// }
/// let before = to_bob.stats().await?;
/// channel.send_bytes(vec![0; 10_000]).await?;
/// let now = to_bob.stats().await?;
/// assert!(rate(&before, &now, 1.0) > 0.0);
/// # Ok(())
/// # });
/// ```
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
    /// Bits per second that the path to the remote is believed to carry; `None` without tracks to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_outgoing_bitrate: Option<u64>,
    /// Per data channel.
    pub channels: Vec<ChannelStats>,
    /// Per track and direction.
    pub tracks: Vec<TrackStats>,
}
