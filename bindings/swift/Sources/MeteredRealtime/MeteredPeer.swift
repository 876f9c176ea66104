import Foundation
internal import MeteredRealtimeFFI

/// Where a ``MeteredPeer`` stands.
public enum PeerState: String, Sendable {
    /// Never joined, or a join failed.
    case idle
    /// Being joined.
    case joining
    /// In the room.
    case joined
    /// The connection to the service is lost and comes back; with a token calls go on.
    case reconnecting
    /// Being closed.
    case leaving
    /// Ended.
    case closed
}

/// A peer in a room: it knows who is there, is connected to everyone, and stays so. It joins one room in its
/// life.
///
/// ```swift
/// let peer = try MeteredPeer(.apiKey("pk_live_…"))
/// let events = peer.events
/// try await peer.join("room")
/// for await event in events {
///     if case .peerJoined(let remote) = event {
///         try await remote.openDataChannel("chat").send("hello")
///     }
/// }
/// ```
///
/// Every call throws a ``MeteredError``, or `CancellationError` when its task is cancelled: then it is ended in
/// the library too. The peer lives until nobody holds it or one of its streams, or until ``shutdown()``.
public final class MeteredPeer: Sendable {
    private let inner: MeteredRealtimeFFI.MeteredPeer
    private let inbox: Inbox<PeerEvent>

    /// A peer at rest. Checks every option.
    public init(_ credential: Credential, options: PeerOptions = PeerOptions()) throws {
        let options = options.native
        let inner = try credential.make {
            try MeteredRealtimeFFI.MeteredPeer(credential: $0, options: options)
        } provided: {
            try MeteredRealtimeFFI.MeteredPeer.withTokenProvider(provider: $0, options: options)
        }
        self.inner = inner
        inbox = Inbox { max in
            try await nativeCall { try await inner.nextEvents(max: max) }.map(PeerEvent.init)
        }
    }

    /// Where the peer stands now.
    public var state: PeerState {
        reading(or: .closed) { PeerState(try inner.state()) }
    }

    /// The present state, then each further one. Ends after ``shutdown()``.
    public var states: AsyncStream<PeerState> {
        let inner = inner
        return stateStream {
            reading(or: .closed) { PeerState(try inner.state()) }
        } after: { known in
            PeerState(try await nativeCall { try await inner.stateAfter(known: known.native) })
        }
    }

    /// The latest changes of the state, the oldest first; at most 64.
    public var stateHistory: [StateChange<PeerState>] {
        reading(or: []) {
            try inner.stateHistory().map {
                StateChange(
                    at: Date(unixMs: $0.atUnixMs), from: PeerState($0.from), to: PeerState($0.to), reason: $0.reason)
            }
        }
    }

    /// A stream of the events from now on; the first one also has those from before. Ends with the peer.
    ///
    /// Any number of streams may be read, each gets all. One that is kept and not read holds the others up:
    /// then up to 1,024 events wait, and ``PeerEvent/lagged(missed:)`` says how many more were dropped.
    public var events: AsyncStream<PeerEvent> { inbox.stream() }

    /// Our id, once connected.
    public var peerId: String? { reading(or: nil) { try inner.peerId() } }

    /// The room, once joined.
    public var channel: String? { reading(or: nil) { try inner.channel() } }

    /// Who else is in the room, by their ids.
    public var remotePeers: [RemotePeer] {
        reading(or: []) { try inner.remotePeers().map { RemotePeer($0) } }
    }

    /// One of the others; `nil` if it is not in the room.
    public func remotePeer(_ peerId: String) -> RemotePeer? {
        reading(or: nil) { try inner.remotePeer(peerId: peerId).map { RemotePeer($0) } }
    }

    /// The last failure that was told as ``PeerEvent/fault(_:)``.
    public var lastFailure: Failure? {
        reading(or: nil) { try inner.lastFailure().map { Failure($0.name, $0.details) } }
    }

    /// What came and led to nothing.
    public var counters: PeerCounters {
        reading(or: PeerCounters()) { PeerCounters(try inner.counters()) }
    }

    /// The signalling client below, for its events and figures. Its connection belongs to this peer.
    public func signalling() throws -> SignallingClient {
        SignallingClient(try native { try inner.signalling() })
    }

    /// Joins a room; done when the service has acknowledged it. Cancelled, the peer leaves for good: make a new
    /// one to try again.
    public func join(_ channel: String, includeSenderMetadata: Bool = false) async throws {
        do {
            try await nativeCall {
                try await inner.join(channel: channel, includeSenderMetadata: includeSenderMetadata)
            }
        } catch let error as CancellationError {
            try await leave(reason: "the join was cancelled")
            throw error
        }
    }

    /// Leaves the room for good and ends every connection, in a cancelled task too. The reason is for
    /// ``PeerEvent/left(reason:)``, and for the service if it has up to 123 bytes.
    public func leave(reason: String = "") async throws {
        let inner = inner
        try await nativeToTheEnd { try await inner.leave(reason: reason) }
    }

