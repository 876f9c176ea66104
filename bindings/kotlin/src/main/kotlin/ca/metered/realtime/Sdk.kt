package ca.metered.realtime

import ca.metered.realtime.ffi.LogLevel as NativeLogLevel
import ca.metered.realtime.ffi.nextLogRecords
import ca.metered.realtime.ffi.startLogging
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow

/** What concerns the whole SDK. */
public object MeteredSdk {
    /**
     * Shuts every client and peer down and ends the SDK's threads; a later call starts them again. For the end
     * of the process or of a test.
     */
    public suspend fun shutdownAll(): Unit = native { ca.metered.realtime.ffi.shutdownAll() }
}

/** How much of the log is told. */
public enum class LogLevel {
    /** What the app must know of. */
    ERROR,

    /** What may become a problem. */
    WARN,

    /** Connections and their ends. */
    INFO,

    /** Decisions. */
    DEBUG,

    /** Everything. */
    TRACE,
}

/**
 * One line of the log.
 *
 * @property atUnixMs when, by the device's clock, in milliseconds since 1970
 * @property level how much it matters
 * @property target the module that says it
 * @property message what it says
 * @property missedBefore records dropped before this one, because they were not taken fast enough
 */
public data class LogRecord(
    val atUnixMs: Long,
    val level: LogLevel,
    val target: String,
    val message: String,
    val missedBefore: Long,
)

/** The SDK's log. Credentials are never in it. */
public object MeteredLog {
    /**
     * What the SDK says from [start] on. One collector at a time: several share the lines among them. Up to
     * 4,096 wait; beyond that the oldest are dropped and counted.
     */
    public val records: Flow<LogRecord> = flow {
        while (true) {
            for (record in native { nextLogRecords(64u) }) {
                val level = LogLevel.entries[record.level.ordinal]
                val missed = record.missedBefore.toLong()
                emit(LogRecord(record.atUnixMs.toLong(), level, record.target, record.message, missed))
            }
        }
    }

    /** Keeps the log from now on; called again, it changes the level. */
    public fun start(level: LogLevel): Unit = native { startLogging(NativeLogLevel.entries[level.ordinal]) }
}
