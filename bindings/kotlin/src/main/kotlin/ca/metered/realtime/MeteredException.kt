package ca.metered.realtime

import ca.metered.realtime.ffi.ErrorDetails
import ca.metered.realtime.ffi.InternalException as NativeInternalException
import ca.metered.realtime.ffi.SdkException as Native
import ca.metered.realtime.ffi.diagnoseCloseCode

/**
 * What led to an error and what mends it, in words for the person who has to.
 *
 * @property cause one or two sentences on what led to it
 * @property fix one or two sentences on what to do
 */
public data class Diagnosis(val cause: String, val fix: String) {
    public companion object {
        /** Of a close code, for apps that show them. */
        public fun ofCloseCode(closeCode: Int): Diagnosis {
            val code = closeCode.coerceIn(0, 0xffff).toUShort()
            return native { diagnoseCloseCode(code) }.let { Diagnosis(it.cause, it.fix) }
        }
    }
}

/**
 * Why a call was not done. The subclasses are named as the JavaScript SDK's classes.
 *
 * @property code stable; the server's own where it answered
 * @property diagnosis cause and fix
 */
public sealed class MeteredException(
    public val code: String,
    message: String,
    public val diagnosis: Diagnosis,
) : Exception(message) {
    protected constructor(details: ErrorDetails) :
        this(details.code, details.message, Diagnosis(details.cause, details.fix))

    override fun toString(): String =
        "${javaClass.simpleName}: $message ($code). ${diagnosis.cause} Fix: ${diagnosis.fix}"
}

/**
 * There is no connection to the service.
 *
 * @property closeCode the close code that stands for it: 1006 where there was no close frame
 * @property closeReason the server's or our reason; empty if there is none. Not for logs
 * @property httpStatus the HTTP status, if the server answered the upgrade with one
 * @property httpCode the code in that answer's body
 * @property preflight the preflight's code, if the token was refused before it was sent
 */
public class SignallingConnectException internal constructor(
    details: ErrorDetails,
    public val closeCode: Int,
    public val closeReason: String,
    public val httpStatus: Int?,
    public val httpCode: String?,
    public val preflight: String?,
) : MeteredException(details)

/** The app's token provider failed, or took too long. */
public class TokenProviderException internal constructor(details: ErrorDetails) : MeteredException(details)

/**
 * The object's state does not allow the call.
 *
 * @property currentState the state, if it has a name
 * @property method the method, if it is known
 */
public class InvalidStateException internal constructor(
    details: ErrorDetails,
    public val currentState: String?,
    public val method: String?,
) : MeteredException(details)

/** An argument or option that cannot be. */
public class InvalidArgumentException internal constructor(details: ErrorDetails) : MeteredException(details)

/** A fault of the SDK itself; a panic inside is one. */
public class InternalException internal constructor(details: ErrorDetails) : MeteredException(details)

/**
 * There is no connection; nothing was sent.
 *
 * @property currentState the client's state
 */
public class NotConnectedException internal constructor(
    details: ErrorDetails,
    public val currentState: String,
) : MeteredException(details)

/**
 * The connection ended before the answer.
 *
 * @property closeCode how the connection ended
 * @property sent whether the request had left: then its outcome is unknown
 */
public class DisconnectedException internal constructor(
    details: ErrorDetails,
    public val closeCode: Int,
    public val sent: Boolean,
) : MeteredException(details)

/** The server did not answer in time. The outcome is unknown. */
public class AckTimeoutException internal constructor(details: ErrorDetails) : MeteredException(details)

/**
 * The server refused; [code] is its own.
 *
 * @property serverMessage the server's words. Not for logs
 */
public class ServerRequestException internal constructor(
    details: ErrorDetails,
    public val serverMessage: String?,
) : MeteredException(details)

/**
 * More requests wait for their turn than the queue holds.
 *
 * @property waiting requests that wait
 */
public class PacingOverflowException internal constructor(
    details: ErrorDetails,
    public val waiting: Long,
) : MeteredException(details)

/**
 * More bytes than may be sent at once.
 *
 * @property size bytes of the payload
 * @property cap bytes that are allowed
 */
public class OversizedPayloadException internal constructor(
    details: ErrorDetails,
    public val size: Long,
    public val cap: Long,
) : MeteredException(details)

/**
 * The token does not allow it; nothing was sent.
 *
 * @property preflight the preflight's code
 */
