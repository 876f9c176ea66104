import Foundation
internal import MeteredRealtimeFFI

/// Where the connection to a ``RemotePeer`` stands.
public enum RemoteState: String, Sendable {
    /// Nothing to connect for yet: neither data channel nor track.
    case idle
    /// Being connected.
    case connecting
    /// Connected.
    case connected
    /// The path is lost and looked for anew, or the connection is made anew.
    case reconnecting
    /// The remote has left, or the peer was closed.
    case closed
}

/// Another peer in the room; it always speaks to the present connection.
///
/// Each object has events of its own, from its first stream on. The first one of all objects for the same remote
/// also gets what came before, such as a channel that the remote opened.
public final class RemotePeer: Sendable {
    private let inner: MeteredRealtimeFFI.RemotePeer
    private let inbox: Inbox<RemoteEvent>

    /// Its id in the room.
    public let id: String
    /// Its token's `peerMetadata`, an object, if there is any.
    public let metadata: Payload?

    init(_ inner: MeteredRealtimeFFI.RemotePeer) {
        self.inner = inner
        id = reading(or: "") { try inner.id() }
        metadata = reading(or: nil) { try inner.metadataJson() }.map(Payload.init(text:))
        inbox = Inbox { max in
            try await nativeCall { try await inner.nextEvents(max: max) }.map(RemoteEvent.init)
        }
    }

    /// Where the connection stands now.
    public var state: RemoteState {
        reading(or: .closed) { RemoteState(try inner.state()) }
    }

    /// The present state, then each further one. Ends when the remote has left.
    public var states: AsyncStream<RemoteState> {
        let inner = inner
        return stateStream {
            reading(or: .closed) { RemoteState(try inner.state()) }
        } after: { known in
            RemoteState(try await nativeCall { try await inner.stateAfter(known: known.native) })
        }
    }

    /// The latest changes of the state, the oldest first; at most 64.
    public var stateHistory: [StateChange<RemoteState>] {
        reading(or: []) {
            try inner.stateHistory().map {
                StateChange(
                    at: Date(unixMs: $0.atUnixMs), from: RemoteState($0.from), to: RemoteState($0.to),
                    reason: $0.reason)
            }
        }
    }

    /// A stream of the events from now on; the first one also has those from before. Any number may be read,
    /// each gets all, and the slowest sets the pace.
    public var events: AsyncStream<RemoteEvent> { inbox.stream() }

    /// Whether we give way when both sides offer at once.
    public var polite: Bool { reading(or: false) { try inner.polite() } }

    /// The last failure of a negotiation.
    public var lastFailure: Failure? {
        reading(or: nil) { try inner.lastFailure().map { Failure($0.name, $0.details) } }
    }

    /// The latest failures of STUN and TURN servers and of candidates, the oldest first; at most 32.
    public var iceFailures: [IceFailure] {
        reading(or: []) { try inner.iceFailures().map(IceFailure.init) }
    }

    /// What came from it and led to nothing.
    public var counters: RemoteCounters {
        reading(or: RemoteCounters()) { RemoteCounters(try inner.counters()) }
    }

    /// Sends data to this peer by way of the service; done at its ack. Throws an `EncodingError` if the data
    /// cannot be JSON.
    public func send(_ data: some Encodable & Sendable) async throws {
        try await send(Payload(encoding: data))
    }

    /// Sends JSON that is there already to this peer.
    public func send(_ data: Payload) async throws {
        try await nativeCall { try await inner.send(dataJson: data.text) }
    }

    /// Opens a data channel; the connection is made for it if there is none. Done when the channel exists:
    /// ``DataChannelEvent/opened`` says when messages pass, and a send waits for that.
    public func openDataChannel(
        _ label: String, options: DataChannelOptions = DataChannelOptions()
    ) async throws -> DataChannel {
        let options = options.native
        return DataChannel(try await nativeCall { try await inner.openDataChannel(label: label, options: options) })
    }

    /// Figures of the connection; zeros without one.
    public func stats() async throws -> ConnectionStats {
        ConnectionStats(try await nativeCall { try await inner.stats() })
    }

    /// Ends the streams of this object; the connection stays, as it is the peer's. A second call does nothing.
    public func shutdown() async throws {
        let inner = inner
        try await nativeToTheEnd { try await inner.shutdown() }
    }
}

extension RemotePeer: CustomStringConvertible {
    /// Id and state.
    public var description: String { "RemotePeer(\(id), \(state.rawValue))" }
}

extension RemoteState {
    init(_ state: MeteredRealtimeFFI.RemoteState) {
        self =
            switch state {
            case .idle: .idle
            case .connecting: .connecting
            case .connected: .connected
            case .reconnecting: .reconnecting
            case .closed: .closed
            }
    }

    fileprivate var native: MeteredRealtimeFFI.RemoteState {
        switch self {
        case .idle: .idle
        case .connecting: .connecting
        case .connected: .connected
        case .reconnecting: .reconnecting
        case .closed: .closed
        }
    }
}
