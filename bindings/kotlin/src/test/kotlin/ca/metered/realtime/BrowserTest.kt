package ca.metered.realtime

import java.io.File
import java.security.MessageDigest
import java.util.concurrent.TimeUnit
import kotlin.random.Random
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

private const val CHUNK = 16_384
private val PATIENCE = 120.seconds

class BrowserTest {
    /** The official JavaScript SDK in Chromium, in a room of a server of its own. */
    private class Page(bytes: Int) : AutoCloseable {
        private val process = ProcessBuilder("node", "src/test/node/file_page.mjs", "$bytes")
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .apply { environment()["METERED_BIN"] = File(System.getProperty("metered.bin")).absolutePath }
            .start()
        private val lines = process.inputStream.bufferedReader()

        suspend fun next(): JsonObject = withContext(Dispatchers.IO) {
            Json.parseToJsonElement(checkNotNull(lines.readLine()) { "the page ended" }).jsonObject
        }

        override fun close() {
            process.outputStream.close()
            if (!process.waitFor(20, TimeUnit.SECONDS)) process.destroyForcibly()
        }
    }

    private fun JsonObject.text(name: String) = getValue(name).jsonPrimitive.content

    @Test
    fun `a file goes to the JavaScript SDK in Chromium and comes back`() = runBlocking {
        val file = Random(7).nextBytes(2 * 1024 * 1024 + 1)
        Page(file.size).use { page ->
            coroutineScope {
                val at = withTimeout(PATIENCE) { page.next() }
                val options = PeerOptions(SignallingOptions(at.text("url")))
                val peer = MeteredPeer(Credential.Token(at.text("token")), options)
                val events = Collected(this, peer.events)
                within { peer.join("room") }
                val channel = events.of<PeerEvent.PeerJoined>().remote.openDataChannel("file")
                withTimeout(PATIENCE) { page.next() }
                launch { for (start in file.indices step CHUNK) channel.send(file.chunk(start)) }
                val back = ByteArray(file.size)
                var taken = 0
                withTimeout(PATIENCE) {
                    channel.events.filterIsInstance<DataChannelEvent.Binary>().takeWhile { event ->
                        val data = event.data
                        data.copyInto(back, taken)
                        taken += data.size
                        taken < file.size
                    }.collect {}
                }
                assertArrayEquals(file, back)
                val digest = MessageDigest.getInstance("SHA-256").digest(file)
                val said = withTimeout(PATIENCE) { page.next() }.text("digest")
                assertEquals(digest.joinToString("") { "%02x".format(it) }, said)
                within { peer.shutdown() }
                coroutineContext.cancelChildren()
            }
        }
        within { MeteredSdk.shutdownAll() }
    }

    private fun ByteArray.chunk(start: Int) = copyOfRange(start, minOf(start + CHUNK, size))
}
