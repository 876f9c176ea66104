internal import MeteredRealtimeFFI

/// Where a ``SignallingClient`` stands.
public enum SignallingState: String, Sendable {
    /// Never connected.
    case idle
    /// The first attempt is under way.
    case connecting
    /// Requests can be made.
    case connected
    /// The connection is lost and will be made anew.
    case reconnecting
    /// Ended.
    case closed
}

/// A client of the service: pub/sub with presence, and data from peer to peer, over one connection that is
/// kept alive.
///
/// ```swift
/// let client = try SignallingClient(.apiKey("pk_live_…"))
/// let events = client.events
/// try await client.connect()
/// try await client.subscribe("room")
/// try await client.publish("room", "hello")
/// for await event in events {
///     if case .message(let message) = event { print(message.from, try message.data.json) }
/// }
/// ```
///
/// Every call throws a ``MeteredError``, or `CancellationError` when its task is cancelled: then it is ended in
/// the library too. The client lives until nobody holds it or one of its streams, or until ``shutdown()``.
public final class SignallingClient: Sendable {
    private let inner: MeteredRealtimeFFI.SignallingClient
    private let inbox: Inbox<SignallingEvent>

    init(_ inner: MeteredRealtimeFFI.SignallingClient) {
        self.inner = inner
        inbox = Inbox { max in
            try await nativeCall { try await inner.nextEvents(max: max) }.map(SignallingEvent.init)
        }
    }

    /// A client at rest. Checks every option.
    public convenience init(_ credential: Credential, options: SignallingOptions = SignallingOptions()) throws {
        let options = options.native
        self.init(
            try credential.make {
                try MeteredRealtimeFFI.SignallingClient(credential: $0, options: options)
            } provided: {
                try MeteredRealtimeFFI.SignallingClient.withTokenProvider(provider: $0, options: options)
            })
    }

    /// Where the client stands now.
    public var state: SignallingState {
        reading(or: .closed) { SignallingState(try inner.state()) }
    }

    /// The present state, then each further one. Ends after ``shutdown()``.
    public var states: AsyncStream<SignallingState> {
        let inner = inner
        return stateStream {
            reading(or: .closed) { SignallingState(try inner.state()) }
        } after: { known in
            SignallingState(try await nativeCall { try await inner.stateAfter(known: known.native) })
        }
    }

    /// A stream of the events from now on; the first one also has those from before. Ends with the client.
    ///
    /// Any number of streams may be read, each gets all. One that is kept and not read holds the others up:
    /// then up to 1,024 events wait, and ``SignallingEvent/lagged(missed:)`` says how many more were dropped.
    public var events: AsyncStream<SignallingEvent> { inbox.stream() }

    /// The present connection's welcome; `nil` without one.
    public var welcome: Welcome? {
        reading(or: nil) { try inner.welcome().map(Welcome.init) }
    }

    /// What waits for its turn, and what for its answer.
    public var pacing: PacingFigures {
        reading(or: PacingFigures()) { PacingFigures(try inner.pacing()) }
    }

    /// What came and led to nothing, since ``connect()``.
    public var counters: SignallingCounters {
        reading(or: SignallingCounters()) { SignallingCounters(try inner.counters()) }
    }

    /// The last attempt to connect: how long each step took, and at which it failed; `nil` before the first.
    public var lastAttempt: Attempt? {
        reading(or: nil) { try inner.lastAttempt().map(Attempt.init) }
    }

    /// Asks the service for a sign of life and tells how long the answer took, in milliseconds. `nil` without a
    /// connection, or if none came in time: then the connection is being replaced.
    public func roundTripMs() async throws -> Double? {
        try await nativeCall { try await inner.roundTripMs() }
    }

    /// Connects; done at the server's welcome. The first attempt is not repeated, every later drop is mended.
    /// Cancelled, the attempt is ended and the client can connect again.
    public func connect() async throws {
        do {
            try await nativeCall { try await inner.connect() }
        } catch let error as CancellationError {
            try await disconnect()
            throw error
        }
    }

    /// Ends the connection with a close code, 1000 or 3000 to 4999, and a reason of up to 123 bytes. The client
    /// can connect again. Done to its end in a cancelled task too.
    public func disconnect(closeCode: Int = 1000, reason: String = "") async throws {
        let inner = inner
        try await nativeToTheEnd {
            try await inner.disconnect(closeCode: UInt16(clamping: closeCode), reason: reason)
        }
    }

    /// Receives a channel's messages and presence from now on, over reconnects too.
    public func subscribe(_ channel: String, includeSenderMetadata: Bool = false) async throws {
        try await nativeCall {
            try await inner.subscribe(channel: channel, includeSenderMetadata: includeSenderMetadata)
        }
    }

    /// Stops receiving a channel.
    public func unsubscribe(_ channel: String) async throws {
        try await nativeCall { try await inner.unsubscribe(channel: channel) }
    }

    /// Broadcasts data to a channel's subscribers but ourselves; done at the server's ack. Throws an
    /// `EncodingError` if the data cannot be JSON.
    public func publish(_ channel: String, _ data: some Encodable & Sendable) async throws {
        try await publish(channel, Payload(encoding: data))
    }

    /// Broadcasts JSON that is there already.
    public func publish(_ channel: String, _ data: Payload) async throws {
        try await nativeCall { try await inner.publish(channel: channel, dataJson: data.text) }
    }

    /// Hands data to one peer; done at the server's ack. Throws an `EncodingError` if the data cannot be JSON.
    public func send(_ data: some Encodable & Sendable, to peerId: String) async throws {
        try await send(Payload(encoding: data), to: peerId)
    }

    /// Hands JSON that is there already to one peer.
    public func send(_ data: Payload, to peerId: String) async throws {
        try await nativeCall { try await inner.send(peerId: peerId, dataJson: data.text, priority: .app) }
    }

    /// The platform reports another network.
    public func networkChanged() throws { try native { try inner.networkChanged() } }

    /// The app went to the background.
    public func enteredBackground() throws { try native { try inner.enteredBackground() } }

    /// The app came to the foreground.
    public func enteredForeground() throws { try native { try inner.enteredForeground() } }

    /// The user asks for a connection now.
    public func reconnectNow() throws { try native { try inner.reconnectNow() } }

    /// Ends the connection, and frees token provider and tasks; done when nothing is left, in a cancelled task
    /// too. The client is of no further use; events from before can still be read. A second call does nothing.
    public func shutdown() async throws {
        let inner = inner
        try await nativeToTheEnd { try await inner.shutdown() }
    }
}

extension SignallingState {
    init(_ state: MeteredRealtimeFFI.SignallingState) {
        self =
            switch state {
            case .idle: .idle
            case .connecting: .connecting
            case .connected: .connected
            case .reconnecting: .reconnecting
            case .closed: .closed
            }
    }

    fileprivate var native: MeteredRealtimeFFI.SignallingState {
        switch self {
        case .idle: .idle
        case .connecting: .connecting
        case .connected: .connected
        case .reconnecting: .reconnecting
        case .closed: .closed
        }
    }
}
