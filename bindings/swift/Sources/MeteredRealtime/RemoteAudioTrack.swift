import Foundation
internal import MeteredRealtimeFFI

/// An Opus packet.
public struct AudioPacket: Equatable, Sendable {
    /// Counts packets, and wraps: tells what is lost or out of order.
    public let sequence: UInt16
    /// In samples at 48 kHz, and wraps.
    public let timestamp: UInt32
    /// Whether sound begins here after silence.
    public let begins: Bool
    /// The packet (RFC 6716 section 3).
    public let payload: Data

    init(_ packet: MeteredRealtimeFFI.AudioPacket) {
        sequence = packet.sequence
        timestamp = packet.timestamp
        begins = packet.begins
        payload = packet.payload
    }
}

/// What a remote's track of sound has to say.
public enum PacketEvent: Equatable, Sendable {
    /// A packet, as it came: late ones and duplicates too.
    case packet(AudioPacket)
    /// This stream was read too slowly: so many packets are lost.
    case lagged(missed: Int)

    init(_ event: MeteredRealtimeFFI.PacketEvent) {
        self =
            switch event {
            case .packet(let packet): .packet(AudioPacket(packet))
            case .lagged(let missed): .lagged(missed: Int(clamping: missed))
            }
    }
}

/// Bounds of the delay between a packet's arrival and its sound.
public struct JitterBounds: Equatable, Sendable {
    /// The delay that is steered to is never below.
    public var minimum: Duration = .milliseconds(10)
    /// It is never above, and what waits longer is skipped; up to 5 seconds.
    public var maximum: Duration = .milliseconds(500)
    /// The delay before anything was measured.
    public var start: Duration = .milliseconds(40)

    /// The defaults.
    public init() {}

    fileprivate var native: MeteredRealtimeFFI.JitterBounds {
        MeteredRealtimeFFI.JitterBounds(
            minDelayMs: minimum.milliseconds, maxDelayMs: maximum.milliseconds, startDelayMs: start.milliseconds)
    }
}

/// Sound from a remote.
public final class RemoteAudioTrack: Sendable {
    let inner: MeteredRealtimeFFI.RemoteAudioTrack

    init(_ inner: MeteredRealtimeFFI.RemoteAudioTrack) { self.inner = inner }

    /// Opens a sink of PCM with a jitter buffer of its own. It begins with what came in the last half second if it
    /// is the first.
    public func playout(_ format: PCMFormat, bounds: JitterBounds = JitterBounds()) throws -> AudioOutput {
        let output = try native {
            try inner.playout(
                sampleRateHz: format.nativeRate, channels: format.nativeChannels, bounds: bounds.native)
        }
        return AudioOutput(output, format)
    }

    /// Opens a stream of the Opus packets from now on, as they come; the first one of a track also has those of the last
    /// half second. It ends with the track.
    public func packets() throws -> AsyncStream<PacketEvent> {
        let sink = try native { try inner.packets() }
        return Inbox(batch: mediaBatch) { max in
            try await nativeCall { try await sink.nextEvents(max: max) }.map(PacketEvent.init)
        }.stream()
    }

    /// How loud the last 100 ms were, as its outputs heard them; silence if nobody plays it.
    public var level: AudioLevel { reading(or: .silence) { AudioLevel(try inner.level()) } }

    /// Figures since the track came.
    public func stats() throws -> AudioStats { AudioStats(try native { try inner.stats() }) }

    /// Whether the remote sends it no more.
    public var isEnded: Bool { reading(or: true) { try inner.isEnded() } }
}

/// A sink of PCM: a thread that plays pulls from it at its own pace, and what is lost or late on the way is
/// concealed. Ends when it is let go of.
public final class AudioOutput: Sendable {
    private let inner: MeteredRealtimeFFI.AudioOutput

    /// What PCM it gives.
    public let format: PCMFormat

