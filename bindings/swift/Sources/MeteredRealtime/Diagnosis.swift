internal import MeteredRealtimeFFI

/// What led to something and what mends it, in words for the person who has to.
public struct Diagnosis: Equatable, Sendable {
    /// Stable code.
    public let code: String
    /// One line for people.
    public let message: String
    /// What led to it; one or two sentences.
    public let cause: String
    /// What to do; one or two sentences.
    public let fix: String

    init(_ details: MeteredRealtimeFFI.ErrorDetails) {
        code = details.code
        message = details.message
        cause = details.cause
        fix = details.fix
    }

    /// Cause and fix of a WebSocket close code, for apps that show them. Throws a ``MeteredError``.
    public init(closeCode: Int) throws {
        self.init(try native { try diagnoseCloseCode(closeCode: UInt16(clamping: closeCode)) })
    }
}

/// A failure that is told as an event.
public struct Failure: Equatable, Sendable {
    /// The JavaScript SDK's name of it, such as `invalid_token` or `NegotiationError`.
    public let name: String
    /// Code, message, cause and fix.
    public let diagnosis: Diagnosis

    init(_ name: String, _ details: MeteredRealtimeFFI.ErrorDetails) {
        self.name = name
        diagnosis = Diagnosis(details)
    }
}
