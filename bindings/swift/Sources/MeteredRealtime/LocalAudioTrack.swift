import Foundation
internal import MeteredRealtimeFFI

/// How sound is encoded.
public struct OpusEncoding: Equatable, Sendable {
    /// Whether it is more than speech: true to the original rather than intelligible.
    public var music: Bool
    /// Bits per second, from 6,000 to 128,000.
    public var bitrateBps: Int
    /// Whether a packet every 400 ms is enough in silence.
    public var dtx: Bool

    /// Speech at 32 kbit/s, unless said otherwise.
    public init(music: Bool = false, bitrateBps: Int = 32_000, dtx: Bool = true) {
        self.music = music
        self.bitrateBps = bitrateBps
        self.dtx = dtx
    }

    fileprivate init(_ options: MeteredRealtimeFFI.OpusOptions) {
        let music =
            switch options.application {
            case .voice: false
            case .music: true
            }
        self.init(music: music, bitrateBps: Int(options.bitrateBps), dtx: options.dtx)
    }

    fileprivate var native: MeteredRealtimeFFI.OpusOptions {
        MeteredRealtimeFFI.OpusOptions(
            application: music ? .music : .voice, bitrateBps: UInt32(clamping: bitrateBps), dtx: dtx)
    }
}

/// Sound for the remotes: PCM that the track encodes, or Opus packets of the app. Not both: their clocks differ.
///
/// ```swift
/// let track = try LocalAudioTrack()
/// try peer.addTrack(track)
/// try track.write(samples, format: PCMFormat(sampleRate: 48_000, channels: 1)) // on the microphone's thread
/// ```
public final class LocalAudioTrack: LocalTrack, @unchecked Sendable { // nothing in it ever changes
    private let inner: MeteredRealtimeFFI.LocalAudioTrack

    /// A track with this id or with one of its own.
    public init(id: String? = nil) throws {
        let inner = try native { try MeteredRealtimeFFI.LocalAudioTrack(id: id) }
        self.inner = inner
        super.init(inner)
    }

    /// How PCM is encoded.
    public var encoding: OpusEncoding {
        reading(or: OpusEncoding()) { OpusEncoding(try inner.encoding()) }
    }

    /// Has PCM encoded so from the next packet on.
    public func setEncoding(_ encoding: OpusEncoding) throws {
        try native { try inner.setEncoding(options: encoding.native) }
    }

    /// How loud the last 100 ms of PCM were; silence while muted, and when nothing is written.
    public var level: AudioLevel { reading(or: .silence) { AudioLevel(try inner.level()) } }

    /// Takes interleaved PCM in chunks of any size as it is recorded, encodes it and hands it to every remote.
    /// Never waits, and takes as long as the encoder does: about a sixtieth of what the sound lasts. What is
    /// written while muted is dropped.
    public func write(_ pcm: [Int16], format: PCMFormat) throws {
        try pcm.withUnsafeBufferPointer { try write($0, format: format) }
    }

    /// As the other `write`, for samples from -1.0 to 1.0.
    public func write(_ pcm: [Float], format: PCMFormat) throws {
        try pcm.withUnsafeBufferPointer { try write($0, format: format) }
    }

    /// As the other `write`, for the buffer of an audio callback.
    public func write(_ pcm: UnsafeBufferPointer<Int16>, format: PCMFormat) throws {
        try write(Data(buffer: pcm), format: format)
    }

    /// As the other `write`, for the buffer of an audio callback with samples from -1.0 to 1.0.
    public func write(_ pcm: UnsafeBufferPointer<Float>, format: PCMFormat) throws {
        let data = Data(buffer: pcm)
        try native {
            try inner.writePcmF32(sampleRateHz: format.nativeRate, channels: format.nativeChannels, pcm: data)
        }
    }

    /// As the other `write`, for bytes: 16 bits per sample, in little-endian order.
    public func write(_ pcm: Data, format: PCMFormat) throws {
        try native {
            try inner.writePcmI16(sampleRateHz: format.nativeRate, channels: format.nativeChannels, pcm: pcm)
        }
    }

    /// Hands an Opus packet to every remote. Never waits.
    ///
    /// - Parameters:
    ///   - packet: the packet (RFC 6716 section 3)
    ///   - timestampUs: the time of its first sample, in microseconds on a clock of the track's own
    ///   - begins: whether it follows silence
    public func writeOpus(_ packet: Data, timestampUs: UInt64, begins: Bool = false) throws {
        try native { try inner.writeOpus(packet: packet, timestampUs: timestampUs, begins: begins) }
    }
}