public class PreflightException internal constructor(
    details: ErrorDetails,
    public val preflight: String,
) : MeteredException(details)

/**
 * The peer's state, or the track's, does not allow the call.
 *
 * @property currentState the peer's state, if that is what does not allow it
 * @property method the method
 */
public class MeteredPeerStateException internal constructor(
    details: ErrorDetails,
    public val currentState: String?,
    public val method: String,
) : MeteredException(details)

/** The peer cannot send this, or not to this target. */
public class MeteredPeerSendException internal constructor(details: ErrorDetails) : MeteredException(details)

/**
 * More bytes than the service takes at once.
 *
 * @property size bytes of the payload
 * @property cap bytes that are allowed
 */
public class MeteredPeerOversizedException internal constructor(
    details: ErrorDetails,
    public val size: Long,
    public val cap: Long,
) : MeteredException(details)

/**
 * A track was not replaced for every remote.
 *
 * @property succeeded remotes that get the new track, by their ids
 * @property failed remotes that still get the old one
 */
public class MeteredPeerReplaceTrackException internal constructor(
    details: ErrorDetails,
    public val succeeded: List<String>,
    public val failed: List<String>,
) : MeteredException(details)

/** The remote has left. */
public class RemotePeerClosedException internal constructor(details: ErrorDetails) : MeteredException(details)

/** The WebRTC engine refused. */
public class EngineException internal constructor(details: ErrorDetails) : MeteredException(details)

/**
 * A STUN or TURN server does not serve.
 *
 * @property url the server's URL; never its credentials
 * @property errorCode STUN error code 300 to 699, or 701 if the server could not be reached
 */
public class IceCandidateException internal constructor(
    details: ErrorDetails,
    public val url: String,
    public val errorCode: Int,
) : MeteredException(details)

/**
 * The app sends faster than the network carries.
 *
 * @property queued sends that wait, if the queue was full
 * @property cap sends that may wait
 */
public class DataChannelOverflowException internal constructor(
    details: ErrorDetails,
    public val queued: Long?,
    public val cap: Long?,
) : MeteredException(details)

internal fun Native.toPublic(): MeteredException = when (this) {
    is Native.SignallingConnectException -> SignallingConnectException(
        details, closeCode.toInt(), closeReason, httpStatus?.toInt(), httpCode, preflight,
    )
    is Native.TokenProviderException -> TokenProviderException(details)
    is Native.InvalidStateException -> InvalidStateException(details, currentState, method)
    is Native.InvalidArgumentException -> InvalidArgumentException(details)
    is Native.InternalException -> InternalException(details)
    is Native.NotConnectedException -> NotConnectedException(details, currentState)
    is Native.DisconnectedException -> DisconnectedException(details, closeCode.toInt(), sent)
    is Native.AckTimeoutException -> AckTimeoutException(details)
    is Native.ServerRequestException -> ServerRequestException(details, serverMessage)
    is Native.PacingOverflow -> PacingOverflowException(details, waiting.toLong())
    is Native.OversizedPayloadException -> OversizedPayloadException(details, size.toLong(), cap.toLong())
    is Native.PreflightException -> PreflightException(details, preflight)
    is Native.MeteredPeerStateException -> MeteredPeerStateException(details, currentState, method)
    is Native.MeteredPeerSendException -> MeteredPeerSendException(details)
    is Native.MeteredPeerOversizedException ->
        MeteredPeerOversizedException(details, size.toLong(), cap.toLong())
    is Native.MeteredPeerReplaceTrackException ->
        MeteredPeerReplaceTrackException(details, succeeded, failed)
    is Native.RemotePeerClosedException -> RemotePeerClosedException(details)
    is Native.EngineException -> EngineException(details)
    is Native.IceCandidateException -> IceCandidateException(details, url, errorCode.toInt())
    is Native.DataChannelOverflowException ->
        DataChannelOverflowException(details, queued?.toLong(), cap?.toLong())
}

/** Runs a call of the library; its errors become ours. */
internal inline fun <T> native(call: () -> T): T = try {
    call()
} catch (error: Native) {
    throw error.toPublic()
} catch (error: NativeInternalException) {
    val details = ErrorDetails(
        "internal",
        error.message ?: "the SDK failed inside",
        "The SDK met a fault of its own.",
        "Report it with a trace log; credentials are never in it.",
    )
    throw InternalException(details).apply { initCause(error) }
}
