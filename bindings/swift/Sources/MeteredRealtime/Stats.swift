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
        candidateType =
            switch candidate.candidateType {
            case .host: .host
            case .srflx: .srflx
            case .prflx: .prflx
            case .relay: .relay
            }
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
    /// Packets known to be lost; inbound only.
    public let packetsLost: Int64

    init(_ track: MeteredRealtimeFFI.TrackStats) {
        trackId = track.trackId
        kind = track.kind
        direction = track.direction
        packets = track.packets
        bytes = track.bytes
        packetsLost = track.packetsLost
    }
}
