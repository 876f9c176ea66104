import Foundation
internal import MeteredRealtimeFFI

/// One picture, encoded: what a decoder takes at once.
public struct AccessUnit: Equatable, Sendable {
    /// The codec.
    public let codec: VideoCodec
    /// The bitstream. H.264 is Annex B, AV1 is OBUs with their sizes.
    public let data: Data
    /// When it was taken, in microseconds on the sender's clock.
    public let timestampUs: UInt64
    /// Whether a decoder can begin here.
    public let keyFrame: Bool
    /// How far it must be turned clockwise: 0, 90, 180 or 270.
    public let rotationDegrees: Int

    init(_ unit: MeteredRealtimeFFI.AccessUnit) {
        codec = VideoCodec(unit.codec)
        data = unit.data
        timestampUs = unit.timestampUs
        keyFrame = unit.keyFrame
        rotationDegrees = Int(unit.rotationDegrees)
    }
}

/// What a remote's track of pictures has to say.
public enum FrameEvent: Equatable, Sendable {
    /// A picture, in decode order. A stream's first one is a key frame, and after a gap too.
    case frame(AccessUnit)
    /// No picture came for a second.
    case frozen
    /// Pictures come again.
    case resumed
    /// This stream was read too slowly: so many events are lost. It goes on with a key frame.
    case lagged(missed: Int)

    init(_ event: MeteredRealtimeFFI.FrameEvent) {
        self =
            switch event {
            case .frame(let unit): .frame(AccessUnit(unit))
            case .frozen: .frozen
            case .resumed: .resumed
            case .lagged(let missed): .lagged(missed: Int(clamping: missed))
            }
    }
}

/// Pictures and packets that one pull of a sink takes at most.
let mediaBatch: UInt32 = 16

/// Pictures from a remote, encoded as they came.
public final class RemoteVideoTrack: Sendable {
    private let inner: MeteredRealtimeFFI.RemoteVideoTrack

    init(_ inner: MeteredRealtimeFFI.RemoteVideoTrack) { self.inner = inner }

    /// Opens a stream of pictures for one decoder. It begins with the next key frame, which is asked for now, and
    /// ends with the track; the first one of a track begins with what just came, a second of it at most. Each stream has a queue of its own: one that is read too slowly loses the oldest and
    /// is told, one that is not read keeps up to 8 MiB until it is let go of.
    public func frames() throws -> AsyncStream<FrameEvent> {
        let sink = try native { try inner.frames() }
        return Inbox(batch: mediaBatch) { max in
            try await nativeCall { try await sink.nextEvents(max: max) }.map(FrameEvent.init)
        }.stream()
    }

    /// Figures since the track came.
    public func stats() throws -> VideoStats { VideoStats(try native { try inner.stats() }) }

    /// Asks the sender for a key frame, at most one per 300 ms.
    public func requestKeyFrame() throws { try native { try inner.requestKeyFrame() } }

    /// Whether pictures wait for the sound of their stream; they do unless told otherwise. Then a picture is at most
    /// 37 ms ahead of the sound that an `AudioOutput` or `AudioMix` plays, and held for half a second at most. Sound
    /// never waits. Without, each picture comes as soon as it is whole: for a game, or for a screen that somebody
    /// controls.
    public func setLipSync(_ on: Bool) throws { try native { try inner.setLipSync(on: on) } }
}
