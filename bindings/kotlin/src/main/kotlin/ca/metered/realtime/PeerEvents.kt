package ca.metered.realtime

import ca.metered.realtime.ffi.DataChannelEvent as NativeDataChannelEvent
import ca.metered.realtime.ffi.ErrorDetails
import ca.metered.realtime.ffi.IceFailure as NativeIceFailure
import ca.metered.realtime.ffi.PeerEvent as NativePeerEvent
import ca.metered.realtime.ffi.RemoteEvent as NativeRemoteEvent
import kotlinx.serialization.json.JsonElement

/**
 * A failure that is told as an event.
 *
 * @property name the JavaScript SDK's name of it, such as `invalid_token` or `NegotiationError`
 * @property code stable code
 * @property message one line for people
 * @property diagnosis cause and fix
 */
public data class Failure(
    val name: String,
    val code: String,
    val message: String,
    val diagnosis: Diagnosis,
)

internal fun failure(name: String, details: ErrorDetails) =
    Failure(name, details.code, details.message, Diagnosis(details.cause, details.fix))

/** Something that happened to a [MeteredPeer]. */
public sealed interface PeerEvent {
    /**
     * The room was joined.
     *
     * @property peerId our id
     * @property channel the room's channel
     */
    public data class Joined(val peerId: String, val channel: String) : PeerEvent

    /**
     * The room was left for good.
     *
     * @property reason why
     */
    public data class Left(val reason: String) : PeerEvent

    /**
     * The state changed.
     *
     * @property from the state before
     * @property to the state now
     */
    public data class StateChange(val from: PeerState, val to: PeerState) : PeerEvent

    /**
     * Another peer is in the room.
     *
     * @property remote the peer
     */
    public data class PeerJoined(val remote: RemotePeer) : PeerEvent

    /**
     * Another peer left the room.
     *
     * @property remote the peer
     */
    public data class PeerLeft(val remote: RemotePeer) : PeerEvent

    /**
     * Data came by way of the service.
     *
     * @property senderPeerId the sender
     * @property data the payload
     * @property direct whether it is for us alone; else it was for everyone in the room
     * @property senderMetadata the sender's `peerMetadata`: always with direct data, else if the join asked
     */
    public data class Data(
        val senderPeerId: String,
        val data: JsonElement,
        val direct: Boolean,
        val senderMetadata: JsonElement?,
    ) : PeerEvent

    /**
     * Something failed that does not mend itself, or not without the app.
     *
     * @property failure what
     */
    public data class Fault(val failure: Failure) : PeerEvent

    /**
     * Events were not taken fast enough: so many of the oldest were dropped.
     *
     * @property missed how many
     */
    public data class Lagged(val missed: Long) : PeerEvent
}

internal fun NativePeerEvent.toPublic(): PeerEvent = when (this) {
    is NativePeerEvent.Joined -> PeerEvent.Joined(peerId, channel)
    is NativePeerEvent.Left -> PeerEvent.Left(reason)
    is NativePeerEvent.StateChange -> PeerEvent.StateChange(from.toPublic(), to.toPublic())
    is NativePeerEvent.PeerJoined -> PeerEvent.PeerJoined(RemotePeer(remote))
    is NativePeerEvent.PeerLeft -> PeerEvent.PeerLeft(RemotePeer(remote))
    is NativePeerEvent.Data ->
        PeerEvent.Data(senderPeerId, dataJson.toElement(), direct, senderMetadataJson?.toElement())
    is NativePeerEvent.Fault -> PeerEvent.Fault(failure(failure.name, failure.details))
    is NativePeerEvent.Lagged -> PeerEvent.Lagged(missed.toLong())
}

/** Something that happened to a [RemotePeer]. */
public sealed interface RemoteEvent {
    /**
     * The connection's state changed.
     *
     * @property from the state before
     * @property to the state now
     */
    public data class StateChange(val from: RemoteState, val to: RemoteState) : RemoteEvent

    /**
     * A step of the negotiation failed. The SDK goes on by itself, but for `IceRestartExhaustedError`.
     *
     * @property failure what
     */
    public data class NegotiationFailed(val failure: Failure) : RemoteEvent

    /**
     * A STUN or TURN server does not serve, or a candidate of the remote could not be used.
     *
     * @property url the server's URL; empty if a candidate was at fault
     * @property errorCode STUN error code 300 to 699, or 701 if the server could not be reached
     * @property failure what
     */
    public data class IceFailed(val url: String, val errorCode: Int, val failure: Failure) : RemoteEvent

