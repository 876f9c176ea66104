package ca.metered.realtime

import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeoutOrNull
import kotlinx.serialization.json.JsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class SignallingClientTest {
    private fun by(server: Server, limitMs: Long = 10_000, provider: TokenProvider) =
        SignallingClient(
            Credential.Provider(provider),
            SignallingOptions(server.url, tokenProviderTimeoutMs = limitMs),
        )

    @Test
    fun `a provider that throws, even an Error, is an error`() = test { server ->
        for (thrown in listOf(IllegalStateException("no session"), StackOverflowError("deep"))) {
            val client = by(server) { throw thrown }
            val error = assertThrows<TokenProviderException> { runBlocking { within { client.connect() } } }
            assertEquals("token_provider_failed", error.code)
            assertTrue(error.message!!.contains(thrown.message!!))
            client.shutdown()
        }
    }

    @Test
    fun `a provider that hangs is given up and cancelled`() = test { server ->
        val cancelled = CompletableDeferred<Unit>()
        val client = by(server, limitMs = 100) {
            try {
                awaitCancellation()
            } finally {
                cancelled.complete(Unit)
            }
        }
        val error = assertThrows<TokenProviderException> { runBlocking { within { client.connect() } } }
        assertEquals("token_provider_timeout", error.code)
        within { cancelled.await() }
        client.shutdown()
    }

    @Test
    fun `a connect that is cancelled ends, and the client connects again`() = test { server ->
        val token = server.token("alice")
        val first = AtomicBoolean(true)
        val asked = CompletableDeferred<Unit>()
        val client = by(server) {
            if (first.getAndSet(false)) {
                asked.complete(Unit)
                awaitCancellation()
            }
            token
        }
        val connecting = launch { client.connect() }
        within { asked.await() }
        within { connecting.cancelAndJoin() }
        assertEquals(SignallingState.CLOSED, client.state.value)
        within { client.connect() }
        assertEquals("alice", client.welcome?.peerId)
        client.shutdown()
    }

    @Test
    fun `a collector that throws harms no other, and events from before the first one wait`() = test { server ->
        val client = server.client("alice")
        within { client.connect() }
        runCatching { within { client.events.collect { error("on purpose") } } }
        val events = Collected(this, client.events)
        events.of<SignallingEvent.Connected>()
        within { client.subscribe("room") }
        events.of<SignallingEvent.Presence> { it.snapshot }
        client.shutdown()
    }

    @Test
    fun `collectors that come and go lose nothing`() = test { server ->
        val (alice, bob) = listOf(server.client("alice"), server.client("bob"))
        within { alice.connect() }
        within { bob.connect() }
        within { alice.subscribe("room") }
        for (n in 0 until 50) {
            withTimeoutOrNull(n % 3L) { alice.events.collect {} }
            within { bob.publish("room", JsonPrimitive(n)) }
            within {
                alice.events.first { it is SignallingEvent.Message && it.data == JsonPrimitive(n) }
            }
        }
        alice.shutdown()
        bob.shutdown()
    }

    @Test
    fun `events end with the client, for every collector`() = test { server ->
        val client = server.client("alice")
        val collecting = List(3) { launch { within { client.events.toList() } } }
        within { client.connect() }
        within { client.shutdown() }
        within { collecting.joinAll() }
        assertEquals(SignallingState.CLOSED, client.state.value)
    }

    @Test
    fun `close does not wait and may be called twice`() = test { server ->
        val client = server.client("alice")
        within { client.connect() }
        client.close()
        client.close()
        within { client.state.first { it == SignallingState.CLOSED } }
        assertThrows<InvalidStateException> { runBlocking { within { client.connect() } } }
    }

    @Test
    fun `three clients at once hear each other and lose nothing`() = test { server ->
        val names = listOf("alice", "bob", "carol")
        val clients = names.associateWith(server::client)
        val heard = clients.mapValues { (_, client) -> Collected(this, client.events) }
        clients.values.map { launch { within { it.connect() } } }.joinAll()
        clients.values.map { launch { within { it.subscribe("room") } } }.joinAll()
        val each = 200
        val talking = clients.values.map { launch { repeat(each) { n -> it.publish("room", JsonPrimitive(n)) } } }
        for ((name, events) in heard) {
            val counts = (names - name).associateWith { 0 }.toMutableMap()
            while (counts.values.any { it < each }) {
                val message = events.of<SignallingEvent.Message>()
                assertEquals(JsonPrimitive(counts.getValue(message.from)), message.data)
                counts.merge(message.from, 1, Int::plus)
            }
        }
        talking.joinAll()
        for (client in clients.values) {
            assertEquals(0, client.counters.malformedFrames + client.counters.lateAnswers)
            within { client.shutdown() }
        }
    }

    @Test
    fun `an attempt tells its steps, and a connection its round trip`() = test { server ->
        val client = server.client("alice")
        assertNull(client.lastAttempt)
        assertNull(within { client.roundTripMs() })
        within { client.connect() }
        val attempt = client.lastAttempt!!
        val steps = listOf(ConnectStep.RESOLVING, ConnectStep.CONNECTING, ConnectStep.UPGRADING)
        assertEquals(steps, attempt.steps.map { it.step })
        assertTrue(attempt.steps.all { it.done && it.tookMs >= 0 })
        assertEquals(server.url.removePrefix("ws://"), attempt.address)
        assertTrue(attempt.address in attempt.addresses)
        assertNull(attempt.proxy)
        assertTrue(within { client.roundTripMs() }!! > 0)
        client.shutdown()
    }

    @Test
    fun `an attempt to a port where nobody listens ends while connecting`() = test {
        val options = SignallingOptions("ws://127.0.0.1:9", reconnect = null)
        val client = SignallingClient(Credential.ApiKey("pk_live_dev"), options)
        assertThrows<SignallingConnectException> { runBlocking { within { client.connect() } } }
        val attempt = client.lastAttempt!!
        val steps = listOf(ConnectStep.RESOLVING to true, ConnectStep.CONNECTING to false)
        assertEquals(steps, attempt.steps.map { it.step to it.done })
        assertNull(attempt.clocks)
        client.shutdown()
    }

    @Test
    fun `a request of the app may go first`() = test { server ->
        val (alice, bob) = listOf(server.client("alice"), server.client("bob"))
        within { alice.connect() }
        within { bob.connect() }
        val events = Collected(this, bob.events)
        within { alice.send("bob", JsonPrimitive("now"), SendPriority.SIGNALLING) }
        assertEquals(JsonPrimitive("now"), events.of<SignallingEvent.Direct>().data)
        alice.shutdown()
        bob.shutdown()
    }
}
