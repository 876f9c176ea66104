package ca.metered.realtime

import ca.metered.realtime.ffi.IceTransportPolicy
import ca.metered.realtime.ffi.MeteredPeer as Native
import ca.metered.realtime.ffi.PeerOptions as NativePeerOptions
import ca.metered.realtime.ffi.PeerState as NativePeerState
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
import kotlinx.serialization.json.JsonElement

/** Where a [MeteredPeer] stands. */
public enum class PeerState {
    /** Never joined, or a join failed. */
    IDLE,

    /** Being joined. */
    JOINING,

    /** In the room. */
    JOINED,

    /** The connection to the service is lost and comes back; with a token calls go on. */
    RECONNECTING,

    /** Being closed. */
    LEAVING,

    /** Ended. */
    CLOSED,
}

internal fun NativePeerState.toPublic() = PeerState.entries[ordinal]

private fun PeerState.toNative() = NativePeerState.entries[ordinal]

/**
 * Options of a [MeteredPeer].
 *
 * @property signalling those of its signalling client
 * @property iceServers ICE servers besides those that the service gives
 * @property relayOnly whether the remote shall never learn our address; needs a TURN server
 * @property rtc whether connections are made at all. Off: the roster and messages alone
 * @property localAddresses local IP addresses to use; `null` for those of all interfaces
 */
public data class PeerOptions(
    val signalling: SignallingOptions = SignallingOptions(),
    val iceServers: List<IceServer> = emptyList(),
    val relayOnly: Boolean = false,
    val rtc: Boolean = true,
    val localAddresses: List<String>? = null,
)

internal fun PeerOptions.toNative() = NativePeerOptions(
    signalling = signalling.toNative(),
    iceServers = iceServers.map { it.toNative() },
    iceTransportPolicy = if (relayOnly) IceTransportPolicy.RELAY else IceTransportPolicy.ALL,
    rtc = rtc,
    localAddresses = localAddresses,
)

/**
 * A peer in a room: it knows who is there, is connected to everyone, and stays so. It joins one room in its
 * life.
 *
 * ```
 * MeteredPeer(Credential.ApiKey("pk_live_…")).use { peer ->
 *     peer.join("room")
 *     peer.events.collect { event ->
 *         if (event is PeerEvent.PeerJoined) event.remote.openDataChannel("chat").send("hello")
 *     }
 * }
 * ```
 */
public class MeteredPeer private constructor(private val native: Native) : Closeable {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val isClosed = AtomicBoolean(false)

    /** A peer at rest. Checks every option. */
    public constructor(credential: Credential, options: PeerOptions = PeerOptions()) : this(
        native {
            when (credential) {
                is Credential.ApiKey -> Native(credential.toNative(), options.toNative())
                is Credential.Token -> Native(credential.toNative(), options.toNative())
                is Credential.Provider ->
                    Native.withTokenProvider(ProviderAdapter(credential.provider), options.toNative())
            }
        },
    )

    /** Where the peer stands, now and at each change. */
    public val state: StateFlow<PeerState> = NativeState(
        { native { native.state() }.toPublic() },
        { known -> native { native.stateAfter(known.toNative()) }.toPublic() },
    )

    /**
     * Events in order, for any number of collectors; ends with the peer. Up to 1,024 wait for the first
     * collector and for the slowest, beyond that [PeerEvent.Lagged] says how many were dropped.
     */
    public val events: Flow<PeerEvent> =
        Inbox(scope, { max -> native { native.nextEvents(max) } }, { it.toPublic() }).events

    /** Our id, once connected. */
    public val peerId: String? get() = native { native.peerId() }

    /** The room, once joined. */
    public val channel: String? get() = native { native.channel() }

    /** Who else is in the room, by their ids. */
    public val remotePeers: List<RemotePeer> get() = native { native.remotePeers() }.map(::RemotePeer)

    /** The last failure that was told as [PeerEvent.Fault]. */
    public val lastFailure: Failure?
        get() = native { native.lastFailure() }?.let { failure(it.name, it.details) }

