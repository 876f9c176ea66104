package ca.metered.realtime

import java.io.Closeable
import java.net.HttpURLConnection
import java.net.URI
import java.util.Base64
import java.util.concurrent.TimeUnit
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.ReceiveChannel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.produceIn
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
