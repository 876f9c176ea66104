package ca.metered.realtime

import ca.metered.realtime.ffi.shutdownAll
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class DataChannelTest {
    @AfterEach
    fun endAll() = runBlocking { within { shutdownAll() } }

    @Test
    fun `ten thousand messages arrive in order`() = runBlocking {
        Server().use { server ->
            coroutineScope {
                val (alice, bob) = listOf("alice", "bob").map {
                    MeteredPeer(Credential.Token(server.token(it)), PeerOptions(SignallingOptions(server.url)))
                }
                val (atAlice, atBob) = listOf(alice, bob).map { Collected(this, it.events) }
                within { alice.join("room") }
                within { bob.join("room") }
                val ours = atAlice.of<PeerEvent.PeerJoined>().remote.openDataChannel("bulk")
                val remote = Collected(this, atBob.of<PeerEvent.PeerJoined>().remote.events)
                val theirs = remote.of<RemoteEvent.DataChannelOpened>().channel
                val count = 10_000
                launch { for (n in 0 until count) ours.send("$n") }
                val texts = withTimeout(120.seconds) {
                    theirs.events.filterIsInstance<DataChannelEvent.Text>().take(count).toList()
                }
                texts.forEachIndexed { n, event -> assertEquals("$n", event.text) }
                within { alice.shutdown() }
                within { bob.shutdown() }
                coroutineContext.cancelChildren()
            }
        }
    }
}
