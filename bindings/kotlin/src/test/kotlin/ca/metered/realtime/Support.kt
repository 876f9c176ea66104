package ca.metered.realtime

import java.io.Closeable
import java.io.File
import java.net.HttpURLConnection
import java.net.URI
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Base64
import java.util.concurrent.TimeUnit
import kotlin.math.PI
import kotlin.math.cos
import kotlin.math.sin
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.ReceiveChannel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.produceIn
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

/** Longer than anything that should happen. */
val LIMIT = 20.seconds

suspend fun <T> within(what: suspend CoroutineScope.() -> T): T = withTimeout(LIMIT, what)

/** A dev server of one test. */
class Server : Closeable {
    private val process = ProcessBuilder(
        System.getProperty("metered.bin"), "serve", "--json", "--port", "0", "--exit-with-stdin",
    ).redirectError(ProcessBuilder.Redirect.INHERIT).start()

    private val said = Json.parseToJsonElement(process.inputStream.bufferedReader().readLine()).jsonObject

    private fun said(name: String) = said.getValue(name).jsonPrimitive.content

    val url get() = said("url")

    fun token(peerId: String, claims: JsonObject = JsonObject(emptyMap())): String {
        val connection = URI(said("httpUrl") + "/v1/tokens").toURL().openConnection() as HttpURLConnection
        connection.connectTimeout = LIMIT.inWholeMilliseconds.toInt()
        connection.readTimeout = LIMIT.inWholeMilliseconds.toInt()
        connection.requestMethod = "POST"
        connection.setRequestProperty("authorization", "Bearer ${said("secretId")}:${said("secret")}")
        connection.doOutput = true
        val body = JsonObject(claims + ("peerId" to JsonPrimitive(peerId)))
        connection.outputStream.use { it.write(body.toString().toByteArray()) }
        val answer = connection.inputStream.use { it.readBytes().decodeToString() }
        return Json.parseToJsonElement(answer).jsonObject.getValue("token").jsonPrimitive.content
    }

    fun peer(peerId: String) =
        MeteredPeer(Credential.Token(token(peerId)), PeerOptions(SignallingOptions(url)))

    fun client(peerId: String) = SignallingClient(Credential.Token(token(peerId)), SignallingOptions(url))

    /** Connections that are open. */
    fun connections(): Int {
        val text = URI(said("httpUrl") + "/_dev/state").toURL().readText()
        return Json.parseToJsonElement(text).jsonObject.getValue("connections").jsonArray.size
    }

    override fun close() {
        process.outputStream.close()
        check(process.waitFor(LIMIT.inWholeSeconds, TimeUnit.SECONDS)) { "the server did not end" }
    }
}

/** Collects a flow and finds the event that is wanted. */
class Collected<Event : Any>(scope: CoroutineScope, events: Flow<Event>) {
    val channel: ReceiveChannel<Event> = events.buffer(Channel.UNLIMITED).produceIn(scope)

    suspend fun next(fits: (Event) -> Boolean): Event = within {
        var event = channel.receive()
        while (!fits(event)) event = channel.receive()
        event
    }

    suspend inline fun <reified E : Event> of(crossinline fits: (E) -> Boolean = { true }): E =
        next { it is E && fits(it) } as E
}

/** Runs a test with a server of its own, and ends what it leaves running. */
fun test(what: suspend CoroutineScope.(Server) -> Unit): Unit = runBlocking {
    Server().use { server ->
        coroutineScope {
            what(server)
            coroutineContext.cancelChildren()
        }
    }
    within { MeteredSdk.shutdownAll() }
}

/** Two peers in one room, and what each knows of the other. */
class Pair(scope: CoroutineScope, val alice: MeteredPeer, val bob: MeteredPeer) {
    private val atAlice = Collected(scope, alice.events)
    private val atBob = Collected(scope, bob.events)
    lateinit var bobAtAlice: RemotePeer
    lateinit var aliceAtBob: RemotePeer

    suspend fun meet() {
        within { alice.join("room") }
        within { bob.join("room") }
        bobAtAlice = atAlice.of<PeerEvent.PeerJoined>().remote
        aliceAtBob = atBob.of<PeerEvent.PeerJoined>().remote
    }

    suspend fun shutdown() {
        within { alice.shutdown() }
        within { bob.shutdown() }
    }
}

fun CoroutineScope.pair(server: Server) = Pair(this, server.peer("alice"), server.peer("bob"))

/** The pictures of an IVF file. */
fun ivf(path: String): List<ByteArray> {
    val file = ByteBuffer.wrap(File(path).readBytes()).order(ByteOrder.LITTLE_ENDIAN)
    file.position(file.getShort(6).toInt())
    return buildList {
        while (file.hasRemaining()) {
            val frame = ByteArray(file.getInt())
            file.getLong()
            add(frame.also { file.get(it) })
        }
    }
}

/** A sine at a quarter of full scale. */
class Tone(private val hz: Double, private val format: PcmFormat) {
    private var turns = 0.0

    fun next(milliseconds: Int): ShortArray {
        val pcm = ShortArray(format.samplesIn(milliseconds))
        for (moment in pcm.indices step format.channels) {
            val sample = (sin(turns * 2 * PI) * 8_192).toInt().toShort()
            pcm.fill(sample, moment, moment + format.channels)
            turns = (turns + hz / format.sampleRateHz) % 1.0
        }
        return pcm
    }
}

/** How much of the energy of one channel lies at a frequency, from 0 to 1. */
fun toneShare(hz: Double, rate: Int, pcm: List<Double>): Double {
    val energy = pcm.sumOf { it * it }
    if (energy < 1e-9) return 0.0
    val real = pcm.withIndex().sumOf { (n, sample) -> sample * cos(2 * PI * hz / rate * n) }
    val imaginary = pcm.withIndex().sumOf { (n, sample) -> sample * sin(2 * PI * hz / rate * n) }
    return 2 * (real * real + imaginary * imaginary) / pcm.size / energy
}

/** The value at a path of names, as scenarios write it. */
fun look(value: Any?, path: String): JsonElement = json(
    path.split(".").fold(value) { inside, name ->
        name.toIntOrNull()?.let { (inside as List<*>).getOrNull(it) } ?: property(inside, name.removeSuffix("Json").removeSuffix("Base64"))
    },
)

private fun property(value: Any?, name: String): Any? {
    val getter = value?.javaClass?.methods?.firstOrNull {
        it.parameterCount == 0 && (it.name == "get" + name.replaceFirstChar(Char::uppercase) || it.name == name)
    }
    return getter?.apply { isAccessible = true }?.invoke(value)
}

private fun json(value: Any?): JsonElement = when (value) {
    is JsonElement -> value
    is Enum<*> -> JsonPrimitive(value.name.lowercase())
    is Boolean -> JsonPrimitive(value)
    is Number -> JsonPrimitive(value)
    is ByteArray -> JsonPrimitive(Base64.getEncoder().encodeToString(value))
    else -> JsonPrimitive(value?.toString())
}
