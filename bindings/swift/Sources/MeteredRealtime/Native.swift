internal import MeteredRealtimeFFI

/// A call of the library; its errors become ours.
func native<T>(_ call: () throws -> T) throws -> T {
    do { return try call() } catch { throw translated(error) }
}

/// A call of the library that waits. The task's cancellation ends it there.
func nativeCall<T: Sendable>(_ call: () async throws -> T) async throws -> T {
    do { return try await call() } catch { throw translated(error) }
}

/// A call of the library that is always done to its end, whether the caller's task is cancelled or not: what
/// ends things must work in a task that is being ended.
func nativeToTheEnd(_ call: @escaping @Sendable () async throws -> Void) async throws {
    try await Task { try await nativeCall(call) }.value
}

/// Reads what the library always can tell. Only a fault of its own could keep it from that; then the next call
/// that throws says so.
func reading<T>(or fallback: T, _ call: () throws -> T) -> T {
    (try? call()) ?? fallback
}

private func translated(_ error: any Error) -> any Error {
    switch error {
    case let error as SdkError: MeteredError(error)
    case is CancellationError: error
    default: internalFault(error)
    }
}

/// The generated code's own errors: a panic inside, above all.
private func internalFault(_ error: any Error) -> MeteredError { internalFault(error.localizedDescription) }

/// What cannot be, and was met all the same.
func internalFault(_ message: String) -> MeteredError {
    MeteredError(
        kind: .internalFault, name: "InternalError", code: "internal", message: message,
        cause: "The SDK met a fault of its own.",
        fix: "Report it with a trace log; credentials are never in it.")
}

extension Duration {
    /// Whole milliseconds, none below 0.
    var milliseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000)
        let sum = whole.addingReportingOverflow(UInt64(attoseconds) / 1_000_000_000_000_000)
        return overflow || sum.overflow ? .max : sum.partialValue
    }
}
