import Foundation
internal import MeteredRealtimeFFI

/// What an encoder shall make.
public struct Target: Equatable, Sendable {
    /// Bits per second; 0 for nothing at all.
    public let bitsPerSecond: Int
    /// Pictures per second that look best at this bitrate; 0 for sound.
    public let frameRate: Int

    init(bitsPerSecond: UInt64, frameRate: UInt32) {
        self.bitsPerSecond = Int(clamping: bitsPerSecond)
        self.frameRate = Int(clamping: frameRate)
    }
}

/// Who gets more when there is too little.
public enum TrackPriority: Equatable, Sendable {
    /// Half of low.
    case veryLow
    /// What tracks have.
    case low
    /// Twice low.
    case medium
    /// Four times low.
    case high

    fileprivate var native: MeteredRealtimeFFI.TrackPriority {
        switch self {
        case .veryLow: .veryLow
        case .low: .low
        case .medium: .medium
        case .high: .high
        }
    }
}

/// What a track wants of the bits to each remote. Tracks have 30 kbit/s to 2.5 Mbit/s for pictures and 16 to
/// 64 kbit/s for sound before it is set.
public struct TrackBitrate: Equatable, Sendable {
    /// Bits per second below which it is of no use. Sound gets them always; a picture gets them or nothing, but
    /// for the most important one, which goes on with what there is.
    public var minimum: Int
    /// Bits per second beyond which it does not get better; not below the minimum.
    public var maximum: Int
    /// Who gets more when there is too little.
    public var priority: TrackPriority

    /// Bounds, both in bits per second.
    public init(minimum: Int, maximum: Int, priority: TrackPriority = .low) {
        self.minimum = minimum
        self.maximum = maximum
        self.priority = priority
    }

    fileprivate var native: MeteredRealtimeFFI.TrackBitrate {
        MeteredRealtimeFFI.TrackBitrate(
            priority: priority.native, minimum: UInt64(clamping: minimum), maximum: UInt64(clamping: maximum))
    }
}

/// What a local track is told by its remotes.
public enum LocalTrackEvent: Equatable, Sendable {
    /// The encoder shall make its next picture a key frame. At most one per 300 ms.
    case keyFrameWanted
    /// A remote takes the track.
    case codecAgreed(peerId: String)
    /// A remote cannot take the track's codec, such as `video/H264`, and gets nothing of it.
    case codecNotSupported(peerId: String, codec: String)
    /// What a remote's path has room for changed: by a tenth or more, and at most twice a second but for falls.
    /// No peer means all of them, as the slowest decides.
    case targetBitrate(peerId: String?, target: Target)
    /// Events were not read fast enough: so many of the oldest were dropped.
    case lagged(missed: Int)

    init(_ event: MeteredRealtimeFFI.LocalTrackEvent) {
        self =
            switch event {
            case .keyFrameWanted: .keyFrameWanted
            case .codecAgreed(let peerId): .codecAgreed(peerId: peerId)
            case .codecNotSupported(let peerId, let codec): .codecNotSupported(peerId: peerId, codec: codec)
            case .targetBitrate(let peerId, let bitsPerSecond, let frameRate):
                .targetBitrate(peerId: peerId, target: Target(bitsPerSecond: bitsPerSecond, frameRate: frameRate))
            case .lagged(let missed): .lagged(missed: Int(clamping: missed))
            }
    }
}

/// What the library's tracks of both kinds can do.
protocol NativeLocalTrack: AnyObject, Sendable {
    func id() throws -> String
    func nextEvents(max: UInt32) async throws -> [MeteredRealtimeFFI.LocalTrackEvent]
    func reportedLoss() throws -> Double
    func setBitrate(bitrate: MeteredRealtimeFFI.TrackBitrate) throws
    func setMuted(muted: Bool) throws
    func shutdown() async throws
    func target(peerId: String?) throws -> MeteredRealtimeFFI.Target?
}

extension MeteredRealtimeFFI.LocalVideoTrack: NativeLocalTrack {}
extension MeteredRealtimeFFI.LocalAudioTrack: NativeLocalTrack {}

/// A track that we send: a ``LocalVideoTrack`` or a ``LocalAudioTrack``.
///
/// Every call throws a ``MeteredError``.
public class LocalTrack: @unchecked Sendable { // nothing in it or in its two heirs ever changes
    private let inner: any NativeLocalTrack
    private let inbox: Inbox<LocalTrackEvent>

    /// Its id, which differs from every other track's.
    public let id: String

    init(_ inner: any NativeLocalTrack) {
        self.inner = inner
        id = reading(or: "") { try inner.id() }
        inbox = Inbox { max in
            try await nativeCall { try await inner.nextEvents(max: max) }.map(LocalTrackEvent.init)
        }
    }

    /// A stream of what the remotes need, from now on; the first one also has what came before. Any number may be
    /// read, each gets all, and the slowest sets the pace.
    public var events: AsyncStream<LocalTrackEvent> { inbox.stream() }

    /// The worst share of packets lost, 0 to 1, of what the remotes last reported.
    public var reportedLoss: Double { reading(or: 0) { try inner.reportedLoss() } }

    /// What an encoder for all remotes shall make, as the slowest decides; `nil` while nobody gets the track.
    public var target: Target? { target(for: nil) }

    /// What an encoder for one remote shall make; `nil` while it does not get the track.
    public func target(for peerId: String) -> Target? { target(for: .some(peerId)) }

    private func target(for peerId: String?) -> Target? {
        reading(or: nil) { try inner.target(peerId: peerId) }
            .map { Target(bitsPerSecond: $0.bitsPerSecond, frameRate: $0.frameRate) }
    }

    /// Priority and bounds. They count from the next report of each remote on.
    public func setBitrate(_ bitrate: TrackBitrate) throws {
        try native { try inner.setBitrate(bitrate: bitrate.native) }
    }

    /// Stops or resumes sending. Its remotes keep the track.
    public func setMuted(_ muted: Bool) throws { try native { try inner.setMuted(muted: muted) } }

    /// Ends its streams; a peer that sends the track goes on with it. A second call does nothing.
    public func shutdown() async throws {
        let inner = inner
        try await nativeToTheEnd { try await inner.shutdown() }
    }

    func asNative() throws -> MeteredRealtimeFFI.LocalTrack {
        switch inner {
        case let track as MeteredRealtimeFFI.LocalVideoTrack: .video(track: track)
        case let track as MeteredRealtimeFFI.LocalAudioTrack: .audio(track: track)
        default: throw internalFault("a local track of no kind")
        }
    }
}

/// Tracks that belong together: a remote plays them in time with each other.
public struct MediaStream: Sendable {
    /// Its id, which differs from every other stream's.
    public let id: String
    /// Its tracks.
    public let tracks: [LocalTrack]

    /// A stream with this id or with one of its own.
    public init(_ tracks: [LocalTrack], id: String = UUID().uuidString.lowercased()) {
        self.id = id
        self.tracks = tracks
    }

    func asNative() throws -> MeteredRealtimeFFI.MediaStream {
        MeteredRealtimeFFI.MediaStream(id: id, tracks: try tracks.map { try $0.asNative() })
    }
}
