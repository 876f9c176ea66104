import Foundation
internal import MeteredRealtimeFFI

/// A codec of video.
public enum VideoCodec: String, Sendable, CaseIterable {
    /// VP8 (RFC 6386).
    case vp8 = "video/VP8"
    /// VP9.
    case vp9 = "video/VP9"
    /// H.264.
    case h264 = "video/H264"
    /// AV1.
    case av1 = "video/AV1"

    /// Its name in descriptions, such as `video/VP8`.
    public var mimeType: String { rawValue }

    init(_ codec: MeteredRealtimeFFI.VideoCodec) {
        self =
            switch codec {
            case .vp8: .vp8
            case .vp9: .vp9
            case .h264: .h264
            case .av1: .av1
            }
    }

    fileprivate var native: MeteredRealtimeFFI.VideoCodec {
        switch self {
        case .vp8: .vp8
        case .vp9: .vp9
        case .h264: .h264
        case .av1: .av1
        }
    }
}

/// Pictures for the remotes, from an encoder of the app.
///
/// ```swift
/// let track = try LocalVideoTrack(.h264)
/// try peer.addTrack(track)
/// Task { for await case .keyFrameWanted in track.events { encoder.makeKeyFrame() } }
/// try track.write(encoded, timestampUs: time)
/// ```
public final class LocalVideoTrack: LocalTrack, @unchecked Sendable { // nothing in it ever changes
    private let inner: MeteredRealtimeFFI.LocalVideoTrack

    /// Its codec.
    public let codec: VideoCodec

    /// A track of a codec, with this id or with one of its own.
    public init(_ codec: VideoCodec, id: String? = nil) throws {
        let inner = try native { try MeteredRealtimeFFI.LocalVideoTrack(codec: codec.native, id: id) }
        self.inner = inner
        self.codec = codec
        super.init(inner)
    }

    /// Hands a picture to every remote, and never waits: a remote that is too slow misses it and gets the next
    /// key frame, which is asked for.
    ///
    /// - Parameters:
    ///   - data: one access unit: a VP8 or VP9 frame; H.264 in Annex B, or AVCC with lengths of four bytes; AV1
    ///     OBUs with their sizes
    ///   - timestampUs: when it was taken, in microseconds on a clock of the track's own
    ///   - keyFrame: whether a decoder can begin with it; `nil` to have that read from the bitstream
    ///   - rotationDegrees: how far the remotes turn it clockwise: 0, 90, 180 or 270
    public func write(_ data: Data, timestampUs: UInt64, keyFrame: Bool? = nil, rotationDegrees: Int = 0) throws {
        try native {
            try inner.write(
                data: data, timestampUs: timestampUs, keyFrame: keyFrame,
                rotationDegrees: UInt16(clamping: rotationDegrees))
        }
    }
}
