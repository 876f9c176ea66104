package ca.metered.realtime

import java.io.File
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.JsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** What the app has. */
private class Encoder {
    var keyFrames = 0
    var target: Target? = null

    fun makeKeyFrame() = keyFrames++

    fun make(wanted: Target) {
        target = wanted
    }
}

private class Screen {
    val decoded = mutableListOf<Int>()
    var isDim = false

    fun decode(data: ByteArray, keyFrame: Boolean, rotationDegrees: Int) {
        check(keyFrame || data.isNotEmpty())
        decoded += rotationDegrees
    }

    fun dim() {
        isDim = true
    }
}

/** The snippets of docs/kotlin.md: they compile here, run against the server, and are what the page says. */
class GuideTest {
    @Test
    fun `the page has these snippets`() {
        val source = flat(File("src/test/kotlin/ca/metered/realtime/GuideTest.kt").readText())
        val parts = File("../../docs/kotlin.md").readText().split("```kotlin\n").drop(1)
        assertEquals(14, parts.size)
        for (part in parts) part.substringBefore("```").let { assertTrue(flat(it) in source, it) }
    }

    /** The lines without their indentation. */
    private fun flat(text: String) = text.lines().filter(String::isNotBlank).joinToString("\n", transform = String::trim)

    @Test
    fun `the client of the page`() = test { server ->
        val (key, options) = "pk_live_dev" to SignallingOptions(server.url)
        val client = SignallingClient(Credential.ApiKey(key), options)
        client.connect()
        client.subscribe("room")
        client.publish("room", JsonPrimitive("hello"))
        val (reading, following) = launch { read(client) } to launch { follow(client) }
        handled(client)
        within { client.shutdown() }
        within { reading.join() }
        handled(client)
        within { following.cancelAndJoin() }
    }

    private suspend fun read(client: SignallingClient) {
        client.events.collect { event ->
            when (event) {
                is SignallingEvent.Message -> println("${event.from}: ${event.data}")
                is SignallingEvent.Presence -> println("${event.joined} came to ${event.channel}")
                is SignallingEvent.Disconnected -> if (!event.willReconnect) println(event.error.diagnosis.fix)
                else -> {}
            }
        }
    }

    private suspend fun follow(client: SignallingClient) {
        client.state.collect { state -> println("now $state") }
    }

    private suspend fun handled(client: SignallingClient) {
        try {
            client.publish("room", JsonPrimitive("hello"))
        } catch (error: MeteredException) {
            when (error) {
                is NotConnectedException -> println("not now: ${error.currentState}")
                is ServerRequestException -> println("refused: ${error.code}")
                else -> println("${error.message} ${error.diagnosis.cause} ${error.diagnosis.fix}")
            }
        }
    }

    @Test
    fun `the diagnosis of the page`() = test { server ->
        val relay = IceServer(listOf("turn:127.0.0.1:9?transport=tcp"), "user", "password")
        val client = server.client("alice")
        within { client.connect() }
        within { diagnose(client, relay) }
        within { client.shutdown() }
    }

    private suspend fun diagnose(client: SignallingClient, relay: IceServer) {
        client.lastAttempt?.steps?.forEach { println("${it.step}: ${it.tookMs} ms, done: ${it.done}") }
        println("to the service and back: ${client.roundTripMs()} ms")
        try {
            println("the relay gave ${relay.ask().address}")
        } catch (error: IceCandidateException) {
            println("${error.url}: ${error.message} ${error.diagnosis.fix}")
        }
    }

    @Test
    fun `the provider of the page`() = test { server ->
        val options = SignallingOptions(server.url)
        fun fetchToken() = server.token("alice")
        val client = SignallingClient(Credential.Provider { fetchToken() }, options)
        within { client.connect() }
        assertEquals("alice", client.welcome?.peerId)
        within { client.shutdown() }
        assertThrows<InvalidStateException> { runBlocking { client.connect() } }
    }