    /** The latest changes of the state, the oldest first; at most 64. */
    public val stateHistory: List<StateChange<PeerState>>
        get() = native { native.stateHistory() }.map {
            StateChange(it.atUnixMs.toLong(), it.from.toPublic(), it.to.toPublic(), it.reason)
        }

    /** What came and led to nothing. */
    public val counters: PeerCounters get() = native { native.counters() }.toPublic()

    /**
     * The signalling client below, for its events and figures. Its connection is this peer's: to shut it down
     * ends its events and nothing else.
     */
    public val signalling: SignallingClient by lazy { SignallingClient(native { native.signalling() }) }

    /** One of the others. */
    public fun remotePeer(peerId: String): RemotePeer? = native { native.remotePeer(peerId) }?.let(::RemotePeer)

    /**
     * Joins a room; done when the service has acknowledged it. Cancelled, the peer leaves for good: make a
     * new one to try again.
     */
    public suspend fun join(channel: String, includeSenderMetadata: Boolean = false): Unit = try {
        native { native.join(channel, includeSenderMetadata) }
    } catch (error: CancellationException) {
        withContext(NonCancellable) { native { native.leave("the join was cancelled") } }
        throw error
    }

    /** Leaves the room for good and ends every connection. */
    public suspend fun leave(reason: String = ""): Unit = native { native.leave(reason) }

    /** Sends data to everyone in the room by way of the service; done at its ack. */
    public suspend fun send(data: JsonElement): Unit = native { native.send(data.toString()) }

    /** Sends data to one peer by way of the service; done at its ack. */
    public suspend fun sendTo(peerId: String, data: JsonElement): Unit =
        native { native.sendTo(peerId, data.toString()) }

    /**
     * Sends a track to everyone in the room, and to everyone who comes; before the join as well.
     *
     * @param stream the remotes get it as part of this stream
     * @param metadata an object that reaches them before the track does
     */
    public fun addTrack(
        track: LocalTrack,
        stream: MediaStream? = null,
        metadata: JsonElement? = null,
    ): Unit = native { native.addTrack(track.toNative(), stream?.id, metadata?.toString()) }

    /** Stops sending a track. One that was never added is none, and that is no error. */
    public fun removeTrack(track: LocalTrack): Unit = native { native.removeTrack(track.id) }

    /**
     * Puts another track of the same codec in a track's place, without a negotiation: the remotes see the same
     * track go on. `null` silences it for those who have it, and forgets it. Not possible while reconnecting.
     */
    public fun replaceTrack(track: LocalTrack, by: LocalTrack?): Unit =
        native { native.replaceTrack(track.id, by?.toNative()) }

    /** Adds every track of a stream; the metadata, an object, is said of each. */
    public fun addStream(stream: MediaStream, metadata: JsonElement? = null): Unit =
        native { native.addStream(stream.toNative(), metadata?.toString()) }

    /** Removes every track of a stream. */
    public fun removeStream(stream: MediaStream): Unit = native { native.removeStream(stream.toNative()) }

    /** What was said of a track when it was added. */
    public fun trackMetadata(track: LocalTrack): JsonElement? =
        native { native.trackMetadataJson(track.id) }?.toElement()

    /** What was said of a stream's first track that is published. */
    public fun streamMetadata(stream: MediaStream): JsonElement? =
        native { native.streamMetadataJson(stream.toNative()) }?.toElement()

    /** Has each new socket of the connections to remotes bound by the app. Set it before [join]. */
    public fun setSocketBinder(binder: SocketBinder): Unit =
        native { native.setSocketBinder(BinderAdapter(binder)) }

    /** The platform reports another network. */
    public fun networkChanged(): Unit = native { native.networkChanged() }

    /** The app went to the background. */
    public fun enteredBackground(): Unit = native { native.enteredBackground() }

    /** The app came to the foreground. */
    public fun enteredForeground(): Unit = native { native.enteredForeground() }

    /** The user asks for connections now. */
    public fun reconnectNow(): Unit = native { native.reconnectNow() }

    /**
     * Leaves the room if that was not done, and frees token provider and tasks; returns when nothing is left.
     * A second call does nothing.
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
