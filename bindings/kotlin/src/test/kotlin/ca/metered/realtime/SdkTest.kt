package ca.metered.realtime

import ca.metered.realtime.ffi.panicInATask
import ca.metered.realtime.ffi.panicInside
import ca.metered.realtime.ffi.sleep
import java.util.concurrent.ConcurrentLinkedQueue
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class SdkTest {
    @Test
    fun `a panic inside is an error, and the SDK goes on`() = test { server ->
        assertThrows<InternalException> { native { panicInside() } }
        assertEquals("internal", assertThrows<InternalException> { runBlocking { native { panicInATask() } } }.code)
        val client = server.client("alice")
        within { client.connect() }
        within { client.shutdown() }
    }

    @Test
    fun `a coroutine that is cancelled takes its call with it`() = test {
        val sleeping = launch { native { sleep(60_000u) } }
        delay(50)
        within { sleeping.cancelAndJoin() }
    }

    @Test
    fun `the library's threads leave the virtual machine when they end`() = runBlocking {
        fun threads() = Thread.getAllStackTraces().keys.count { it.name == "metered-sdk" }
        repeat(20) {
            within { native { sleep(1u) } }
            within { MeteredSdk.shutdownAll() }
        }
        within { while (threads() > 0) delay(10) }
    }

    @Test
    fun `the log is told and holds no credential`() = test { server ->
        MeteredLog.start(LogLevel.TRACE)
        val lines = ConcurrentLinkedQueue<LogRecord>()
        val logging = launch { MeteredLog.records.collect { lines += it } }
        val token = server.token("alice")
        val client = SignallingClient(Credential.Token(token), SignallingOptions(server.url))
        within { client.connect() }
        within { client.shutdown() }
        within { while (lines.isEmpty()) delay(10) }
        logging.cancelAndJoin()
        MeteredLog.start(LogLevel.ERROR)
        assertTrue(lines.all { it.target.startsWith("metered_realtime") && it.atUnixMs > 0 })
        assertFalse(lines.any { token in it.message })
    }

    @Test
    fun `close codes have a cause and a fix`() {
        val diagnosis = Diagnosis.ofCloseCode(4001)
        assertTrue(diagnosis.cause.isNotEmpty() && diagnosis.fix.isNotEmpty())
    }

    @Test
    fun `an ice server where nobody listens says so, and what mends it`() = test {
        val server = IceServer(listOf("turn:127.0.0.1:9?transport=tcp"), "user", "hidden")
        val error = assertThrows<IceCandidateException> { runBlocking { within { server.ask() } } }
        assertEquals(listOf("turn_unreachable", server.urls[0], 701), listOf(error.code, error.url, error.errorCode))
        assertTrue(error.diagnosis.cause.isNotEmpty() && error.diagnosis.fix.isNotEmpty())
        assertFalse("hidden" in "$server $error")
    }

    @Test
    fun `histories, counters and the client below tell what a peer went through`() = test { server ->
        val pair = pair(server)
        assertTrue(pair.alice.stateHistory.isEmpty())
        pair.meet()
        val channel = pair.bobAtAlice.openDataChannel("chat")
        within { channel.state.first { it == ReadyState.OPEN } }
        assertEquals(PeerState.JOINED, pair.alice.stateHistory.last().to)
        within { pair.bobAtAlice.state.first { it == RemoteState.CONNECTED } }
        assertEquals(RemoteState.CONNECTING, pair.bobAtAlice.stateHistory.first().to)
        assertEquals(0, pair.alice.counters.fromStrangers)
        assertEquals(0, pair.bobAtAlice.counters.signalsOverflow)
        assertEquals(SignallingState.CONNECTED, pair.alice.signalling.state.value)
        assertEquals("alice", pair.alice.signalling.welcome?.peerId)
        val stats = within { pair.bobAtAlice.stats() }
        assertEquals(CandidateType.HOST, stats.selectedPair?.local?.candidateType)
        assertEquals(listOf("chat"), stats.channels.map { it.label })
        assertTrue(pair.bobAtAlice.iceFailures.isEmpty())
        within { pair.bobAtAlice.shutdown() }
        pair.shutdown()
    }

    @Test
    fun `the app binds the sockets, and one that it refuses is not used`() = test { server ->
        val pair = pair(server)
        val bound = ConcurrentLinkedQueue<Int>()
        pair.alice.setSocketBinder { bound += it }
        pair.meet()
        val channel = pair.bobAtAlice.openDataChannel("chat")
        within { channel.state.first { it == ReadyState.OPEN } }
        assertTrue(bound.isNotEmpty() && bound.all { it > 0 })
        pair.shutdown()

        val refused = server.peer("carol")
        refused.setSocketBinder { error("no such network") }
        val bob = server.peer("dave")
        within { bob.join("other") }
        val events = Collected(this, refused.events)
        within { refused.join("other") }
        val remote = events.of<PeerEvent.PeerJoined>().remote
        val error = assertThrows<EngineException> { runBlocking { within { remote.openDataChannel("chat") } } }
        assertEquals("connection_failed", error.code)
        within { refused.shutdown() }
        within { bob.shutdown() }
    }
}