    private suspend fun room(server: Server) {
        val (token, options) = server.token("carol") to SignallingOptions(server.url)
        val peer = MeteredPeer(Credential.Token(token), PeerOptions(options))
        peer.join("lobby")
        peer.events.collect { event ->
            when (event) {
                is PeerEvent.PeerJoined -> event.remote.send(JsonPrimitive("welcome, ${event.remote.id}"))
                is PeerEvent.Data -> println("${event.senderPeerId}: ${event.data}")
                is PeerEvent.Left -> println("left: ${event.reason}")
                else -> {}
            }
        }
    }

    @Test
    fun `the room of the page`() = test { server ->
        val carol = launch { room(server) }
        val dave = server.peer("dave")
        val events = Collected(this, dave.events)
        within { dave.join("lobby") }
        assertEquals(JsonPrimitive("welcome, dave"), events.of<PeerEvent.Data>().data)
        within { carol.cancelAndJoin() }
        within { dave.shutdown() }
    }

    @Test
    fun `the call of the page`() = test { server ->
        val pair = pair(server)
        val (encoder, screen) = Encoder() to Screen()
        val (camera, microphone) = publish(pair.alice)
        launch { serve(camera, encoder) }
        pair.meet()
        within { chat(pair.bobAtAlice) }
        val mix = AudioMix(PcmFormat(48_000, channels = 2))
        launch { watch(pair.aliceAtBob, mix, screen) }
        val picture = ivf("../../crates/cli/assets/clips/counter_vp8.ivf").first()
        val buffer = ShortArray(960)
        within {
            var timestampUs = 0L
            while (screen.decoded.size < 3 || mix.inputs == 0 || encoder.keyFrames == 0 || encoder.target == null) {
                capture(camera, microphone, picture, timestampUs, ShortArray(1_920))
                play(mix, buffer)
                timestampUs += 40_000
                delay(20)
            }
        }
        assertTrue(screen.decoded.all { it == 90 })
        within { while (!screen.isDim) delay(10) }
        mix.close()
        pair.shutdown()
    }

    private fun publish(peer: MeteredPeer): kotlin.Pair<LocalVideoTrack, LocalAudioTrack> {
        val camera = LocalVideoTrack(VideoCodec.VP8)
        val microphone = LocalAudioTrack()
        peer.addStream(MediaStream(listOf(camera, microphone)))
        return camera to microphone
    }

    private suspend fun chat(remote: RemotePeer) {
        val channel = remote.openDataChannel("chat")
        channel.send("hello")
        channel.send(byteArrayOf(1, 2, 3))
        within { channel.state.first { it == ReadyState.OPEN } }
    }

    private fun capture(
        camera: LocalVideoTrack,
        microphone: LocalAudioTrack,
        encoded: ByteArray,
        timestampUs: Long,
        samples: ShortArray,
    ) {
        camera.write(encoded, timestampUs, rotationDegrees = 90)
        microphone.write(samples, PcmFormat(48_000, channels = 1))
    }

    private suspend fun serve(camera: LocalVideoTrack, encoder: Encoder) {
        camera.events.collect { event ->
            when (event) {
                is LocalTrackEvent.KeyFrameWanted -> encoder.makeKeyFrame()
                is LocalTrackEvent.TargetBitrate -> if (event.peerId == null) encoder.make(event.target)
                is LocalTrackEvent.CodecNotSupported -> println("${event.peerId} cannot take ${event.codec}")
                else -> {}
            }
        }
    }

    private suspend fun CoroutineScope.watch(remote: RemotePeer, mix: AudioMix, screen: Screen) {
        remote.events.filterIsInstance<RemoteEvent.TrackAdded>().collect { event ->
            when (val track = event.track) {
                is RemoteAudioTrack -> mix.setGain(mix.add(track), 0.8f)
                is RemoteVideoTrack -> launch { show(track, screen) }
            }
        }
    }

    private suspend fun show(track: RemoteVideoTrack, screen: Screen) {
        track.frames.collect { event ->
            when (event) {
                is FrameEvent.Frame -> screen.decode(event.unit.data, event.unit.keyFrame, event.unit.rotationDegrees)
                is FrameEvent.Frozen -> screen.dim()
                else -> {}
            }
        }
    }

    private fun play(mix: AudioMix, buffer: ShortArray) {
        mix.pull(buffer)
    }
}