    /// Sends data to everyone in the room by way of the service; done at its ack. Throws an `EncodingError` if
    /// the data cannot be JSON.
    public func send(_ data: some Encodable & Sendable) async throws {
        try await send(Payload(encoding: data))
    }

    /// Sends JSON that is there already to everyone in the room.
    public func send(_ data: Payload) async throws {
        try await nativeCall { try await inner.send(dataJson: data.text) }
    }

    /// Sends data to one peer by way of the service; done at its ack. Throws an `EncodingError` if the data
    /// cannot be JSON.
    public func send(_ data: some Encodable & Sendable, to peerId: String) async throws {
        try await send(Payload(encoding: data), to: peerId)
    }

    /// Sends JSON that is there already to one peer.
    public func send(_ data: Payload, to peerId: String) async throws {
        try await nativeCall { try await inner.sendTo(peerId: peerId, dataJson: data.text) }
    }

    /// Sends a track to everyone in the room, and to everyone who comes; before the join as well.
    ///
    /// - Parameters:
    ///   - track: the track
    ///   - stream: the remotes get it as part of this stream
    ///   - metadata: an object that reaches them before the track does
    public func addTrack(_ track: LocalTrack, in stream: MediaStream? = nil, metadata: Payload? = nil) throws {
        let track = try track.asNative()
        try native { try inner.addTrack(track: track, streamId: stream?.id, metadataJson: metadata?.text) }
    }

    /// Stops sending a track. One that was never added is none, and that is no error.
    public func removeTrack(_ track: LocalTrack) throws { try native { try inner.removeTrack(trackId: track.id) } }

    /// Puts another track of the same codec in a track's place, without a negotiation: the remotes see the same
    /// track go on. `nil` silences it for those who have it, and forgets it. Not possible while reconnecting.
    public func replaceTrack(_ track: LocalTrack, by other: LocalTrack?) throws {
        let other = try other?.asNative()
        try native { try inner.replaceTrack(trackId: track.id, by: other) }
    }

    /// Adds every track of a stream; the metadata, an object, is said of each.
    public func addStream(_ stream: MediaStream, metadata: Payload? = nil) throws {
        let stream = try stream.asNative()
        try native { try inner.addStream(stream: stream, metadataJson: metadata?.text) }
    }

    /// Removes every track of a stream.
    public func removeStream(_ stream: MediaStream) throws {
        let stream = try stream.asNative()
        try native { try inner.removeStream(stream: stream) }
    }

    /// What was said of a track when it was added.
    public func trackMetadata(_ track: LocalTrack) throws -> Payload? {
        try native { try inner.trackMetadataJson(trackId: track.id) }.map(Payload.init(text:))
    }

    /// What was said of a stream's first track that is published.
    public func streamMetadata(_ stream: MediaStream) throws -> Payload? {
        let stream = try stream.asNative()
        return try native { try inner.streamMetadataJson(stream: stream) }.map(Payload.init(text:))
    }

    /// Has each new socket of the connections to remotes bound by the app. Set it before ``join(_:includeSenderMetadata:)``.
    ///
    /// - Parameter bind: called with the file descriptor of each new socket, before anything is sent. It is still
    ///   the SDK's: it is not to be closed. If this throws, the socket is not used. It must not wait.
    public func setSocketBinder(_ bind: @escaping @Sendable (Int32) throws -> Void) throws {
        try native { try inner.setSocketBinder(binder: BinderAdapter(bind)) }
    }

    /// The platform reports another network.
    public func networkChanged() throws { try native { try inner.networkChanged() } }

    /// The app went to the background.
    public func enteredBackground() throws { try native { try inner.enteredBackground() } }

    /// The app came to the foreground.
    public func enteredForeground() throws { try native { try inner.enteredForeground() } }

    /// The user asks for connections now.
    public func reconnectNow() throws { try native { try inner.reconnectNow() } }

    /// Leaves the room if that was not done, and frees token provider and tasks; done when nothing is left, in a
    /// cancelled task too. Events from before can still be read. A second call does nothing.
    public func shutdown() async throws {
        let inner = inner
        try await nativeToTheEnd { try await inner.shutdown() }
    }
}

/// The app's binder, as the library asks it.
private final class BinderAdapter: MeteredRealtimeFFI.SocketBinder {
    private let bind: @Sendable (Int32) throws -> Void

    init(_ bind: @escaping @Sendable (Int32) throws -> Void) { self.bind = bind }

    func bindSocket(fileDescriptor: Int32) throws {
        do { try bind(fileDescriptor) } catch { throw CallbackError.Failed(reason: String(describing: error)) }
    }
}

extension PeerState {
    init(_ state: MeteredRealtimeFFI.PeerState) {
        self =
            switch state {
            case .idle: .idle
            case .joining: .joining
            case .joined: .joined
            case .reconnecting: .reconnecting
            case .leaving: .leaving
            case .closed: .closed
            }
    }

    fileprivate var native: MeteredRealtimeFFI.PeerState {
        switch self {
        case .idle: .idle
        case .joining: .joining
        case .joined: .joined
        case .reconnecting: .reconnecting
        case .leaving: .leaving
        case .closed: .closed
        }
    }
}
