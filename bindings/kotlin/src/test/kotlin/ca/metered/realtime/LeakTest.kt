package ca.metered.realtime

import java.io.File
import kotlinx.coroutines.delay
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What a cycle may cost: nothing that stays. */
class LeakTest {
    private class Figures(val threads: Int, val handles: Int, val residentMiB: Int)

    private suspend fun figures(): Figures {
        // What Kotlin let go of is freed by the collector, and by the library's cleaner a moment later.
        repeat(3) {
            System.gc()
            delay(100)
        }
        val (threads, handles) = listOf("task", "fd").map { File("/proc/self/$it").list()!!.size }
        val resident = File("/proc/self/status").readLines().first { it.startsWith("VmRSS") }
        return Figures(threads, handles, resident.filter(Char::isDigit).toInt() / 1024)
    }

    private suspend fun stayFlat(warmUp: Int, cycles: Int, cycle: suspend (Int) -> Unit) {
        suspend fun cycles(count: Int) = repeat(count) { n ->
            cycle(n)
            // A small heap hides large objects of the library: it is not full when memory is.
            if (n % 50 == 0) System.gc()
        }
        cycles(warmUp)
        val before = figures()
        cycles(cycles)
        val after = figures()
        // The dispatcher's own threads come and go, and compiled code takes some memory.
        assertTrue(after.threads <= before.threads + 4, "threads: ${before.threads}, then ${after.threads}")
        assertTrue(after.handles <= before.handles + 2, "handles: ${before.handles}, then ${after.handles}")
        assertTrue(
            after.residentMiB <= before.residentMiB + 24,
            "MiB: ${before.residentMiB}, then ${after.residentMiB}",
        )
    }

    @Test
    fun `a thousand clients leave no thread, no handle and no memory`() = test { server ->
        val token = server.token("alice")
        stayFlat(warmUp = 300, cycles = 1_000) { n ->
            val client = SignallingClient(Credential.Token(token), SignallingOptions(server.url))
            if (n % 10 == 0) within { client.connect() }
            within { client.shutdown() }
        }
    }

    @Test
    fun `a thousand peers with tracks leave no thread, no handle and no memory`() = test { server ->
        val token = server.token("alice")
        val pcm = ShortArray(4_800)
        stayFlat(warmUp = 300, cycles = 1_000) { n ->
            val peer = MeteredPeer(Credential.Token(token), PeerOptions(SignallingOptions(server.url)))
            val (video, audio) = LocalVideoTrack(VideoCodec.VP8) to LocalAudioTrack()
            peer.addStream(MediaStream(listOf(video, audio)))
            audio.write(pcm, PcmFormat(48_000, 1))
            if (n % 20 == 0) within { peer.join("room") }
            within { peer.shutdown() }
        }
    }

    @Test
    fun `tracks and mixes that are forgotten are freed`() = test {
        val pcm = ShortArray(4_800)
        stayFlat(warmUp = 300, cycles = 1_000) {
            LocalAudioTrack().write(pcm, PcmFormat(48_000, 1))
            AudioMix(PcmFormat(48_000, 1)).pull(pcm)
        }
    }

    @Test
    fun `a client that is forgotten ends its connection`() = test { server ->
        suspend fun connectAndForget() = within { server.client("alice").connect() }
        connectAndForget()
        within {
            while (server.connections() > 0) {
                System.gc()
                delay(20)
            }
        }
    }

    @Test
    fun `a peer that is forgotten leaves its room`() = test { server ->
        suspend fun joinAndForget() = within { server.peer("alice").join("room") }
        joinAndForget()
        within {
            while (server.connections() > 0) {
                System.gc()
                delay(20)
            }
        }
    }
}
