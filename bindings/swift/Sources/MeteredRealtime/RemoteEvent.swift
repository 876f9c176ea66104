internal import MeteredRealtimeFFI

/// Something that happened to a ``RemotePeer``.
public enum RemoteEvent: Sendable {
    /// The connection's state changed.
    case stateChange(from: RemoteState, to: RemoteState)
    /// A step of the negotiation failed. The SDK goes on by itself, but for `IceRestartExhaustedError`.
    case negotiationFailed(Failure)
    /// A STUN or TURN server does not serve, or a candidate of the remote could not be used.
    case iceFailed(IceFailure)
    /// The remote sends a track.
    case trackAdded(track: RemoteTrack)
    /// The remote opened a data channel.
    case dataChannelOpened(channel: DataChannel)
    /// The remote sends a stream, with its metadata if there is any.
    case streamAdded(streamId: String, metadata: Payload?)
    /// A track went.
    case trackRemoved(trackId: String)
    /// The last track of a stream went.
    case streamRemoved(streamId: String)
    /// The connection was made anew: data channels that are not durable are closed, and the app may open them
    /// again now.
    case connectionReset
    /// Events were not read fast enough: so many of the oldest were dropped.
    case lagged(missed: Int)
}

/// A failure of a STUN or TURN server, or of a candidate.
public struct IceFailure: Equatable, Sendable {
    /// The server's URL; empty if a candidate was at fault.
    public let url: String
    /// STUN error code 300 to 699, or 701 if the server could not be reached.
    public let errorCode: Int
    /// Code, message, cause and fix.
    public let diagnosis: Diagnosis

    init(_ failure: MeteredRealtimeFFI.IceFailure) {
        url = failure.url
        errorCode = Int(failure.errorCode)
        diagnosis = Diagnosis(failure.details)
    }
}

/// What is known of a track that the remote sends.
public struct RemoteTrack: Sendable {
    /// The track's id.
    public let trackId: String
    /// `audio` or `video`.
    public let kind: String
    /// The codec, such as `video/VP8`; empty while unknown.
    public let codec: String
    /// The streams that it belongs to.
    public let streamIds: [String]
    /// The track's metadata, if there is any.
    public let metadata: Payload?
    /// What comes on it.
    public let media: RemoteMedia

    init(_ track: MeteredRealtimeFFI.RemoteTrack) {
        trackId = track.trackId
        kind = track.kind
        codec = track.codec
        streamIds = track.streamIds
        metadata = track.metadataJson.map(Payload.init(text:))
        media = RemoteMedia(track.media)
    }
}

/// What comes on a track that a remote sends.
public enum RemoteMedia: Sendable {
    /// Pictures.
    case video(RemoteVideoTrack)
    /// Sound.
    case audio(RemoteAudioTrack)

    init(_ media: MeteredRealtimeFFI.RemoteMedia) {
        self =
            switch media {
            case .video(let track): .video(RemoteVideoTrack(track))
            case .audio(let track): .audio(RemoteAudioTrack(track))
            }
    }
}

extension RemoteEvent {
    init(_ event: MeteredRealtimeFFI.RemoteEvent) {
        self =
            switch event {
            case .stateChange(let from, let to): .stateChange(from: RemoteState(from), to: RemoteState(to))
            case .negotiationFailed(let failure): .negotiationFailed(Failure(failure.name, failure.details))
            case .iceFailed(let failure): .iceFailed(IceFailure(failure))
            case .trackAdded(let track): .trackAdded(track: RemoteTrack(track))
            case .dataChannelOpened(let channel): .dataChannelOpened(channel: DataChannel(channel))
            case .streamAdded(let streamId, let metadata):
                .streamAdded(streamId: streamId, metadata: metadata.map(Payload.init(text:)))
            case .trackRemoved(let trackId): .trackRemoved(trackId: trackId)
            case .streamRemoved(let streamId): .streamRemoved(streamId: streamId)
            case .connectionReset: .connectionReset
            case .lagged(let missed): .lagged(missed: Int(clamping: missed))
            }
    }
}
