import Foundation
internal import MeteredRealtimeFFI

/// What interleaved PCM is made of.
public struct PCMFormat: Equatable, Hashable, Sendable {
    /// Samples per second and channel, from 8,000 to 48,000.
    public let sampleRate: Int
    /// One or two.
    public let channels: Int

    /// A format. What the library does not take is refused where it is used.
    public init(sampleRate: Int, channels: Int) {
        self.sampleRate = sampleRate
        self.channels = channels
    }

    /// Samples of all channels in so many milliseconds.
    public func samples(inMilliseconds milliseconds: Int) -> Int { sampleRate * milliseconds / 1_000 * channels }

    var nativeRate: UInt32 { UInt32(clamping: sampleRate) }

    /// What is no number of channels stays none.
    var nativeChannels: UInt8 { UInt8(clamping: channels) }
}

/// How loud sound is, in decibels below full scale: 0 is full scale, -127 is silence.
public struct AudioLevel: Equatable, Sendable {
    /// Root mean square.
    public let rmsDbfs: Float
    /// The highest sample.
    public let peakDbfs: Float

    static let silence = AudioLevel(rmsDbfs: -127, peakDbfs: -127)

    private init(rmsDbfs: Float, peakDbfs: Float) {
        self.rmsDbfs = rmsDbfs
        self.peakDbfs = peakDbfs
    }

    init(_ level: MeteredRealtimeFFI.Level) {
        self.init(rmsDbfs: level.rmsDbfs, peakDbfs: level.peakDbfs)
    }
}

/// What gives PCM, whichever way it is wanted: little-endian, as every system that Swift runs on has it.
protocol PCMSource {
    func pullI16(samples: UInt32) throws -> Data
    func pullF32(samples: UInt32) throws -> Data
}

extension MeteredRealtimeFFI.AudioOutput: PCMSource {}
extension MeteredRealtimeFFI.AudioMix: PCMSource {}

extension PCMSource {
    func fill(_ pcm: UnsafeMutableBufferPointer<Int16>) throws {
        let bytes = try native { try pullI16(samples: UInt32(clamping: pcm.count)) }
        _ = bytes.copyBytes(to: pcm)
    }

    func fill(_ pcm: UnsafeMutableBufferPointer<Float>) throws {
        let bytes = try native { try pullF32(samples: UInt32(clamping: pcm.count)) }
        _ = bytes.copyBytes(to: pcm)
    }
}

/// The order of samples: by moments in the library, by channels in Apple's buffers.
enum PCM {
    static func interleaved<Sample>(_ planes: [UnsafeBufferPointer<Sample>]) -> [Sample] {
        let frames = planes.map(\.count).min() ?? 0
        return (0..<frames).flatMap { frame in planes.map { $0[frame] } }
    }

    static func plane<Sample>(_ channel: Int, of pcm: [Sample], channels: Int) -> [Sample] {
        stride(from: channel, to: pcm.count, by: channels).map { pcm[$0] }
    }
}
