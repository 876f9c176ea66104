package ca.metered.realtime

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.delay
import kotlinx.coroutines.isActive
import kotlinx.coroutines.launch

val CLIP = ivf("../../crates/cli/assets/clips/counter_vp8.ivf")
val MONO = PcmFormat(48_000, 1)

/** The clip round after round, in real time but for its pace; a key frame when one is wanted. */
fun CoroutineScope.film(track: LocalVideoTrack, rotationDegrees: Int = 0): Job = launch {
    val wanted = Collected(this, track.events)
    var (number, at) = listOf(0, 0)
    while (isActive) {
        while (true) {
            val event = wanted.channel.tryReceive().getOrNull() ?: break
            if (event is LocalTrackEvent.KeyFrameWanted) at = 0
        }
        track.write(CLIP[at % CLIP.size], number * 40_000L, rotationDegrees = rotationDegrees)
        number++
        at++
        delay(10)
    }
}

/**
 * Calls every ten milliseconds while it is told to go on, as a device does. What a busy machine was late for
 * by more than a fifth of a second is left out, so that it is never too late for good.
 */
suspend fun paced(call: () -> Boolean) {
    val (step, late) = 10_000_000L to 200_000_000L
    var due = System.nanoTime()
    while (true) {
        val now = System.nanoTime()
        due = maxOf(due, now - late)
        while (due <= now) {
            if (!call()) return
            due += step
        }
        delay(5)
    }
}

fun CoroutineScope.sing(track: LocalAudioTrack, hz: Double, format: PcmFormat): Job = launch {
    val tone = Tone(hz, format)
    paced {
        track.write(tone.next(10), format)
        true
    }
}
