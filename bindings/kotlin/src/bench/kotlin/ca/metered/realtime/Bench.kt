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

/** Rounds of a paced work after which the virtual machine's compiler has little left to do. */
private const val WARM_UP = 4

/** The share of a core that the whole process takes meanwhile, the code being warm. */
private inline fun share(work: () -> Unit): Double {
    repeat(WARM_UP) { work() }
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

/** Measures the figures that are named, or all. */
public fun main(names: Array<String>): Unit = runBlocking(Dispatchers.Default) {
    val figures = linkedMapOf<String, Double>()
    suspend fun figure(name: String, measure: suspend () -> Double) {
        if (names.isEmpty() || name in names) figures[name] = measure()
    }
    val client = SignallingClient(Credential.ApiKey("pk_live_bench"), SignallingOptions())
    figure("call") { micros(200_000) { n -> repeat(n) { client.state.value } } }
    val track = LocalVideoTrack(VideoCodec.VP8)
    figure("asyncCall") { micros(20_000) { n -> repeat(n) { track.shutdown() } } }
    for ((name, bytes, count) in listOf(Triple("event100", 100, 200_000), Triple("event64k", 65_536, 20_000))) {
        val text = bytes == 100
        figure(name) { micros(count) { n -> readMessages(MessageFeed(bytes.toUInt(), 0u, text), n) } }
        figure("${name}Share") {
            share { readMessages(MessageFeed(bytes.toUInt(), 10_000u, text), 10_000 * SECONDS) }
        }
    }
    // A VP8 picture that is no key frame.
    val unit = ByteArray(ACCESS_UNIT) { 1 }
    figure("frameOut") { micros(20_000) { n -> repeat(n) { track.write(unit, it * 33_333L) } } }
    figure("frameIn") { micros(20_000) { n -> readFrames(FrameFeed(ACCESS_UNIT.toUInt(), 0u), n) } }
    figure("frameInShare") { share { readFrames(FrameFeed(ACCESS_UNIT.toUInt(), 30u), 30 * SECONDS) } }
    println(figures.entries.joinToString(",", "{", "}") { (name, value) -> "\"$name\":$value" })
    client.shutdown()
    MeteredSdk.shutdownAll()
}