    init(_ inner: MeteredRealtimeFFI.AudioOutput, _ format: PCMFormat) {
        self.inner = inner
        self.format = format
    }

    /// How loud the last 100 ms were; silence if nothing was pulled for half a second.
    public var level: AudioLevel { reading(or: .silence) { AudioLevel(try inner.level()) } }

    /// What was counted and measured so far.
    public func stats() throws -> PlayoutStats { PlayoutStats(try native { try inner.stats() }) }

    /// Whether the remote sends the track no more. What is on its way to the ear is still to be pulled.
    public var isEnded: Bool { reading(or: true) { try inner.isEnded() } }

    /// Fills a chunk of up to one second with interleaved PCM whose first moment is heard now. Never waits; after
    /// the track's end it fills in silence.
    public func pull(into pcm: inout [Int16]) throws {
        try pcm.withUnsafeMutableBufferPointer { try inner.fill($0) }
    }

    /// As the other `pull`, with samples from -1.0 to 1.0.
    public func pull(into pcm: inout [Float]) throws {
        try pcm.withUnsafeMutableBufferPointer { try inner.fill($0) }
    }

    /// As the other `pull`, for the buffer of an audio callback.
    public func pull(into pcm: UnsafeMutableBufferPointer<Int16>) throws { try inner.fill(pcm) }

    /// As the other `pull`, for the buffer of an audio callback with samples from -1.0 to 1.0.
    public func pull(into pcm: UnsafeMutableBufferPointer<Float>) throws { try inner.fill(pcm) }
}

/// Mixes remotes for one loudspeaker, each with a gain of its own. The thread that plays pulls, others add tracks
/// and turn the gains.
public final class AudioMix: Sendable {
    /// A track in a mix.
    public struct Input: Equatable, Hashable, Sendable {
        fileprivate let number: UInt64
    }

    private let inner: MeteredRealtimeFFI.AudioMix

    /// What PCM it gives.
    public let format: PCMFormat

    /// A mix without tracks.
    public init(_ format: PCMFormat) throws {
        inner = try native {
            try MeteredRealtimeFFI.AudioMix(sampleRateHz: format.nativeRate, channels: format.nativeChannels)
        }
        self.format = format
    }

    /// How many tracks are in it.
    public var inputs: Int { Int(clamping: reading(or: 0) { try inner.inputs() }) }

    /// Adds a track, at gain 1. It leaves the mix by itself when it ends.
    public func add(_ track: RemoteAudioTrack) throws -> Input {
        Input(number: try native { try inner.add(track: track.inner) })
    }

    /// Takes a track out.
    public func remove(_ input: Input) throws { try native { try inner.remove(input: input.number) } }

    /// How loud a track is: 0 is silent, 1 unchanged, 4 the most. It moves there within 10 ms, so that nothing
    /// clicks.
    public func setGain(_ input: Input, to gain: Float) throws {
        try native { try inner.setGain(input: input.number, gain: gain) }
    }

    /// Fills a chunk of up to one second with the sound whose first moment is heard now. Never waits.
    public func pull(into pcm: inout [Int16]) throws {
        try pcm.withUnsafeMutableBufferPointer { try inner.fill($0) }
    }

    /// As the other `pull`, with samples from -1.0 to 1.0.
    public func pull(into pcm: inout [Float]) throws {
        try pcm.withUnsafeMutableBufferPointer { try inner.fill($0) }
    }

    /// As the other `pull`, for the buffer of an audio callback.
    public func pull(into pcm: UnsafeMutableBufferPointer<Int16>) throws { try inner.fill(pcm) }

    /// As the other `pull`, for the buffer of an audio callback with samples from -1.0 to 1.0.
    public func pull(into pcm: UnsafeMutableBufferPointer<Float>) throws { try inner.fill(pcm) }

    /// How loud it was since the last call.
    public func takeLevel() throws -> AudioLevel { AudioLevel(try native { try inner.level() }) }
}
