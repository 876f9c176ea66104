internal import MeteredRealtimeFFI

/// Figures of a remote's track of pictures, since it came.
public struct VideoStats: Equatable, Sendable {
    /// Whole pictures.
    public let framesReceived: UInt64
    /// Those of them that a decoder can begin with.
    public let keyFramesReceived: UInt64
    /// Bytes of RTP payload.
    public let bytesReceived: UInt64
    /// RTP packets.
    public let packetsReceived: UInt64
    /// Packets that never came, nor their retransmissions in time.
    public let packetsLost: UInt64
    /// Times that a key frame was asked for because of losses.
    public let keyFramesAsked: UInt64
    /// Times without a picture for a second.
    public let freezes: UInt64
    /// Variation of the transit time (RFC 3550 section 6.4.1), in milliseconds.
    public let jitterMs: Double

    init(_ stats: MeteredRealtimeFFI.VideoStats) {
        framesReceived = stats.framesReceived
        keyFramesReceived = stats.keyFramesReceived
        bytesReceived = stats.bytesReceived
        packetsReceived = stats.packetsReceived
        packetsLost = stats.packetsLost
        keyFramesAsked = stats.keyFramesAsked
        freezes = stats.freezes
        jitterMs = stats.jitterMs
    }
}

/// Figures of a remote's track of sound, since it came. What was made up and the delay are those of the output
/// that was opened last.
public struct AudioStats: Equatable, Sendable {
    /// RTP packets, duplicates too.
    public let packetsReceived: UInt64
    /// Bytes of RTP payload.
    public let bytesReceived: UInt64
    /// Packets that did not come, or not yet.
    public let packetsLost: UInt64
    /// Variation of the transit time (RFC 3550 section 6.4.1), in milliseconds.
    public let jitterMs: Double
    /// Samples at 48 kHz that were made up for lost packets.
    public let concealedSamples: UInt64
    /// Times that this began.
    public let concealments: UInt64
    /// From a packet's arrival on the fastest way to its sound, in milliseconds.
    public let delayMs: Double

    init(_ stats: MeteredRealtimeFFI.AudioStats) {
        packetsReceived = stats.packetsReceived
        bytesReceived = stats.bytesReceived
        packetsLost = stats.packetsLost
        jitterMs = stats.jitterMs
        concealedSamples = stats.concealedSamples
        concealments = stats.concealments
        delayMs = stats.delayMs
    }
}

/// Figures of an ``AudioOutput``, since it was opened. Samples are at 48 kHz.
public struct PlayoutStats: Equatable, Sendable {
    /// Packets that arrived, whatever became of them.
    public let packetsReceived: UInt64
    /// Packets that came after their time, or were skipped to bound the delay.
    public let packetsLate: UInt64
    /// Packets that came again.
    public let packetsDuplicate: UInt64
    /// Packets that were not Opus, or that the codec refused.
    public let packetsBroken: UInt64
    /// Samples played from packets.
    public let playedSamples: UInt64
    /// Samples that the copy in a later packet stood in for.
    public let fecSamples: UInt64
    /// Samples that were concealed.
    public let concealedSamples: UInt64
    /// Stretches of concealment.
    public let concealments: UInt64
    /// Samples of comfort noise.
    public let comfortSamples: UInt64
    /// Samples left out to shorten the delay.
    public let hurriedSamples: UInt64
    /// Samples added to lengthen it.
    public let waitedSamples: UInt64
    /// Streams that ended in a jump of sequence or time.
    public let restarts: UInt64
    /// Variation of the transit time (RFC 3550 section 6.4.1), in milliseconds.
    public let jitterMs: Double
    /// What the delay is steered to, in milliseconds.
    public let targetDelayMs: Double
    /// The delay of the last packet that was played, in milliseconds.
    public let delayMs: Double

    init(_ stats: MeteredRealtimeFFI.PlayoutStats) {
        packetsReceived = stats.packetsReceived
        packetsLate = stats.packetsLate
        packetsDuplicate = stats.packetsDuplicate
        packetsBroken = stats.packetsBroken
        playedSamples = stats.playedSamples
        fecSamples = stats.fecSamples
        concealedSamples = stats.concealedSamples
        concealments = stats.concealments
        comfortSamples = stats.comfortSamples
        hurriedSamples = stats.hurriedSamples
        waitedSamples = stats.waitedSamples
        restarts = stats.restarts
        jitterMs = stats.jitterMs
        targetDelayMs = stats.targetDelayMs
        delayMs = stats.delayMs
    }
}
