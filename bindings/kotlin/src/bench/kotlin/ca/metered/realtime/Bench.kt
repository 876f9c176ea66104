package ca.metered.realtime

import ca.metered.realtime.ffi.FrameFeed
import ca.metered.realtime.ffi.MessageFeed
import com.sun.management.OperatingSystemMXBean
import java.lang.management.ManagementFactory
import kotlin.time.DurationUnit
import kotlin.time.measureTime
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.runBlocking

// What bench/ffi runs: one JSON object on a line of its own, in microseconds and shares of a core.

private const val ACCESS_UNIT = 20 * 1_024
private const val SECONDS = 5

private val system = ManagementFactory.getOperatingSystemMXBean() as OperatingSystemMXBean

/** Microseconds of CPU time, all threads, for each of so many, the code being warm. */
private inline fun micros(count: Int, work: (Int) -> Unit): Double {
    work(count)
    val before = system.processCpuTime
    work(count)
    return (system.processCpuTime - before) / 1_000.0 / count
}

/** The share of a core that the whole process takes meanwhile, the code being warm. */
private inline fun share(work: () -> Unit): Double {
    work()
    val before = system.processCpuTime
    val took = measureTime(work)
    return (system.processCpuTime - before) / took.toDouble(DurationUnit.NANOSECONDS)
}

private suspend fun readMessages(feed: MessageFeed, count: Int) {
    val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    Inbox(scope, { max -> native { feed.nextEvents(max) } }, { it.toPublic() }).events.take(count).collect {}
    scope.cancel()
}

private suspend fun readFrames(feed: FrameFeed, count: Int) =
    sinks({ feed }, { it.nextEvents(MEDIA_BATCH) }, { it.toPublic() }).take(count).collect {}

public fun main(): Unit = runBlocking(Dispatchers.Default) {
    val figures = linkedMapOf<String, Double>()
    val client = SignallingClient(Credential.ApiKey("pk_live_bench"), SignallingOptions())
    figures["call"] = micros(200_000) { n -> repeat(n) { client.state.value } }
    val track = LocalVideoTrack(VideoCodec.VP8)
    figures["asyncCall"] = micros(20_000) { n -> repeat(n) { track.shutdown() } }
    for ((name, bytes, count) in listOf(Triple("event100", 100, 200_000), Triple("event64k", 65_536, 20_000))) {
        val text = bytes == 100
        figures[name] = micros(count) { n -> readMessages(MessageFeed(bytes.toUInt(), 0u, text), n) }
        figures["${name}Share"] =
            share { readMessages(MessageFeed(bytes.toUInt(), 10_000u, text), 10_000 * SECONDS) }
    }
    val unit = ByteArray(ACCESS_UNIT)
    figures["frameOut"] = micros(20_000) { n -> repeat(n) { track.write(unit, it * 33_333L) } }
    figures["frameIn"] = micros(20_000) { n -> readFrames(FrameFeed(ACCESS_UNIT.toUInt(), 0u), n) }
    figures["frameInShare"] = share { readFrames(FrameFeed(ACCESS_UNIT.toUInt(), 30u), 30 * SECONDS) }
    println(figures.entries.joinToString(",", "{", "}") { (name, value) -> "\"$name\":$value" })
    client.shutdown()
    MeteredSdk.shutdownAll()
}
