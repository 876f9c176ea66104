package ca.metered.realtime

import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class DataChannelTest {
    @Test
    fun `ten thousand messages arrive in order`() = test { server ->
        val pair = pair(server)
        pair.meet()
        val ours = pair.bobAtAlice.openDataChannel("bulk")
        val remote = Collected(this, pair.aliceAtBob.events)
        val theirs = remote.of<RemoteEvent.DataChannelOpened>().channel
        val count = 10_000
        launch { for (n in 0 until count) ours.send("$n") }
        val texts = withTimeout(120.seconds) {
            theirs.events.filterIsInstance<DataChannelEvent.Text>().take(count).toList()
        }
        texts.forEachIndexed { n, event -> assertEquals("$n", event.text) }
        pair.shutdown()
    }
}
