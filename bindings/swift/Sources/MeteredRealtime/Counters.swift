internal import MeteredRealtimeFFI

/// What waits and what is under way.
public struct PacingFigures: Equatable, Sendable {
    /// Requests of call set-up that wait for their turn.
    public var waitingSignalling = 0
    /// Requests of the app that wait for their turn.
    public var waitingApp = 0
    /// Requests that left, or are leaving, and are not answered yet.
    public var unanswered = 0

    init() {}

    init(_ figures: MeteredRealtimeFFI.PacingFigures) {
        waitingSignalling = Int(clamping: figures.waitingSignalling)
        waitingApp = Int(clamping: figures.waitingApp)
        unanswered = Int(clamping: figures.unanswered)
    }
}

/// What came to a ``SignallingClient`` and led to nothing.
public struct SignallingCounters: Equatable, Sendable {
    /// Frames that are not what the protocol says.
    public var malformedFrames: UInt64 = 0
    /// Broken entries and fields inside frames that were otherwise good.
    public var droppedEntries: UInt64 = 0
    /// Frames of a type that this version does not know.
    public var unknownFrames: UInt64 = 0
    /// Binary frames; the protocol has none.
    public var binaryFrames: UInt64 = 0
    /// Answers to requests that nobody waits for any more.
    public var lateAnswers: UInt64 = 0
    /// Frames of connections that were already given up.
    public var staleFrames: UInt64 = 0

    init() {}

    init(_ counters: MeteredRealtimeFFI.SignallingCounters) {
        malformedFrames = counters.malformedFrames
        droppedEntries = counters.droppedEntries
        unknownFrames = counters.unknownFrames
        binaryFrames = counters.binaryFrames
        lateAnswers = counters.lateAnswers
        staleFrames = counters.staleFrames
    }
}

/// What came to a ``MeteredPeer`` and led to nothing.
public struct PeerCounters: Equatable, Sendable {
    /// Peers beyond 256 in the room.
    public var peersBeyondLimit: UInt64 = 0
    /// Data and signals of senders that the room never named.
    public var fromStrangers: UInt64 = 0
    /// Signals that a remote sent faster than they could be taken.
    public var signalsOverflow: UInt64 = 0

    init() {}

    init(_ counters: MeteredRealtimeFFI.PeerCounters) {
        peersBeyondLimit = counters.peersBeyondLimit
        fromStrangers = counters.fromStrangers
        signalsOverflow = counters.signalsOverflow
    }
}

/// What came from a ``RemotePeer`` and led to nothing.
public struct RemoteCounters: Equatable, Sendable {
    /// Answers to offers that were taken back or replaced.
    public var staleAnswers: UInt64 = 0
    /// Candidates of another generation, with hidden addresses, too long, or beyond 200.
    public var candidates: UInt64 = 0
    /// Offers that lost a collision; the remote takes ours instead.
    public var ignoredOffers: UInt64 = 0
    /// Signals beyond what may wait, or too large to be any.
    public var signalsOverflow: UInt64 = 0

    init() {}

    init(_ counters: MeteredRealtimeFFI.RemoteCounters) {
        staleAnswers = counters.staleAnswers
        candidates = counters.candidates
        ignoredOffers = counters.ignoredOffers
        signalsOverflow = counters.signalsOverflow
    }
}
