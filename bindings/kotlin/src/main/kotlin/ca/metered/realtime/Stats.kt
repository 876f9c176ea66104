package ca.metered.realtime

import ca.metered.realtime.ffi.AudioStats as NativeAudioStats
import ca.metered.realtime.ffi.CandidateStats as NativeCandidateStats
import ca.metered.realtime.ffi.ChannelStats as NativeChannelStats
import ca.metered.realtime.ffi.ConnectionStats as NativeConnectionStats
import ca.metered.realtime.ffi.PlayoutStats as NativePlayoutStats
import ca.metered.realtime.ffi.TrackStats as NativeTrackStats
import ca.metered.realtime.ffi.VideoStats as NativeVideoStats

/** Where a candidate's address comes from (RFC 8445 section 5.1.1). */
public enum class CandidateType {
    /** An interface of the device. */
    HOST,

    /** What a STUN server saw. */
    SRFLX,

    /** What the remote saw. */
    PRFLX,

    /** A relay. */
    RELAY,
}

/**
 * One end of the selected pair.
 *
 * @property candidateType where its address comes from
 * @property address the address, unless hidden
 * @property port the port
 * @property protocol `udp` or `tcp`, between the candidates
 * @property relayUrl the relay's URL, for our own relayed candidate
 */
public data class CandidateStats(
    val candidateType: CandidateType,
    val address: String?,
    val port: Int,
    val protocol: String,
    val relayUrl: String?,
)

/**
 * The pair of candidates that carries the data.
 *
 * @property local ours
 * @property remote the remote's
 * @property roundTripTimeMs the last measured round trip; `null` before the first
 */
public data class CandidatePairStats(
    val local: CandidateStats,
    val remote: CandidateStats,
    val roundTripTimeMs: Double?,
)

/**
 * A data channel's figures.
 *
 * @property label the label
 * @property streamId the SCTP stream, or the engine's number of the channel before there is one
 * @property messagesSent messages handed to the transport
 * @property bytesSent bytes of payload handed to the transport
 * @property messagesReceived messages received
 * @property bytesReceived bytes of payload received
 */
public data class ChannelStats(
    val label: String,
    val streamId: Int,
    val messagesSent: Long,
    val bytesSent: Long,
    val messagesReceived: Long,
    val bytesReceived: Long,
)

/**
 * A track's figures, in one direction.
 *
 * @property trackId the track's id, if known
 * @property kind `audio` or `video`
 * @property direction `inbound` or `outbound`
 * @property packets RTP packets received or sent
 * @property bytes bytes of RTP payload received or sent
 * @property packetsLost packets lost: inbound, as far as known here; outbound, as the remote reports
 * @property retransmittedPackets packets sent again because the remote asked; outbound only
 * @property retransmittedBytes bytes of RTP payload in them
 * @property fractionLost share of the packets lost, 0 to 1, in the remote's last report; outbound only
 * @property jitterMs variation of the transit time, measured by who receives
 * @property roundTripTimeMs from here to the remote and back, from its last report; outbound only
 * @property targetBitrate bits per second that the encoder shall make for this remote; outbound only
 * @property frames whole pictures sent or received; video only
 * @property keyFrames those of them that a decoder can begin with
 * @property keyFramesAsked key frames that we asked for because of losses; inbound video only
 * @property freezes times without a picture for a second; inbound video only
 * @property concealedSamples samples at 48 kHz that were made up because their packet did not come in time;
 *   inbound audio only
 */
public data class TrackStats(
    val trackId: String,
    val kind: String,
    val direction: String,
    val packets: Long,
    val bytes: Long,
    val packetsLost: Long,
    val retransmittedPackets: Long,
    val retransmittedBytes: Long,
    val fractionLost: Double?,
    val jitterMs: Double?,
    val roundTripTimeMs: Double?,
    val targetBitrate: Long?,
    val frames: Long,
    val keyFrames: Long,
    val keyFramesAsked: Long,
    val freezes: Long,
    val concealedSamples: Long,
)

/**
 * Figures of a connection at one moment. The counters are of the present transport.
 *
 * @property selectedPair the pair in use; `null` without a path
 * @property bytesSent bytes sent, all protocols above UDP
 * @property bytesReceived bytes received
 * @property packetsSent datagrams sent
 * @property packetsReceived datagrams received
 * @property packetsLost media packets known to be lost on the way to us, all tracks
 * @property availableOutgoingBitrate bits per second that the path to the remote is believed to carry; `null`
 *   without tracks to send
 * @property channels per data channel
 * @property tracks per track and direction
 */
public data class ConnectionStats(
    val selectedPair: CandidatePairStats?,
    val bytesSent: Long,
    val bytesReceived: Long,
    val packetsSent: Long,
    val packetsReceived: Long,
    val packetsLost: Long,
    val availableOutgoingBitrate: Long?,
    val channels: List<ChannelStats>,
    val tracks: List<TrackStats>,
)

private fun NativeCandidateStats.toPublic() =
    CandidateStats(CandidateType.entries[candidateType.ordinal], address, port.toInt(), protocol, relayUrl)

