package ca.metered.realtime

import ca.metered.realtime.ffi.AudioMix as NativeMix
import ca.metered.realtime.ffi.AudioOutput as NativeOutput
import ca.metered.realtime.ffi.FrameEvent as NativeFrameEvent
import ca.metered.realtime.ffi.JitterBounds as NativeBounds
import ca.metered.realtime.ffi.PacketEvent as NativePacketEvent
import ca.metered.realtime.ffi.RemoteAudioTrack as NativeAudio
import ca.metered.realtime.ffi.RemoteMedia as NativeMedia
import ca.metered.realtime.ffi.RemoteVideoTrack as NativeVideo
import java.io.Closeable
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow

internal const val MEDIA_BATCH = 16u

/** What comes on a track that a remote sends: pictures or sound. */
public sealed interface RemoteTrack

internal fun NativeMedia.toPublic(): RemoteTrack = when (this) {
    is NativeMedia.Video -> RemoteVideoTrack(track)
    is NativeMedia.Audio -> RemoteAudioTrack(track)
}

/** A flow of which each collector has a sink of its own, from its first moment to its last. */
internal fun <Sink : AutoCloseable, Native : Any, Event : Any> sinks(
    open: () -> Sink,
    pull: suspend (Sink) -> List<Native>,
    convert: (Native) -> Event,
): Flow<Event> = flow {
    native(open).use { sink ->
        while (true) {
            val batch = native { pull(sink) }
            if (batch.isEmpty()) break
            for (event in batch) emit(convert(event))
        }
    }
}

/**
 * One picture, encoded: what a decoder takes at once.
 *
 * @property codec the codec
 * @property data the bitstream. H.264 is Annex B, AV1 is OBUs with their sizes
 * @property timestampUs when it was taken, in microseconds on the sender's clock
 * @property keyFrame whether a decoder can begin here
 * @property rotationDegrees how far it must be turned clockwise: 0, 90, 180 or 270
 */
public class AccessUnit internal constructor(
    public val codec: VideoCodec,
    public val data: ByteArray,
    public val timestampUs: Long,
    public val keyFrame: Boolean,
    public val rotationDegrees: Int,
) {
    override fun toString(): String = "AccessUnit($codec, ${data.size} bytes, $timestampUs µs, key $keyFrame)"
}

/** What a remote's track of pictures has to say. */
public sealed interface FrameEvent {
    /**
     * A picture, in decode order. A collector's first one is a key frame, and after a gap too.
     *
     * @property unit the picture
     */
    public data class Frame(val unit: AccessUnit) : FrameEvent

    /** No picture came for a second. */
    public data object Frozen : FrameEvent

    /** Pictures come again. */
    public data object Resumed : FrameEvent

    /**
     * This collector was too slow: so many events are lost. It goes on with a key frame.
     *
     * @property missed how many
     */
    public data class Lagged(val missed: Long) : FrameEvent
}

internal fun NativeFrameEvent.toPublic(): FrameEvent = when (this) {
    is NativeFrameEvent.Frame -> FrameEvent.Frame(
        AccessUnit(
            unit.codec.toPublic(), unit.data, unit.timestampUs.toLong(), unit.keyFrame,
            unit.rotationDegrees.toInt(),
        ),
    )
    is NativeFrameEvent.Frozen -> FrameEvent.Frozen
    is NativeFrameEvent.Resumed -> FrameEvent.Resumed
    is NativeFrameEvent.Lagged -> FrameEvent.Lagged(missed.toLong())
}

/** Pictures from a remote, encoded as they came. */
public class RemoteVideoTrack internal constructor(private val native: NativeVideo) : RemoteTrack {
    /**
     * Pictures for one decoder. Each collector begins with the next key frame, which is asked for then, and
     * the first one with what just came, a second of it at most; a slow
     * one loses the oldest and is told. Ends with the track.
     */
    public val frames: Flow<FrameEvent> = sinks({ native.frames() }, { it.nextEvents(MEDIA_BATCH) }, { it.toPublic() })

    /** Figures since the track came. */
    public val stats: VideoStats get() = native { native.stats() }.toPublic()

    /** Asks the sender for a key frame, at most one per 300 ms. */
    public fun requestKeyFrame(): Unit = native { native.requestKeyFrame() }

    /**
     * Whether pictures wait for the sound of their stream; they do unless told otherwise. Then a picture is at most
     * 37 ms ahead of the sound that an [AudioOutput] or [AudioMix] plays, and held for half a second at most. Sound
     * never waits. Without, each picture comes as soon as it is whole: for a game, or for a screen that somebody
     * controls.
     */
    public fun setLipSync(on: Boolean): Unit = native { native.setLipSync(on) }
}

/**
 * An Opus packet.
 *
 * @property sequence counts packets, and wraps: tells what is lost or out of order
 * @property timestamp in samples at 48 kHz, and wraps
 * @property begins whether sound begins here after silence
 * @property payload the packet (RFC 6716 section 3)
 */
public class AudioPacket internal constructor(
    public val sequence: Int,
    public val timestamp: Long,
    public val begins: Boolean,
    public val payload: ByteArray,
) {
    override fun toString(): String = "AudioPacket($sequence, $timestamp, ${payload.size} bytes)"
}

