internal import MeteredRealtimeFFI

/// Figures of a connection at one moment. The counters are of the present transport.
public struct ConnectionStats: Equatable, Sendable {
    /// The pair in use; `nil` without a path.
    public let selectedPair: CandidatePairStats?
    /// Bytes sent, all protocols above UDP.
    public let bytesSent: UInt64
    /// Bytes received.
    public let bytesReceived: UInt64
    /// Datagrams sent.
    public let packetsSent: UInt64
    /// Datagrams received.
    public let packetsReceived: UInt64
    /// Media packets known to be lost on the way to us, all tracks.
    public let packetsLost: Int64
    /// Bits per second that the path to the remote is believed to carry; `nil` without tracks to send.
    public let availableOutgoingBitrate: UInt64?
    /// Per data channel.
    public let channels: [ChannelStats]
    /// Per track and direction.
    public let tracks: [TrackStats]

    init(_ stats: MeteredRealtimeFFI.ConnectionStats) {
        selectedPair = stats.selectedPair.map(CandidatePairStats.init)
        bytesSent = stats.bytesSent
        bytesReceived = stats.bytesReceived
        packetsSent = stats.packetsSent
        packetsReceived = stats.packetsReceived
        packetsLost = stats.packetsLost
        availableOutgoingBitrate = stats.availableOutgoingBitrate
        channels = stats.channels.map(ChannelStats.init)
        tracks = stats.tracks.map(TrackStats.init)
    }
}

/// The pair of candidates that carries the data.
public struct CandidatePairStats: Equatable, Sendable {
    /// Ours.
    public let local: CandidateStats
    /// The remote's.
    public let remote: CandidateStats
    /// The last measured round trip, in milliseconds; `nil` before the first.
    public let roundTripTimeMs: Double?

    init(_ pair: MeteredRealtimeFFI.CandidatePairStats) {
        local = CandidateStats(pair.local)
        remote = CandidateStats(pair.remote)
        roundTripTimeMs = pair.roundTripTimeMs
    }
}

/// Where a candidate's address comes from (RFC 8445 section 5.1.1).
public enum CandidateType: Equatable, Sendable {
    /// An interface of the device.
    case host
    /// What a STUN server saw.
    case srflx
    /// What the remote saw.
    case prflx
    /// A relay.
    case relay

    init(_ type: MeteredRealtimeFFI.CandidateType) {
        self =
            switch type {
            case .host: .host
            case .srflx: .srflx
            case .prflx: .prflx
            case .relay: .relay
            }
    }
}

/// One end of the selected pair.
public struct CandidateStats: Equatable, Sendable {
    /// Where its address comes from.
    public let candidateType: CandidateType
    /// The address, unless hidden.
    public let address: String?
    /// The port.
    public let port: Int
    /// `udp` or `tcp`, between the candidates.
    public let `protocol`: String
    /// The relay's URL, for our own relayed candidate.
    public let relayURL: String?

    init(_ candidate: MeteredRealtimeFFI.CandidateStats) {
        candidateType = CandidateType(candidate.candidateType)
        address = candidate.address
        port = Int(candidate.port)
        `protocol` = candidate.protocol
        relayURL = candidate.relayUrl
    }
}

/// A data channel's figures.
public struct ChannelStats: Equatable, Sendable {
    /// The label.
    public let label: String
    /// The SCTP stream, or the engine's number of the channel before there is one.
    public let streamId: Int
    /// Messages handed to the transport.
    public let messagesSent: UInt64
    /// Bytes of payload handed to the transport.
    public let bytesSent: UInt64
    /// Messages received.
    public let messagesReceived: UInt64
    /// Bytes of payload received.
    public let bytesReceived: UInt64

    init(_ channel: MeteredRealtimeFFI.ChannelStats) {
        label = channel.label
        streamId = Int(channel.streamId)
        messagesSent = channel.messagesSent
        bytesSent = channel.bytesSent
        messagesReceived = channel.messagesReceived
        bytesReceived = channel.bytesReceived
    }
}

/// A track's figures, in one direction.
public struct TrackStats: Equatable, Sendable {
    /// The track's id, if known.
    public let trackId: String
    /// `audio` or `video`.
    public let kind: String
    /// `inbound` or `outbound`.
    public let direction: String
    /// RTP packets received or sent.
    public let packets: UInt64
    /// Bytes of RTP payload received or sent.
    public let bytes: UInt64
    /// Packets lost: inbound, as far as known here; outbound, as the remote reports.
    public let packetsLost: Int64
    /// Packets sent again because the remote asked; outbound only.
    public let retransmittedPackets: UInt64
    /// Bytes of RTP payload in them.
    public let retransmittedBytes: UInt64
    /// Share of the packets lost, 0 to 1, in the remote's last report; outbound only.
    public let fractionLost: Double?
    /// Variation of the transit time in milliseconds, measured by who receives.
    public let jitterMs: Double?
    /// From here to the remote and back in milliseconds, from its last report; outbound only.
    public let roundTripTimeMs: Double?
    /// Bits per second that the encoder shall make for this remote; outbound only.
    public let targetBitrate: UInt64?
    /// Whole pictures sent or received; video only.
    public let frames: UInt64
    /// Those of them that a decoder can begin with.
    public let keyFrames: UInt64
    /// Key frames that we asked for because of losses; inbound video only.
    public let keyFramesAsked: UInt64
    /// Times without a picture for a second; inbound video only.
    public let freezes: UInt64
    /// Samples at 48 kHz that were made up because their packet did not come in time; inbound audio only.
    public let concealedSamples: UInt64

    init(_ track: MeteredRealtimeFFI.TrackStats) {
        trackId = track.trackId
        kind = track.kind
        direction = track.direction
        packets = track.packets
        bytes = track.bytes
        packetsLost = track.packetsLost
        retransmittedPackets = track.retransmittedPackets
        retransmittedBytes = track.retransmittedBytes
        fractionLost = track.fractionLost
        jitterMs = track.jitterMs
        roundTripTimeMs = track.roundTripTimeMs
        targetBitrate = track.targetBitrate
        frames = track.frames
        keyFrames = track.keyFrames
        keyFramesAsked = track.keyFramesAsked
        freezes = track.freezes
        concealedSamples = track.concealedSamples
    }
}
