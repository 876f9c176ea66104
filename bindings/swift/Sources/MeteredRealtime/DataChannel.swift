import Foundation
internal import MeteredRealtimeFFI

/// Where a ``DataChannel`` stands (W3C `RTCDataChannelState`).
public enum ReadyState: String, Sendable {
    /// Not open yet; a durable channel is here again after a reset.
    case connecting
    /// Messages pass.
    case open
    /// Being closed.
    case closing
    /// Closed for good.
    case closed
}

/// How a data channel shall be: reliable and ordered, unless said otherwise.
public struct DataChannelOptions: Equatable, Sendable {
    /// Whether messages arrive in the order of their sending.
    public var ordered = true
    /// How often a lost message is sent again; `nil` until it arrives.
    public var maxRetransmits: Int?
    /// How long a lost message is sent again, up to 65,535 ms; not with ``maxRetransmits``.
    public var maxPacketLifeTime: Duration?
    /// The subprotocol's name.
    public var `protocol` = ""
    /// The stream, 0 to 65,534, if both sides open the channel with the same one by agreement.
    public var negotiatedId: Int?
    /// Whether the channel outlives the connection.
    public var durable = false
    /// Bytes that may wait in the transport before a send waits.
    public var maxBufferedAmount = 1_048_576
    /// ``DataChannelEvent/bufferedAmountLow`` comes at so many bytes; `nil` for half of ``maxBufferedAmount``.
    public var bufferedAmountLowThreshold: Int?
    /// Sends that may wait.
    public var maxQueuedSends = 256

    /// The defaults.
    public init() {}

    var native: MeteredRealtimeFFI.DataChannelOptions {
        MeteredRealtimeFFI.DataChannelOptions(
            ordered: ordered,
            maxRetransmits: maxRetransmits.map { UInt16(clamping: $0) },
            maxPacketLifeTimeMs: maxPacketLifeTime?.milliseconds,
            protocol: `protocol`,
            negotiatedId: negotiatedId.map { UInt16(clamping: $0) },
            durable: durable,
            maxBufferedAmount: UInt64(clamping: maxBufferedAmount),
            bufferedAmountLowThreshold: bufferedAmountLowThreshold.map { UInt64(clamping: $0) },
            maxQueuedSends: UInt64(clamping: maxQueuedSends))
    }
}

/// Something that happened on a ``DataChannel``.
public enum DataChannelEvent: Equatable, Sendable {
    /// Messages pass from now on. A durable channel opens again after each reset.
    case opened
    /// A text came.
    case text(String)
    /// Bytes came.
    case binary(Data)
    /// So little waits in the transport that more can be given.
    case bufferedAmountLow
    /// The transport reported a fault; ``closed`` follows if it is final.
    case fault
    /// Closed for good. The last event.
    case closed
    /// So many messages from before the first stream were dropped.
    case lagged(missed: Int)

    init(_ event: MeteredRealtimeFFI.DataChannelEvent) {
        self =
            switch event {
            case .opened: .opened
            case .text(let text): .text(text)
            case .binary(let data): .binary(data)
            case .bufferedAmountLow: .bufferedAmountLow
            case .fault: .fault
            case .closed: .closed
            case .lagged(let missed): .lagged(missed: Int(clamping: missed))
            }
    }
}

/// A data channel to one remote: text and bytes, reliable or not.
public final class DataChannel: Sendable {
    private let inner: MeteredRealtimeFFI.DataChannel
    private let inbox: Inbox<DataChannelEvent>

    /// Tells this channel from others of the same peer, also over resets.
    public let id: String
    /// The label.
    public let label: String
    /// The subprotocol's name; empty if there is none.
    public let `protocol`: String

    init(_ inner: MeteredRealtimeFFI.DataChannel) {
        self.inner = inner
        id = reading(or: "") { try inner.id() }
        label = reading(or: "") { try inner.label() }
        `protocol` = reading(or: "") { try inner.protocol() }
        inbox = Inbox { max in
            try await nativeCall { try await inner.nextEvents(max: max) }.map(DataChannelEvent.init)
        }
    }

    /// Whether messages arrive in order.
    public var ordered: Bool { reading(or: true) { try inner.ordered() } }

    /// How often a lost message is sent again; `nil` until it arrives.
    public var maxRetransmits: Int? { reading(or: nil) { try inner.maxRetransmits() }.map(Int.init) }

    /// Whether it outlives its connection.
    public var durable: Bool { reading(or: false) { try inner.durable() } }

    /// Bytes of a message that the remote takes.
    public var maxMessageSize: Int { Int(clamping: reading(or: 0) { try inner.maxMessageSize() }) }

    /// Where it stands now.
    public var state: ReadyState {
        reading(or: .closed) { ReadyState(try inner.readyState()) }
    }

    /// The present state, then each further one. Ends with the channel.
    public var states: AsyncStream<ReadyState> {
        let inner = inner
        return stateStream {
            reading(or: .closed) { ReadyState(try inner.readyState()) }
        } after: { known in
            ReadyState(try await nativeCall { try await inner.readyStateAfter(known: known.native) })
        }
    }

    /// A stream of the events from now on; the first one also has those from before. Ends with the channel.
    ///
    /// Any number of streams may be read, each gets all, and the slowest sets the pace: from the first one on
    /// the remote is slowed down while events are not read, so that nothing is lost.
    public var events: AsyncStream<DataChannelEvent> { inbox.stream() }

    /// Bytes handed to the transport that the remote has not acknowledged.
    public func bufferedAmount() async throws -> Int {
        Int(clamping: try await nativeCall { try await inner.bufferedAmount() })
    }

    /// Sends text; done when it is handed to the transport. Waits until the channel is open and the transport
    /// has room; sends leave in the order of their calls. Cancelled, the message is taken back if it has not
    /// left.
    public func send(_ text: String) async throws {
        try await nativeCall { try await inner.sendText(text: text) }
    }

    /// Sends bytes, as the other `send` does text.
    public func send(_ data: Data) async throws {
        try await nativeCall { try await inner.sendBytes(data: data) }
    }

    /// Sends text now, or throws.
    public func trySend(_ text: String) async throws {
        try await nativeCall { try await inner.trySendText(text: text) }
    }

    /// Sends bytes now, or throws.
    public func trySend(_ data: Data) async throws {
        try await nativeCall { try await inner.trySendBytes(data: data) }
    }

    /// Closes the channel on both sides, in a cancelled task too. Messages that the transport has still arrive.
    /// A second call does nothing.
    public func shutdown() async throws {
        let inner = inner
        try await nativeToTheEnd { try await inner.shutdown() }
    }
}

extension DataChannel: CustomStringConvertible {
    /// Label and state.
    public var description: String { "DataChannel(\(label), \(state.rawValue))" }
}

extension ReadyState {
    init(_ state: MeteredRealtimeFFI.ReadyState) {
        self =
            switch state {
            case .connecting: .connecting
            case .open: .open
            case .closing: .closing
            case .closed: .closed
            }
    }

    fileprivate var native: MeteredRealtimeFFI.ReadyState {
        switch self {
        case .connecting: .connecting
        case .open: .open
        case .closing: .closing
        case .closed: .closed
        }
    }
}