/** What a remote's track of sound has to say. */
public sealed interface PacketEvent {
    /**
     * A packet, as it came: late ones and duplicates too.
     *
     * @property packet the packet
     */
    public data class Packet(val packet: AudioPacket) : PacketEvent

    /**
     * This collector was too slow: so many packets are lost.
     *
     * @property missed how many
     */
    public data class Lagged(val missed: Long) : PacketEvent
}

private fun NativePacketEvent.toPublic(): PacketEvent = when (this) {
    is NativePacketEvent.Packet -> PacketEvent.Packet(
        AudioPacket(packet.sequence.toInt(), packet.timestamp.toLong(), packet.begins, packet.payload),
    )
    is NativePacketEvent.Lagged -> PacketEvent.Lagged(missed.toLong())
}

/**
 * Bounds of the delay between a packet's arrival and its sound.
 *
 * @property minDelayMs the delay that is steered to is never below
 * @property maxDelayMs it is never above, and what waits longer is skipped; up to 5,000
 * @property startDelayMs the delay before anything was measured
 */
public data class JitterBounds(
    val minDelayMs: Long = 10,
    val maxDelayMs: Long = 500,
    val startDelayMs: Long = 40,
)

private fun Long.unsigned() = coerceAtLeast(0).toULong()

private fun JitterBounds.toNative() =
    NativeBounds(minDelayMs.unsigned(), maxDelayMs.unsigned(), startDelayMs.unsigned())

/** Sound from a remote. */
public class RemoteAudioTrack internal constructor(internal val native: NativeAudio) : RemoteTrack {
    /** The Opus packets from the collection on, as they come; the first collector also gets those of the last half second. Ends with the track. */
    public val packets: Flow<PacketEvent> = sinks({ native.packets() }, { it.nextEvents(MEDIA_BATCH) }, { it.toPublic() })

    /** How loud the last 100 ms were, as its outputs heard them; silence if nobody plays it. */
    public val level: AudioLevel get() = native { native.level() }.toPublic()

    /** Figures since the track came. */
    public val stats: AudioStats get() = native { native.stats() }.toPublic()

    /** Whether the remote sends it no more. */
    public val isEnded: Boolean get() = native { native.isEnded() }

    /**
     * A sink of PCM with a jitter buffer of its own. It begins with what came in the last half second if it is
     * the first.
     */
    public fun playout(format: PcmFormat, bounds: JitterBounds = JitterBounds()): AudioOutput =
        AudioOutput(native { native.playout(format.rate(), format.channels(), bounds.toNative()) }, format)
}

/**
 * A sink of PCM: a thread that plays pulls from it at its own pace, and what is lost or late on the way is
 * concealed. Close it when it is of no more use.
 *
 * @property format what PCM it gives
 */
public class AudioOutput internal constructor(
    private val native: NativeOutput,
    public val format: PcmFormat,
) : Closeable {
    /** How loud the last 100 ms were; silence if nothing was pulled for half a second. */
    public val level: AudioLevel get() = native { native.level() }.toPublic()

    /** What was counted and measured so far. */
    public val stats: PlayoutStats get() = native { native.stats() }.toPublic()

    /** Whether the remote sends the track no more. What is on its way to the ear is still to be pulled. */
    public val isEnded: Boolean get() = native { native.isEnded() }

    /**
     * Fills a chunk of up to one second with interleaved PCM whose first moment is heard now. Never waits;
     * after the track's end it fills in silence.
     */
    public fun pull(pcm: ShortArray): Unit = native { native.pullI16(pcm.size.toUInt()) }.into(pcm)

    /** As the other [pull], with samples from -1.0 to 1.0. */
    public fun pull(pcm: FloatArray): Unit = native { native.pullF32(pcm.size.toUInt()) }.into(pcm)

    override fun close(): Unit = native.close()
}

/**
 * A track in an [AudioMix].
 */
public class MixInput internal constructor(internal val number: ULong)

/**
 * Mixes remotes for one loudspeaker, each with a gain of its own. The thread that plays pulls, others add
 * tracks and turn the gains.
 *
 * @property format what PCM it gives
 */
public class AudioMix(public val format: PcmFormat) : Closeable {
    private val native = native { NativeMix(format.rate(), format.channels()) }

    /** How many tracks are in it. */
    public val inputs: Int get() = native { native.inputs() }.toInt()

    /** Adds a track, at gain 1. It leaves the mix by itself when it ends. */
    public fun add(track: RemoteAudioTrack): MixInput = MixInput(native { native.add(track.native) })

    /** Takes a track out. */
    public fun remove(input: MixInput): Unit = native { native.remove(input.number) }

    /**
     * How loud a track is: 0 is silent, 1 unchanged, 4 the most. It moves there within 10 ms, so that nothing
     * clicks.
     */
    public fun setGain(input: MixInput, gain: Float): Unit = native { native.setGain(input.number, gain) }

    /** Fills a chunk of up to one second with the sound whose first moment is heard now. Never waits. */
    public fun pull(pcm: ShortArray): Unit = native { native.pullI16(pcm.size.toUInt()) }.into(pcm)

    /** As the other [pull], with samples from -1.0 to 1.0. */
    public fun pull(pcm: FloatArray): Unit = native { native.pullF32(pcm.size.toUInt()) }.into(pcm)

    /** How loud it was since the last call. */
    public fun takeLevel(): AudioLevel = native { native.level() }.toPublic()

    override fun close(): Unit = native.close()
}
