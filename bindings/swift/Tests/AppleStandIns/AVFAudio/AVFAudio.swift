// What MeteredRealtime uses of Apple's module, as its headers declare it, for the tests on Linux alone: written
// by hand, so that they show what we mean to call and not what a device does.
import Foundation

public typealias AVAudioFrameCount = UInt32
public typealias AVAudioChannelCount = UInt32
public enum AVAudioCommonFormat: Sendable { case pcmFormatFloat32, pcmFormatInt16 }

public final class AVAudioFormat {
    public let sampleRate: Double
    public let channelCount: AVAudioChannelCount
    public let isInterleaved: Bool
    let commonFormat: AVAudioCommonFormat
    public init?(
        commonFormat: AVAudioCommonFormat, sampleRate: Double, channels: AVAudioChannelCount, interleaved: Bool
    ) {
        (self.commonFormat, self.sampleRate) = (commonFormat, sampleRate)
        (channelCount, isInterleaved) = (channels, interleaved)
    }
}

public final class AVAudioPCMBuffer {
    public let format: AVAudioFormat
    public let frameCapacity: AVAudioFrameCount
    public var frameLength: AVAudioFrameCount = 0
    public private(set) var floatChannelData: UnsafePointer<UnsafeMutablePointer<Float>>?
    public private(set) var int16ChannelData: UnsafePointer<UnsafeMutablePointer<Int16>>?

    public init?(pcmFormat format: AVAudioFormat, frameCapacity: AVAudioFrameCount) {
        (self.format, self.frameCapacity) = (format, frameCapacity)
        switch format.commonFormat {
        case .pcmFormatFloat32: floatChannelData = planes(of: 0)
        case .pcmFormatInt16: int16ChannelData = planes(of: 0)
        }
    }

    /// They live as long as the process.
    private func planes<Sample>(of silence: Sample) -> UnsafePointer<UnsafeMutablePointer<Sample>> {
        let channels = Int(format.channelCount)
        let (count, size) = format.isInterleaved ? (1, channels) : (channels, 1)
        let planes = UnsafeMutablePointer<UnsafeMutablePointer<Sample>>.allocate(capacity: count)
        for number in 0..<count {
            let plane = UnsafeMutablePointer<Sample>.allocate(capacity: size * Int(frameCapacity))
            plane.initialize(repeating: silence, count: size * Int(frameCapacity))
            (planes + number).initialize(to: plane)
        }
        return UnsafePointer(planes)
    }
}
