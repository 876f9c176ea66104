package ca.metered.realtime

import java.io.File
import java.util.Base64
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.channels.consumeEach
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.emptyFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.double
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.TestFactory

/** Plays the scenarios: bindings/scenario/README.md says what their steps mean. */
class ScenarioTest {
    @TestFactory
    fun scenarios(): List<DynamicTest> = File("../scenario").listFiles { file -> file.extension == "json" }!!
        .sorted()
        .map { file ->
            val scenario = Json.parseToJsonElement(file.readText()).jsonObject
            dynamicTest(file.nameWithoutExtension) {
                runBlocking { Server().use { Player(it).play(scenario) } }
            }
        }
}

private fun JsonObject.of(name: String): JsonObject = get(name)?.jsonObject ?: JsonObject(emptyMap())

private fun JsonObject.text(name: String): String = getValue(name).jsonPrimitive.content

/** A client, peer, remote, channel or track, and its events. A track has no state, and a local one no events. */
private class Played(val it: Any, val state: StateFlow<Enum<*>>?, val events: Collected<Any>)

private class Player(private val server: Server) {
    private val objects = mutableMapOf<List<String>, Played>()
    /** Tracks of which pictures were seen. */
    private val pictures = mutableSetOf<Played>()
    private lateinit var scope: CoroutineScope

    suspend fun play(scenario: JsonObject) = coroutineScope {
        scope = this
        scenario.of("actors").forEach { (name, said) -> act(name, said.jsonObject) }
        scenario.getValue("steps").jsonArray.forEachIndexed { number, step ->
            try {
                within { step(step.jsonObject) }
            } catch (error: Throwable) {
                throw AssertionError("step $number: $step", error)
            }
        }
        repeat(2) {
            scenario.of("actors").keys.forEach { name ->
                when (val actor = objects.getValue(listOf(name)).it) {
                    is SignallingClient -> within { actor.shutdown() }
                    is MeteredPeer -> within { actor.shutdown() }
                }
            }
        }
        coroutineContext.cancelChildren()
    }

    private fun act(name: String, said: JsonObject) {
        val credential = when (said["credential"]) {
            null -> Credential.Token(server.token(name, said.of("claims")))
            else -> Credential.ApiKey("pk_live_dev")
        }
        val options = SignallingOptions(server.url)
        when (said.text("kind")) {
            "client" -> SignallingClient(credential, options).let { keep(listOf(name), it, it.state, it.events) }
            else -> MeteredPeer(credential, PeerOptions(options)).let { keep(listOf(name), it, it.state, it.events) }
        }
    }

    private fun keep(key: List<String>, it: Any, state: StateFlow<Enum<*>>? = null, events: Flow<Any> = emptyFlow()) {
        objects[key] = Played(it, state, Collected(scope, events))
    }

    private fun keep(step: JsonObject, channel: DataChannel) =
        keep(listOf(step.text("actor"), "channel", step.text("as")), channel, channel.state, channel.events)

    private suspend fun step(step: JsonObject) {
        val part = listOf("channel", "remote", "local", "track").firstOrNull { it in step }
        val key = listOf(step.text("actor")) + if (part == null) emptyList() else listOf(part, step.text(part))
        val played = objects.getValue(key)
        when {
            "expect" in step -> expect(played, step)
            "state" in step -> played.state!!.first { it.name.lowercase() == step.text("state") }
            "receives" in step -> receives(played, step.getValue("receives").jsonPrimitive.int)
            "level" in step -> level(played.it as RemoteAudioTrack, step.getValue("level").jsonArray)
            "ends" in step -> when (val track = played.it) {
                is RemoteAudioTrack -> while (!track.isEnded) delay(10)
                else -> played.events.channel.consumeEach {}
            }
            "fails" in step -> failure(played.it, step)
            else -> call(played.it, step)
        }
    }

    private suspend fun expect(played: Played, step: JsonObject) {
        val event = played.events.next { event ->
            event.javaClass.simpleName == step.text("expect") &&
                step.of("where").all { (path, element) -> look(event, path) == element }
        }
        if (event is PeerEvent.PeerJoined) {
            val remote = event.remote
            keep(listOf(step.text("actor"), "remote", remote.id), remote, remote.state, remote.events)
        }
        if (event is RemoteEvent.DataChannelOpened) keep(step, event.channel)
        if (event is RemoteEvent.TrackAdded) {
            val key = listOf(step.text("actor"), "track", step.text("as"))
            when (val track = event.track) {
                is RemoteVideoTrack -> keep(key, track, events = track.frames)
                is RemoteAudioTrack -> keep(key, track)
            }
        }
    }

