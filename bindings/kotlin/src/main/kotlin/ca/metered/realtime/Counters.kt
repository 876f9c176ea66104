package ca.metered.realtime

import ca.metered.realtime.ffi.PeerCounters as NativePeerCounters
import ca.metered.realtime.ffi.RemoteCounters as NativeRemoteCounters
import ca.metered.realtime.ffi.SignallingCounters as NativeSignallingCounters

/**
 * One change of a state.
 *
 * @property atUnixMs when, by the device's clock, in milliseconds since 1970
 * @property from the state before
 * @property to the state after
 * @property reason why, in a few words
 */
public data class StateChange<State : Any>(
    val atUnixMs: Long,
    val from: State,
    val to: State,
    val reason: String,
)

/**
 * What came to a [SignallingClient] and led to nothing.
 *
 * @property malformedFrames frames that are not what the protocol says
 * @property droppedEntries broken entries and fields inside frames that were otherwise good
 * @property unknownFrames frames of a type that this version does not know
 * @property binaryFrames binary frames; the protocol has none
 * @property lateAnswers answers to requests that nobody waits for any more
 * @property staleFrames frames of connections that were already given up
 */
public data class SignallingCounters(
    val malformedFrames: Long,
    val droppedEntries: Long,
    val unknownFrames: Long,
    val binaryFrames: Long,
    val lateAnswers: Long,
    val staleFrames: Long,
)

internal fun NativeSignallingCounters.toPublic() = SignallingCounters(
    malformedFrames.toLong(), droppedEntries.toLong(), unknownFrames.toLong(), binaryFrames.toLong(),
    lateAnswers.toLong(), staleFrames.toLong(),
)

/**
 * What came to a [MeteredPeer] and led to nothing.
 *
 * @property peersBeyondLimit peers beyond 256 in the room
 * @property fromStrangers data and signals of senders that the room never named
 * @property signalsOverflow signals that a remote sent faster than they could be taken
 */
public data class PeerCounters(
    val peersBeyondLimit: Long,
    val fromStrangers: Long,
    val signalsOverflow: Long,
)

internal fun NativePeerCounters.toPublic() =
    PeerCounters(peersBeyondLimit.toLong(), fromStrangers.toLong(), signalsOverflow.toLong())

/**
 * What came from a [RemotePeer] and led to nothing.
 *
 * @property staleAnswers answers to offers that were taken back or replaced
 * @property candidates candidates of another generation, with hidden addresses, too long, or beyond 200
 * @property ignoredOffers offers that lost a collision; the remote takes ours instead
 * @property signalsOverflow signals beyond what may wait, or too large to be any
 */
public data class RemoteCounters(
    val staleAnswers: Long,
    val candidates: Long,
    val ignoredOffers: Long,
    val signalsOverflow: Long,
)

internal fun NativeRemoteCounters.toPublic() = RemoteCounters(
    staleAnswers.toLong(), candidates.toLong(), ignoredOffers.toLong(), signalsOverflow.toLong(),
)
