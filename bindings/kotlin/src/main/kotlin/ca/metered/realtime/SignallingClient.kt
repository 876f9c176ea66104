package ca.metered.realtime

import ca.metered.realtime.ffi.CallbackException
import ca.metered.realtime.ffi.SendPriority as NativeSendPriority
import ca.metered.realtime.ffi.SignallingClient as Native
import ca.metered.realtime.ffi.SignallingState as NativeState_
import ca.metered.realtime.ffi.TokenProvider as NativeTokenProvider
import java.io.Closeable
import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.encodeToJsonElement

/** Where a [SignallingClient] stands. */
public enum class SignallingState {
    /** Never connected. */
    IDLE,

    /** The first attempt is under way. */
    CONNECTING,

    /** Requests can be made. */
    CONNECTED,

    /** The connection is lost and will be made anew. */
    RECONNECTING,

    /** Ended. */
    CLOSED,
}

internal fun NativeState_.toPublic() = when (this) {
    NativeState_.IDLE -> SignallingState.IDLE
    NativeState_.CONNECTING -> SignallingState.CONNECTING
    NativeState_.CONNECTED -> SignallingState.CONNECTED
    NativeState_.RECONNECTING -> SignallingState.RECONNECTING
    NativeState_.CLOSED -> SignallingState.CLOSED
}

private fun SignallingState.toNative() = when (this) {
    SignallingState.IDLE -> NativeState_.IDLE
    SignallingState.CONNECTING -> NativeState_.CONNECTING
    SignallingState.CONNECTED -> NativeState_.CONNECTED
    SignallingState.RECONNECTING -> NativeState_.RECONNECTING
    SignallingState.CLOSED -> NativeState_.CLOSED
}

/** Which requests go first. */
public enum class SendPriority {
    /** Call set-up: before anything of the app. */
    SIGNALLING,

    /** The app's own data. */
    APP,
}

/**
 * What waits and what is under way.
 *
 * @property waitingSignalling requests of call set-up that wait for their turn
 * @property waitingApp requests of the app that wait for their turn
 * @property unanswered requests that left, or are leaving, and are not answered yet
 */
public data class Pacing(val waitingSignalling: Long, val waitingApp: Long, val unanswered: Long)

/** The app's provider, as the library asks it. Errors too are answers: the library would wait for ever. */
internal class ProviderAdapter(private val provider: TokenProvider) : NativeTokenProvider {
    override suspend fun token(): String = try {
        provider.token()
    } catch (error: CancellationException) {
        throw error
    } catch (error: Throwable) {
        throw CallbackException.Failed(error.message ?: error.javaClass.name)
    }
}

/**
 * A client of the service: pub/sub with presence, and data from peer to peer, over one connection that is
 * kept alive.
 *
 * ```
 * SignallingClient(Credential.ApiKey("pk_live_…")).use { client ->
 *     client.connect()
 *     client.subscribe("room")
 *     client.publish("room", JsonPrimitive("hello"))
 *     client.events.collect { event -> if (event is SignallingEvent.Message) println(event.data) }
 * }
 * ```
 *
 * Every call fails with a [MeteredException]. Cancelling a coroutine ends its call in the library.
 */
public class SignallingClient internal constructor(private val native: Native) : Closeable {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val isClosed = AtomicBoolean(false)

    /** A client at rest. Checks every option. */
    public constructor(
        credential: Credential,
        options: SignallingOptions = SignallingOptions(),
    ) : this(
        native {
            when (credential) {
                is Credential.ApiKey -> Native(credential.toNative(), options.toNative())
                is Credential.Token -> Native(credential.toNative(), options.toNative())
                is Credential.Provider ->
                    Native.withTokenProvider(ProviderAdapter(credential.provider), options.toNative())
            }
        },
    )

    /** Where the client stands, now and at each change. */
    public val state: StateFlow<SignallingState> = NativeState(
        { native { native.state() }.toPublic() },
        { known -> native { native.stateAfter(known.toNative()) }.toPublic() },
    )

