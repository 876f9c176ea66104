package ca.metered.realtime

import ca.metered.realtime.ffi.shutdownAll
import java.io.File
import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeoutOrNull
import kotlinx.serialization.json.JsonPrimitive
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class SignallingClientTest {
    private fun test(what: suspend CoroutineScope.(Server) -> Unit) = runBlocking {
        Server().use { server ->
            coroutineScope {
                what(server)
                coroutineContext.cancelChildren()
            }
        }
    }

    @AfterEach
    fun endAll() = runBlocking { within { shutdownAll() } }

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
    fun `a thousand clients leave no thread and no handle`() = test { server ->
        val token = server.token("alice")
        suspend fun cycles(count: Int) = repeat(count) { n ->
            val client = SignallingClient(Credential.Token(token), SignallingOptions(server.url))
            if (n % 10 == 0) within { client.connect() }
            within { client.shutdown() }
        }
        fun figures() = listOf("task", "fd").map { File("/proc/self/$it").list()!!.size }
        cycles(200)
        val (threads, handles) = figures()
        cycles(1_000)
        // The dispatcher's own threads come and go.
        assertTrue(figures()[0] <= threads + 4, "threads: $threads before, ${figures()[0]} after")
        assertTrue(figures()[1] <= handles + 2, "handles: $handles before, ${figures()[1]} after")
    }
}
