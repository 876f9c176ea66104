package ca.metered.realtime

import ca.metered.realtime.ffi.RemotePeer as Native
import ca.metered.realtime.ffi.RemoteState as NativeRemoteState
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.serialization.json.JsonElement

/** Where the connection to a remote stands. */
public enum class RemoteState {
    /** Nothing to connect for yet: neither data channel nor track. */
    IDLE,

    /** Being connected. */
    CONNECTING,

    /** Connected. */
    CONNECTED,

    /** The path is lost and looked for anew, or the connection is made anew. */
    RECONNECTING,

    /** The remote has left, or the peer was closed. */
    CLOSED,
}

internal fun NativeRemoteState.toPublic() = RemoteState.entries[ordinal]

private fun RemoteState.toNative() = NativeRemoteState.entries[ordinal]

/**
 * Another peer in the room; it always speaks to the present connection.
 *
 * Each object has a queue of its own, from its first collector on. The first one of all objects for the same
 * remote also gets what came before, such as a channel that the remote opened.
 */
public class RemotePeer internal constructor(private val native: Native) {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)

    /** Its id in the room. */
    public val id: String get() = native { native.id() }

    /** Its token's `peerMetadata`, an object, if there is any. */
    public val metadata: JsonElement? get() = native { native.metadataJson() }?.toElement()

    /** Whether we give way when both sides offer at once. */
    public val polite: Boolean get() = native { native.polite() }

    /** The last failure of a negotiation. */
    public val lastFailure: Failure?
        get() = native { native.lastFailure() }?.let { failure(it.name, it.details) }

    /** Where the connection stands, now and at each change. */
    public val state: StateFlow<RemoteState> = NativeState(
        { native { native.state() }.toPublic() },
        { known -> native { native.stateAfter(known.toNative()) }.toPublic() },
    )

    /** The latest changes of the state, the oldest first; at most 64. */
    public val stateHistory: List<StateChange<RemoteState>>
        get() = native { native.stateHistory() }.map {
            StateChange(it.atUnixMs.toLong(), it.from.toPublic(), it.to.toPublic(), it.reason)
        }

    /** The latest failures of STUN and TURN servers and of candidates, the oldest first; at most 32. */
    public val iceFailures: List<RemoteEvent.IceFailed>
        get() = native { native.iceFailures() }.map { it.toPublic() }

    /** What came from it and led to nothing. */
    public val counters: RemoteCounters get() = native { native.counters() }.toPublic()

    /** Events in order, for any number of collectors. */
    public val events: Flow<RemoteEvent> =
        Inbox(scope, { max -> native { native.nextEvents(max) } }, { it.toPublic() }).events

    /** Sends data to this peer by way of the service; done at its ack. */
    public suspend fun send(data: JsonElement): Unit = native { native.send(data.toString()) }

    /**
     * Opens a data channel; the connection is made for it if there is none. Done when the channel exists:
     * [DataChannelEvent.Opened] says when messages pass, and a send waits for that.
     */
    public suspend fun openDataChannel(
        label: String,
        options: DataChannelOptions = DataChannelOptions(),
    ): DataChannel = DataChannel(native { native.openDataChannel(label, options.toNative()) })

    /** Figures of the connection; zeros without one. */
    public suspend fun stats(): ConnectionStats = native { native.stats() }.toPublic()

    /** Ends this object's [events]; the connection stays, as it is the peer's. A second call does nothing. */
    public suspend fun shutdown(): Unit = native { native.shutdown() }

    override fun toString(): String = "RemotePeer($id, ${state.value})"
}
