package ca.metered.realtime

import ca.metered.realtime.ffi.DataChannel as Native
import ca.metered.realtime.ffi.DataChannelOptions as NativeOptions
import ca.metered.realtime.ffi.ReadyState as NativeReadyState
import java.io.Closeable
import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.launch

/** Where a [DataChannel] stands (W3C `RTCDataChannelState`). */
public enum class ReadyState {
    /** Not open yet; a durable channel is here again after a reset. */
    CONNECTING,

    /** Messages pass. */
    OPEN,

    /** Being closed. */
    CLOSING,

    /** Closed for good. */
    CLOSED,
}

private fun NativeReadyState.toPublic() = ReadyState.entries[ordinal]

private fun ReadyState.toNative() = NativeReadyState.entries[ordinal]

/**
 * How a data channel shall be.
 *
 * @property ordered whether messages arrive in the order of their sending
 * @property maxRetransmits how often a lost message is sent again; `null` until it arrives
 * @property maxPacketLifeTimeMs how long a lost message is sent again, up to 65,535; not with
 *   [maxRetransmits]
 * @property protocol the subprotocol's name
 * @property negotiatedId the stream, if both sides open the channel with the same one by agreement
 * @property durable whether the channel outlives the connection
 * @property maxBufferedAmount bytes that may wait in the transport before a send waits
 * @property bufferedAmountLowThreshold [DataChannelEvent.BufferedAmountLow] comes at so many bytes; `null`
 *   for half of [maxBufferedAmount]
 * @property maxQueuedSends sends that may wait
 */
public data class DataChannelOptions(
    val ordered: Boolean = true,
    val maxRetransmits: Int? = null,
    val maxPacketLifeTimeMs: Long? = null,
    val protocol: String = "",
    val negotiatedId: Int? = null,
    val durable: Boolean = false,
    val maxBufferedAmount: Long = 1_048_576,
    val bufferedAmountLowThreshold: Long? = null,
    val maxQueuedSends: Int = 256,
)

private fun Int.short(): UShort = coerceIn(0, 0xffff).toUShort()

internal fun DataChannelOptions.toNative() = NativeOptions(
    ordered = ordered,
    maxRetransmits = maxRetransmits?.short(),
    maxPacketLifeTimeMs = maxPacketLifeTimeMs?.coerceAtLeast(0)?.toULong(),
    protocol = protocol,
    negotiatedId = negotiatedId?.short(),
    durable = durable,
    maxBufferedAmount = maxBufferedAmount.coerceAtLeast(0).toULong(),
    bufferedAmountLowThreshold = bufferedAmountLowThreshold?.coerceAtLeast(0)?.toULong(),
    maxQueuedSends = maxQueuedSends.coerceAtLeast(0).toULong(),
)

/** A data channel to one remote: text and bytes, reliable or not. */
public class DataChannel internal constructor(private val native: Native) : Closeable {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val isClosed = AtomicBoolean(false)

    /** Tells this channel from others of the same peer, also over resets. */
    public val id: String get() = native { native.id() }

    /** The label. */
    public val label: String get() = native { native.label() }

    /** The subprotocol's name; empty if there is none. */
    public val protocol: String get() = native { native.protocol() }

    /** Whether messages arrive in order. */
    public val ordered: Boolean get() = native { native.ordered() }

    /** How often a lost message is sent again; `null` until it arrives. */
    public val maxRetransmits: Int? get() = native { native.maxRetransmits() }?.toInt()

    /** Whether it outlives its connection. */
    public val durable: Boolean get() = native { native.durable() }

    /** Bytes of a message that the remote takes. */
    public val maxMessageSize: Long get() = native { native.maxMessageSize() }.toLong()

    /** Where it stands, now and at each change. */
    public val state: StateFlow<ReadyState> = NativeState(
        { native { native.readyState() }.toPublic() },
        { known -> native { native.readyStateAfter(known.toNative()) }.toPublic() },
    )

    /**
     * Events in order, for any number of collectors; ends with the channel. From the first collector on the
     * remote is slowed down while events are not taken, so that nothing is lost.
     */
    public val events: Flow<DataChannelEvent> =
        Inbox(scope, { max -> native { native.nextEvents(max) } }, { it.toPublic() }).events

    /** Bytes handed to the transport that the remote has not acknowledged. */
    public suspend fun bufferedAmount(): Long = native { native.bufferedAmount() }.toLong()

    /**
     * Sends text; done when it is handed to the transport. Waits until the channel is open and the transport
     * has room; sends leave in the order of their calls. Cancelled, the message is taken back if it has not
     * left.
     */
    public suspend fun send(text: String): Unit = native { native.sendText(text) }

    /** Sends bytes, as the other [send] does text. */
    public suspend fun send(data: ByteArray): Unit = native { native.sendBytes(data) }

    /** Sends text now, or fails. */
    public suspend fun trySend(text: String): Unit = native { native.trySendText(text) }

    /** Sends bytes now, or fails. */
    public suspend fun trySend(data: ByteArray): Unit = native { native.trySendBytes(data) }

    /** Closes the channel on both sides. Messages that the transport has still arrive. */
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