    /** So many more pictures, each of them one that was sent; the first of all is a key frame. */
    private suspend fun receives(played: Played, count: Int) {
        val isNew = pictures.add(played)
        repeat(count) { number ->
            val unit = (played.events.next { it is FrameEvent.Frame } as FrameEvent.Frame).unit
            check(CLIP.any { it.contentEquals(unit.data) }) { "picture $number is torn" }
            check(!isNew || number > 0 || unit.keyFrame) { "the first picture is no key frame" }
        }
    }

    /** Plays it out until it is as loud as that, in dBFS. */
    private suspend fun level(track: RemoteAudioTrack, bounds: JsonArray) = track.playout(MONO).use { output ->
        val (least, most) = bounds.map { it.jsonPrimitive.double }
        val pcm = ShortArray(480)
        paced {
            output.pull(pcm)
            output.level.rmsDbfs !in least..most
        }
    }

    /** Adds a picture and a sound that go on until the scenario ends. */
    private fun addStream(peer: MeteredPeer, actor: String, given: JsonObject) {
        val (video, audio) = LocalVideoTrack(VideoCodec.VP8) to LocalAudioTrack()
        audio.encoding = OpusEncoding(dtx = false) // takes a steady tone for silence
        keep(listOf(actor, "local", given.text("video")), video)
        keep(listOf(actor, "local", given.text("audio")), audio)
        peer.addStream(MediaStream(listOf(video, audio), given.text("streamId")))
        scope.film(video)
        scope.sing(audio, given.getValue("hertz").jsonPrimitive.double, MONO)
    }

    private suspend fun failure(target: Any, step: JsonObject) {
        val wanted = step.of("fails")
        val error = runCatching { call(target, step) }.exceptionOrNull() as? MeteredException
            ?: throw AssertionError("it did not fail")
        val name = wanted.text("class").removeSuffix("Error") + "Exception"
        assertEquals(name, error.javaClass.simpleName)
        wanted.minus("class").forEach { (path, element: JsonElement) -> assertEquals(element, look(error, path)) }
        check(error.diagnosis.cause.isNotEmpty() && error.diagnosis.fix.isNotEmpty())
    }

    private suspend fun call(target: Any, step: JsonObject) {
        val (method, given) = step.text("do") to step.of("with")
        when (target) {
            is SignallingClient -> call(target, method, given)
            is MeteredPeer -> call(target, method, step.text("actor"), given)
            is LocalTrack -> when (method) {
                "setMuted" -> target.setMuted(given.getValue("muted").jsonPrimitive.boolean)
                else -> error("a track has no $method")
            }
            is RemotePeer -> when (method) {
                "send" -> target.send(given.getValue("dataJson"))
                "openDataChannel" -> {
                    val options = DataChannelOptions(protocol = given.text("protocol"))
                    keep(step, target.openDataChannel(given.text("label"), options))
                }
                else -> error("a remote has no $method")
            }
            is DataChannel -> when (method) {
                "sendText" -> target.send(given.text("text"))
                "sendBytes" -> target.send(Base64.getDecoder().decode(given.text("dataBase64")))
                "shutdown" -> target.shutdown()
                else -> error("a channel has no $method")
            }
        }
    }

    private suspend fun call(client: SignallingClient, method: String, given: JsonObject) = when (method) {
        "connect" -> client.connect()
        "disconnect" ->
            client.disconnect(given.getValue("closeCode").jsonPrimitive.int, given.text("reason"))
        "subscribe" -> client.subscribe(given.text("channel"))
        "unsubscribe" -> client.unsubscribe(given.text("channel"))
        "publish" -> client.publish(given.text("channel"), given.getValue("dataJson"))
        "send" -> client.send(given.text("peerId"), given.getValue("dataJson"))
        "shutdown" -> client.shutdown()
        else -> error("a client has no $method")
    }

    private suspend fun call(peer: MeteredPeer, method: String, actor: String, given: JsonObject) = when (method) {
        "addStream" -> addStream(peer, actor, given)
        "removeTrack" -> peer.removeTrack(objects.getValue(listOf(actor, "local", given.text("track"))).it as LocalTrack)
        "join" -> peer.join(given.text("channel"))
        "leave" -> peer.leave(given.text("reason"))
        "send" -> peer.send(given.getValue("dataJson"))
        "sendTo" -> peer.sendTo(given.text("peerId"), given.getValue("dataJson"))
        "shutdown" -> peer.shutdown()
        else -> error("a peer has no $method")
    }
}