    /**
     * Events in order, for any number of collectors; ends with the client. Up to 1,024 wait for the first
     * collector and for the slowest, beyond that [SignallingEvent.Lagged] says how many were dropped.
     */
    public val events: Flow<SignallingEvent> =
        Inbox(scope, { max -> native { native.nextEvents(max) } }, { it.toPublic() }).events

    /** The present connection's welcome; `null` without one. */
    public val welcome: Welcome? get() = native { native.welcome() }?.toPublic()

    /** What waits for its turn, and what for its answer. */
    public val pacing: Pacing
        get() = native { native.pacing() }.let {
            Pacing(it.waitingSignalling.toLong(), it.waitingApp.toLong(), it.unanswered.toLong())
        }

    /** What came and led to nothing, since [connect]. */
    public val counters: SignallingCounters get() = native { native.counters() }.toPublic()

    /** The last attempt to connect: how long each step took, and at which it failed; `null` before the first. */
    public val lastAttempt: Attempt? get() = native { native.lastAttempt() }?.toPublic()

    /**
     * Asks the service for a sign of life and tells how long the answer took. `null` without a connection, or if
     * none came in time: then the connection is being replaced.
     */
    public suspend fun roundTripMs(): Double? = native { native.roundTripMs() }

    /**
     * Connects; done at the server's welcome. The first attempt is not repeated, every later drop is mended.
     * Cancelled, the attempt is ended and the client can connect again.
     */
    public suspend fun connect(): Unit = try {
        native { native.connect() }
    } catch (error: CancellationException) {
        withContext(NonCancellable) { native { native.disconnect(1000u, "") } }
        throw error
    }

    /**
     * Ends the connection with a close code, 1000 or 3000 to 4999, and a reason of up to 123 bytes. The
     * client can connect again.
     */
    public suspend fun disconnect(closeCode: Int = 1000, reason: String = ""): Unit =
        native { native.disconnect(closeCode.coerceIn(0, 0xffff).toUShort(), reason) }

    /** Receives a channel's messages and presence from now on, over reconnects too. */
    public suspend fun subscribe(channel: String, includeSenderMetadata: Boolean = false): Unit =
        native { native.subscribe(channel, includeSenderMetadata) }

    /** Stops receiving a channel. */
    public suspend fun unsubscribe(channel: String): Unit = native { native.unsubscribe(channel) }

    /** Broadcasts data to a channel's subscribers but ourselves; done at the server's ack. */
    public suspend fun publish(channel: String, data: JsonElement): Unit =
        native { native.publish(channel, data.toString()) }

    /** Hands data to one peer; done at the server's ack. */
    public suspend fun send(
        peerId: String,
        data: JsonElement,
        priority: SendPriority = SendPriority.APP,
    ): Unit = native { native.send(peerId, data.toString(), NativeSendPriority.entries[priority.ordinal]) }

    /** The platform reports another network. */
    public fun networkChanged(): Unit = native { native.networkChanged() }

    /** The app went to the background. */
    public fun enteredBackground(): Unit = native { native.enteredBackground() }

    /** The app came to the foreground. */
    public fun enteredForeground(): Unit = native { native.enteredForeground() }

    /** The user asks for a connection now. */
    public fun reconnectNow(): Unit = native { native.reconnectNow() }

    /**
     * Ends the connection, and frees token provider and tasks; returns when nothing is left. The client is
     * of no further use. A second call does nothing.
     */
    public suspend fun shutdown() {
        isClosed.set(true)
        native { native.shutdown() }
    }

    /** Starts [shutdown] and does not wait for its end. */
    override fun close() {
        if (isClosed.compareAndSet(false, true)) {
            scope.launch { native { native.shutdown() } }
        }
    }
}

/** [SignallingClient.publish] of what `kotlinx.serialization` can write. */
public suspend inline fun <reified T> SignallingClient.publishValue(channel: String, value: T): Unit =
    publish(channel, Json.encodeToJsonElement(value))

/** [SignallingClient.send] of what `kotlinx.serialization` can write. */
public suspend inline fun <reified T> SignallingClient.sendValue(peerId: String, value: T): Unit =
    send(peerId, Json.encodeToJsonElement(value))