private fun NativeChannelStats.toPublic() = ChannelStats(
    label, streamId.toInt(), messagesSent.toLong(), bytesSent.toLong(), messagesReceived.toLong(),
    bytesReceived.toLong(),
)

private fun NativeTrackStats.toPublic() = TrackStats(
    trackId, kind, direction, packets.toLong(), bytes.toLong(), packetsLost, retransmittedPackets.toLong(),
    retransmittedBytes.toLong(), fractionLost, jitterMs, roundTripTimeMs, targetBitrate?.toLong(),
    frames.toLong(), keyFrames.toLong(), keyFramesAsked.toLong(), freezes.toLong(), concealedSamples.toLong(),
)

internal fun NativeConnectionStats.toPublic() = ConnectionStats(
    selectedPair?.let { CandidatePairStats(it.local.toPublic(), it.remote.toPublic(), it.roundTripTimeMs) },
    bytesSent.toLong(),
    bytesReceived.toLong(),
    packetsSent.toLong(),
    packetsReceived.toLong(),
    packetsLost,
    availableOutgoingBitrate?.toLong(),
    channels.map { it.toPublic() },
    tracks.map { it.toPublic() },
)

/**
 * Figures of a remote's track of pictures, since it came.
 *
 * @property framesReceived whole pictures
 * @property keyFramesReceived those of them that a decoder can begin with
 * @property bytesReceived bytes of RTP payload
 * @property packetsReceived RTP packets
 * @property packetsLost packets that never came, nor their retransmissions in time
 * @property keyFramesAsked times that a key frame was asked for because of losses
 * @property freezes times without a picture for a second
 * @property jitterMs variation of the transit time (RFC 3550 section 6.4.1)
 */
public data class VideoStats(
    val framesReceived: Long,
    val keyFramesReceived: Long,
    val bytesReceived: Long,
    val packetsReceived: Long,
    val packetsLost: Long,
    val keyFramesAsked: Long,
    val freezes: Long,
    val jitterMs: Double,
)

internal fun NativeVideoStats.toPublic() = VideoStats(
    framesReceived.toLong(), keyFramesReceived.toLong(), bytesReceived.toLong(), packetsReceived.toLong(),
    packetsLost.toLong(), keyFramesAsked.toLong(), freezes.toLong(), jitterMs,
)

/**
 * Figures of a remote's track of sound, since it came. What was made up and the delay are those of the output
 * that was opened last.
 *
 * @property packetsReceived RTP packets, duplicates too
 * @property bytesReceived bytes of RTP payload
 * @property packetsLost packets that did not come, or not yet
 * @property jitterMs variation of the transit time (RFC 3550 section 6.4.1)
 * @property concealedSamples samples at 48 kHz that were made up for lost packets
 * @property concealments times that this began
 * @property delayMs from a packet's arrival on the fastest way to its sound
 */
public data class AudioStats(
    val packetsReceived: Long,
    val bytesReceived: Long,
    val packetsLost: Long,
    val jitterMs: Double,
    val concealedSamples: Long,
    val concealments: Long,
    val delayMs: Double,
)

internal fun NativeAudioStats.toPublic() = AudioStats(
    packetsReceived.toLong(), bytesReceived.toLong(), packetsLost.toLong(), jitterMs, concealedSamples.toLong(),
    concealments.toLong(), delayMs,
)

/**
 * Figures of an [AudioOutput], since it was opened. Samples are at 48 kHz.
 *
 * @property packetsReceived packets that arrived, whatever became of them
 * @property packetsLate packets that came after their time, or were skipped to bound the delay
 * @property packetsDuplicate packets that came again
 * @property packetsBroken packets that were not Opus, or that the codec refused
 * @property playedSamples samples played from packets
 * @property fecSamples samples that the copy in a later packet stood in for
 * @property concealedSamples samples that were concealed
 * @property concealments stretches of concealment
 * @property comfortSamples samples of comfort noise
 * @property hurriedSamples samples left out to shorten the delay
 * @property waitedSamples samples added to lengthen it
 * @property restarts streams that ended in a jump of sequence or time
 * @property jitterMs variation of the transit time (RFC 3550 section 6.4.1)
 * @property targetDelayMs what the delay is steered to
 * @property delayMs the delay of the last packet that was played
 */
public data class PlayoutStats(
    val packetsReceived: Long,
    val packetsLate: Long,
    val packetsDuplicate: Long,
    val packetsBroken: Long,
    val playedSamples: Long,
    val fecSamples: Long,
    val concealedSamples: Long,
    val concealments: Long,
    val comfortSamples: Long,
    val hurriedSamples: Long,
    val waitedSamples: Long,
    val restarts: Long,
    val jitterMs: Double,
    val targetDelayMs: Double,
    val delayMs: Double,
)

internal fun NativePlayoutStats.toPublic() = PlayoutStats(
    packetsReceived.toLong(), packetsLate.toLong(), packetsDuplicate.toLong(), packetsBroken.toLong(),
    playedSamples.toLong(), fecSamples.toLong(), concealedSamples.toLong(), concealments.toLong(),
    comfortSamples.toLong(), hurriedSamples.toLong(), waitedSamples.toLong(), restarts.toLong(), jitterMs,
    targetDelayMs, delayMs,
)
