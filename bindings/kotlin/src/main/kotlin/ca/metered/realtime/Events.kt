package ca.metered.realtime

import ca.metered.realtime.ffi.PresencePeer as NativePresencePeer
import ca.metered.realtime.ffi.SignallingEvent as Native
import ca.metered.realtime.ffi.Welcome as NativeWelcome
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement

/** Payloads cross the boundary as text. */
internal fun String.toElement(): JsonElement = Json.parseToJsonElement(this)

/**
 * What the server said in its welcome.
 *
 * @property peerId our id on this connection
 * @property serverTimeUnixMs the server's clock, in milliseconds since 1970
 * @property expiresAtUnixMs when the token ends; `null` for a publishable key
 * @property isReconnect whether a connection of this client preceded it since `connect`
 * @property maxMessageSize bytes that one frame of ours may have
 * @property iceServers ICE servers for WebRTC, if the service gave any
 */
public data class Welcome(
    val peerId: String,
    val serverTimeUnixMs: Long?,
    val expiresAtUnixMs: Long?,
    val isReconnect: Boolean,
    val maxMessageSize: Long,
    val iceServers: List<IceServer>?,
)

internal fun NativeWelcome.toPublic() = Welcome(
    peerId, serverTimeUnixMs?.toLong(), expiresAtUnixMs?.toLong(), isReconnect, maxMessageSize.toLong(),
    iceServers?.map { IceServer(it.urls, it.username, it.credential) },
)

/**
 * A peer in a channel.
 *
 * @property peerId its id
 * @property metadata its `peerMetadata`, an object, if there is any
 */
public data class PresencePeer(val peerId: String, val metadata: JsonElement?)

private fun List<NativePresencePeer>.toPublic() =
    map { PresencePeer(it.peerId, it.metadataJson?.toElement()) }

/** Something that happened to a [SignallingClient]. */
public sealed interface SignallingEvent {
    /**
     * A welcome came.
     *
     * @property welcome what it said
     */
    public data class Connected(val welcome: Welcome) : SignallingEvent

    /**
     * A connection, or an attempt at one, ended.
     *
     * @property closeCode the close code; 1006 when there was no close frame
     * @property reason the close frame's reason, or ours. Not for logs
     * @property willReconnect whether another attempt follows by itself
     * @property error what is known of it
     */
    public data class Disconnected(
        val closeCode: Int,
        val reason: String,
        val willReconnect: Boolean,
        val error: MeteredException,
    ) : SignallingEvent

    /**
     * The state changed.
     *
     * @property from the state before
     * @property to the state now
     */
    public data class StateChange(val from: SignallingState, val to: SignallingState) : SignallingEvent

    /**
     * A broadcast on a subscribed channel.
     *
     * @property channel the channel
     * @property from the publisher
     * @property data the payload
     * @property fromMetadata the publisher's `peerMetadata`, if the subscription asked for it
     */
    public data class Message(
        val channel: String,
        val from: String,
        val data: JsonElement,
        val fromMetadata: JsonElement?,
    ) : SignallingEvent

    /**
     * Data for us alone.
     *
     * @property from the sender
     * @property data the payload
     * @property fromMetadata the sender's `peerMetadata`
     */
    public data class Direct(
        val from: String,
        val data: JsonElement,
        val fromMetadata: JsonElement?,
    ) : SignallingEvent

    /**
     * Peers came or left; or, right after a subscription, who is there.
     *
     * @property channel the channel
     * @property joined peers that came, or were there
     * @property left peers that left
     * @property snapshot whether it is the subscription's snapshot rather than a change
     */
    public data class Presence(
        val channel: String,
        val joined: List<PresencePeer>,
        val left: List<PresencePeer>,
        val snapshot: Boolean,
    ) : SignallingEvent

    /**
     * An error of the server that answers no request under way.
     *
     * @property code its code
     * @property serverMessage the server's words. Not for logs
     * @property requestId the request, if the server named one
     */
    public data class ServerError(
        val code: String,
        val serverMessage: String?,
        val requestId: String?,
    ) : SignallingEvent

    /**
     * The server will close soon.
     *
     * @property retryAfterMs when it wants to see us again
     */
    public data class GoingAway(val retryAfterMs: Long) : SignallingEvent

    /**
     * The token provider failed for the third time in a row, or more.
     *
     * @property consecutiveFailures failures in a row
     * @property error the last one
     */
    public data class TokenProviderFailing(
        val consecutiveFailures: Int,
        val error: MeteredException,
    ) : SignallingEvent

    /**
     * A tracked subscription could not be replayed on this connection; the next one tries again.
     *
     * @property channel the channel
     * @property error the last failure
     */
    public data class ResubscribeFailed(val channel: String, val error: MeteredException) : SignallingEvent

    /**
     * Events were not taken fast enough: so many of the oldest were dropped.
     *
     * @property missed how many
     */
    public data class Lagged(val missed: Long) : SignallingEvent
}

internal fun Native.toPublic(): SignallingEvent = when (this) {
    is Native.Connected -> SignallingEvent.Connected(welcome.toPublic())
    is Native.Disconnected ->
        SignallingEvent.Disconnected(closeCode.toInt(), reason, willReconnect, error.toPublic())
    is Native.StateChange -> SignallingEvent.StateChange(from.toPublic(), to.toPublic())
    is Native.Message ->
        SignallingEvent.Message(channel, from, dataJson.toElement(), fromMetadataJson?.toElement())
    is Native.Direct -> SignallingEvent.Direct(from, dataJson.toElement(), fromMetadataJson?.toElement())
    is Native.Presence ->
        SignallingEvent.Presence(channel, joined.toPublic(), left.toPublic(), snapshot)
    is Native.ServerError -> SignallingEvent.ServerError(code, serverMessage, requestId)
    is Native.GoingAway -> SignallingEvent.GoingAway(retryAfterMs.toLong())
    is Native.TokenProviderFailing ->
        SignallingEvent.TokenProviderFailing(consecutiveFailures.toInt(), error.toPublic())
    is Native.ResubscribeFailed -> SignallingEvent.ResubscribeFailed(channel, error.toPublic())
    is Native.Lagged -> SignallingEvent.Lagged(missed.toLong())
}
