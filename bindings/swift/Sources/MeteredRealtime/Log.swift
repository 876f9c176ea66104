import Foundation
internal import MeteredRealtimeFFI

/// How much the SDK's log tells.
public enum LogLevel: Equatable, Sendable {
    /// What the app must know of.
    case error
    /// What may become a problem.
    case warn
    /// Connections and their ends.
    case info
    /// Decisions.
    case debug
    /// Everything.
    case trace
}

/// One line of the SDK's log. Credentials are never in it.
public struct LogRecord: Equatable, Sendable {
    /// When, by the device's clock.
    public let at: Date
    /// How much it matters.
    public let level: LogLevel
    /// The module that says it.
    public let target: String
    /// What it says.
    public let message: String
    /// Lines dropped before this one, because they were not read fast enough: 4,096 wait.
    public let missedBefore: Int
}

/// The SDK's own log.
///
/// ```swift
/// for await record in try MeteredLog.start(.info) { print(record.level, record.message) }
/// ```
public enum MeteredLog {
    /// Keeps the log from now on and gives its lines, one reader at a time; called again, it changes the
    /// level. The stream ends when its task is cancelled. Throws a ``MeteredError`` if the process has a
    /// logger of its own for Rust.
    @discardableResult
    public static func start(_ level: LogLevel) throws -> AsyncStream<LogRecord> {
        try native { try startLogging(level: level.native) }
        let inbox = Inbox { max in
            try await nativeCall { try await nextLogRecords(max: max) }.map(LogRecord.init)
        }
        return inbox.stream()
    }
}

extension LogLevel {
    init(_ level: MeteredRealtimeFFI.LogLevel) {
        self =
            switch level {
            case .error: .error
            case .warn: .warn
            case .info: .info
            case .debug: .debug
            case .trace: .trace
            }
    }

    var native: MeteredRealtimeFFI.LogLevel {
        switch self {
        case .error: .error
        case .warn: .warn
        case .info: .info
        case .debug: .debug
        case .trace: .trace
        }
    }
}

extension LogRecord {
    init(_ record: MeteredRealtimeFFI.LogRecord) {
        at = Date(unixMs: record.atUnixMs)
        level = LogLevel(record.level)
        target = record.target
        message = record.message
        missedBefore = Int(clamping: record.missedBefore)
    }
}

extension Date {
    init(unixMs: UInt64) { self.init(timeIntervalSince1970: Double(unixMs) / 1_000) }
}