    /**
     * The remote sends a track.
     *
     * @property trackId the track's id
     * @property kind `audio` or `video`
     * @property codec such as `video/VP8`; empty while unknown
     * @property streamIds the streams that it belongs to
     * @property metadata what the remote says of it, an object
     * @property track what comes on it
     */
    public data class TrackAdded(
        val trackId: String,
        val kind: String,
        val codec: String,
        val streamIds: List<String>,
        val metadata: JsonElement?,
        val track: RemoteTrack,
    ) : RemoteEvent

    /**
     * The remote opened a data channel.
     *
     * @property channel the channel
     */
    public data class DataChannelOpened(val channel: DataChannel) : RemoteEvent

    /**
     * The first track of a stream came.
     *
     * @property streamId the stream
     * @property metadata what the remote says of it, an object
     */
    public data class StreamAdded(val streamId: String, val metadata: JsonElement?) : RemoteEvent

    /**
     * The remote sends a track no more.
     *
     * @property trackId the track
     */
    public data class TrackRemoved(val trackId: String) : RemoteEvent

    /**
     * The last track of a stream went.
     *
     * @property streamId the stream
     */
    public data class StreamRemoved(val streamId: String) : RemoteEvent

    /**
     * The connection was made anew: data channels that are not durable are closed, and the app may open them
     * again now.
     */
    public data object ConnectionReset : RemoteEvent

    /**
     * Events were not taken fast enough: so many of the oldest were dropped.
     *
     * @property missed how many
     */
    public data class Lagged(val missed: Long) : RemoteEvent
}

internal fun NativeIceFailure.toPublic() =
    RemoteEvent.IceFailed(url, errorCode.toInt(), failure("IceCandidateError", details))

internal fun NativeRemoteEvent.toPublic(): RemoteEvent = when (this) {
    is NativeRemoteEvent.StateChange -> RemoteEvent.StateChange(from.toPublic(), to.toPublic())
    is NativeRemoteEvent.NegotiationFailed ->
        RemoteEvent.NegotiationFailed(failure(failure.name, failure.details))
    is NativeRemoteEvent.IceFailed -> failure.toPublic()
    is NativeRemoteEvent.TrackAdded -> RemoteEvent.TrackAdded(
        track.trackId, track.kind, track.codec, track.streamIds, track.metadataJson?.toElement(),
        track.media.toPublic(),
    )
    is NativeRemoteEvent.DataChannelOpened -> RemoteEvent.DataChannelOpened(DataChannel(channel))
    is NativeRemoteEvent.StreamAdded -> RemoteEvent.StreamAdded(streamId, metadataJson?.toElement())
    is NativeRemoteEvent.TrackRemoved -> RemoteEvent.TrackRemoved(trackId)
    is NativeRemoteEvent.StreamRemoved -> RemoteEvent.StreamRemoved(streamId)
    is NativeRemoteEvent.ConnectionReset -> RemoteEvent.ConnectionReset
    is NativeRemoteEvent.Lagged -> RemoteEvent.Lagged(missed.toLong())
}

/** Something that happened on a [DataChannel]. */
public sealed interface DataChannelEvent {
    /** Messages pass from now on. A durable channel opens again after each reset. */
    public data object Opened : DataChannelEvent

    /**
     * A text came.
     *
     * @property text the text
     */
    public data class Text(val text: String) : DataChannelEvent

    /**
     * Bytes came.
     *
     * @property data the bytes
     */
    public class Binary(public val data: ByteArray) : DataChannelEvent {
        override fun toString(): String = "Binary(${data.size} bytes)"
    }

    /** So little waits in the transport that more can be given. */
    public data object BufferedAmountLow : DataChannelEvent

    /** The transport reported a fault; [Closed] follows if it is final. */
    public data object Fault : DataChannelEvent

    /** Closed for good. The last event. */
    public data object Closed : DataChannelEvent

    /**
     * So many messages from before the first collector were dropped.
     *
     * @property missed how many
     */
    public data class Lagged(val missed: Long) : DataChannelEvent
}

internal fun NativeDataChannelEvent.toPublic(): DataChannelEvent = when (this) {
    is NativeDataChannelEvent.Opened -> DataChannelEvent.Opened
    is NativeDataChannelEvent.Text -> DataChannelEvent.Text(text)
    is NativeDataChannelEvent.Binary -> DataChannelEvent.Binary(data)
    is NativeDataChannelEvent.BufferedAmountLow -> DataChannelEvent.BufferedAmountLow
    is NativeDataChannelEvent.Fault -> DataChannelEvent.Fault
    is NativeDataChannelEvent.Closed -> DataChannelEvent.Closed
    is NativeDataChannelEvent.Lagged -> DataChannelEvent.Lagged(missed.toLong())
}
