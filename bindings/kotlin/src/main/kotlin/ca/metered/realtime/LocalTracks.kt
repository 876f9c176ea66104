package ca.metered.realtime

import ca.metered.realtime.ffi.LocalAudioTrack as NativeAudio
import ca.metered.realtime.ffi.LocalTrack as NativeTrack
import ca.metered.realtime.ffi.LocalTrackEvent as NativeEvent
import ca.metered.realtime.ffi.LocalVideoTrack as NativeVideo
import ca.metered.realtime.ffi.MediaStream as NativeStream
import ca.metered.realtime.ffi.OpusApplication
import ca.metered.realtime.ffi.OpusOptions as NativeOpusOptions
import ca.metered.realtime.ffi.Target as NativeTarget
import ca.metered.realtime.ffi.TrackBitrate as NativeBitrate
import ca.metered.realtime.ffi.TrackPriority as NativePriority
import ca.metered.realtime.ffi.VideoCodec as NativeCodec
import java.io.Closeable
import java.nio.ByteBuffer
import java.util.UUID
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.launch

/**
 * A codec of video.
 *
 * @property mimeType its name in descriptions, such as `video/VP8`
 */
public enum class VideoCodec(public val mimeType: String) {
    /** VP8 (RFC 6386). */
    VP8("video/VP8"),

    /** VP9. */
    VP9("video/VP9"),

    /** H.264. */
    H264("video/H264"),

    /** AV1. */
    AV1("video/AV1"),
}

internal fun NativeCodec.toPublic() = VideoCodec.entries[ordinal]

internal fun VideoCodec.toNative() = NativeCodec.entries[ordinal]

/**
 * What an encoder shall make.
 *
 * @property bitsPerSecond bits per second; 0 for nothing at all
 * @property frameRate pictures per second that look best at this bitrate; 0 for sound
 */
public data class Target(val bitsPerSecond: Long, val frameRate: Int)

private fun NativeTarget.toPublic() = Target(bitsPerSecond.toLong(), frameRate.toInt())

/** Who gets more when there is too little. */
public enum class TrackPriority {
    /** Half of low. */
    VERY_LOW,

    /** What tracks have. */
    LOW,

    /** Twice low. */
    MEDIUM,

    /** Four times low. */
    HIGH,
}

/**
 * What a track wants of the bits to each remote. Tracks have 30 kbit/s to 2.5 Mbit/s for pictures and 16 to
 * 64 kbit/s for sound before it is set.
 *
 * @property minimumBps bits per second below which it is of no use. Sound gets them always; a picture gets them
 *   or nothing, but for the most important one, which goes on with what there is
 * @property maximumBps bits per second beyond which it does not get better; not below the minimum
 * @property priority who gets more when there is too little
 */
public data class TrackBitrate(
    val minimumBps: Long,
    val maximumBps: Long,
    val priority: TrackPriority = TrackPriority.LOW,
)

private fun TrackBitrate.toNative() = NativeBitrate(
    NativePriority.entries[priority.ordinal],
    minimumBps.coerceAtLeast(0).toULong(),
    maximumBps.coerceAtLeast(0).toULong(),
)

/** What a local track is told by its remotes. */
public sealed interface LocalTrackEvent {
    /** The encoder shall make its next picture a key frame. At most one per 300 ms. */
    public data object KeyFrameWanted : LocalTrackEvent

    /**
     * A remote takes the track.
     *
     * @property peerId the remote
     */
    public data class CodecAgreed(val peerId: String) : LocalTrackEvent

    /**
     * A remote cannot take the track's codec and gets nothing of it.
     *
     * @property peerId the remote
     * @property codec such as `video/H264`
     */
    public data class CodecNotSupported(val peerId: String, val codec: String) : LocalTrackEvent

    /**
     * What a remote's path has room for changed: by a tenth or more, and at most twice a second but for falls.
     *
     * @property peerId the remote; `null` for all of them, as the slowest decides
     * @property target what an encoder shall make
     */
    public data class TargetBitrate(val peerId: String?, val target: Target) : LocalTrackEvent

    /**
     * Events were not taken fast enough: so many of the oldest were dropped.
     *
     * @property missed how many
     */
    public data class Lagged(val missed: Long) : LocalTrackEvent
}

private fun NativeEvent.toPublic(): LocalTrackEvent = when (this) {
    is NativeEvent.KeyFrameWanted -> LocalTrackEvent.KeyFrameWanted
    is NativeEvent.CodecAgreed -> LocalTrackEvent.CodecAgreed(peerId)
    is NativeEvent.CodecNotSupported -> LocalTrackEvent.CodecNotSupported(peerId, codec)
    is NativeEvent.TargetBitrate ->
        LocalTrackEvent.TargetBitrate(peerId, Target(bitsPerSecond.toLong(), frameRate.toInt()))
    is NativeEvent.Lagged -> LocalTrackEvent.Lagged(missed.toLong())
}

/** A track that we send, of either kind. */
public sealed interface LocalTrack : Closeable {
    /** Its id, which differs from every other track's. */
    public val id: String

    /**
     * What the remotes need, for any number of collectors. Events from before the first one wait for it; from
     * then on up to 1,024 wait, beyond that [LocalTrackEvent.Lagged] says how many were dropped.
     */
    public val events: Flow<LocalTrackEvent>

    /** The worst share of packets lost, 0 to 1, of what the remotes last reported. */
    public val reportedLoss: Double

    /** Stops or resumes sending. Its remotes keep the track. */
    public fun setMuted(muted: Boolean)

    /**
     * What an encoder for all remotes shall make, as the slowest decides; for one remote if its id is given.
     * `null` while nobody, or it, gets the track.
     */
    public fun target(peerId: String? = null): Target?

    /** Priority and bounds. They count from the next report of each remote on. */
    public fun setBitrate(bitrate: TrackBitrate)

    /** Ends [events]; a peer that sends the track goes on with it. A second call does nothing. */
    public suspend fun shutdown()
}

internal fun LocalTrack.toNative(): NativeTrack = when (this) {
    is LocalVideoTrack -> NativeTrack.Video(native)
    is LocalAudioTrack -> NativeTrack.Audio(native)
}

/**
 * Pictures for the remotes, from an encoder of the app.
 *
 * ```
 * val track = LocalVideoTrack(VideoCodec.VP8)
 * peer.addTrack(track)
 * launch { track.events.collect { if (it is LocalTrackEvent.KeyFrameWanted) encoder.makeKeyFrame() } }
 * track.write(encoded, timestampUs)
 * ```
 */
public class LocalVideoTrack private constructor(internal val native: NativeVideo) : LocalTrack {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)

    /** A track of a codec, with this id or with one of its own. */
    public constructor(codec: VideoCodec, id: String? = null) : this(native { NativeVideo(codec.toNative(), id) })

    override val id: String get() = native { native.id() }

    /** Its codec. */
    public val codec: VideoCodec get() = native { native.codec() }.toPublic()

    override val events: Flow<LocalTrackEvent> =
        Inbox(scope, { max -> native { native.nextEvents(max) } }, { it.toPublic() }).events

    /**
     * Hands a picture to every remote, and never waits: a remote that is too slow misses it and gets the next
     * key frame, which is asked for.
     *
     * @param data one access unit: a VP8 or VP9 frame; H.264 in Annex B, or AVCC with lengths of four bytes;
     *   AV1 OBUs with their sizes
     * @param timestampUs when it was taken, in microseconds on a clock of the track's own
     * @param keyFrame whether a decoder can begin with it; `null` to have that read from the bitstream
     * @param rotationDegrees how far the remotes turn it clockwise: 0, 90, 180 or 270
     */
    public fun write(
        data: ByteArray,
        timestampUs: Long,
        keyFrame: Boolean? = null,
        rotationDegrees: Int = 0,
    ): Unit = native {
        val rotation = rotationDegrees.coerceIn(0, 0xffff).toUShort()
        native.write(data, timestampUs.coerceAtLeast(0).toULong(), keyFrame, rotation)
    }

    /** As the other [write], for what is left in a buffer, as Android's `MediaCodec` gives it. */
    public fun write(
        data: ByteBuffer,
        timestampUs: Long,
        keyFrame: Boolean? = null,
        rotationDegrees: Int = 0,
    ): Unit = write(data.bytes(), timestampUs, keyFrame, rotationDegrees)

    override val reportedLoss: Double get() = native { native.reportedLoss() }

    override fun setMuted(muted: Boolean): Unit = native { native.setMuted(muted) }

    override fun target(peerId: String?): Target? = native { native.target(peerId) }?.toPublic()

    override fun setBitrate(bitrate: TrackBitrate): Unit = native { native.setBitrate(bitrate.toNative()) }

    override suspend fun shutdown(): Unit = native { native.shutdown() }

    /** Starts [shutdown] and does not wait for its end. */
    override fun close() {
        scope.launch { shutdown() }
    }
}

/**
 * How sound is encoded.
 *
 * @property music whether it is more than speech: true to the original rather than intelligible
 * @property bitrateBps bits per second, from 6,000 to 128,000
 * @property dtx whether a packet every 400 ms is enough in silence
 */
public data class OpusEncoding(
    val music: Boolean = false,
    val bitrateBps: Int = 32_000,
    val dtx: Boolean = true,
)

/**
 * Sound for the remotes: PCM that the track encodes, or Opus packets of the app. Not both: their clocks
 * differ.
 *
 * ```
 * val track = LocalAudioTrack()
 * peer.addTrack(track)
 * track.write(samples, PcmFormat(48_000, channels = 1)) // from the thread of the microphone
 * ```
 */
public class LocalAudioTrack private constructor(internal val native: NativeAudio) : LocalTrack {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)

    /** A track with this id or with one of its own. */
    public constructor(id: String? = null) : this(native { NativeAudio(id) })

    override val id: String get() = native { native.id() }

    override val events: Flow<LocalTrackEvent> =
        Inbox(scope, { max -> native { native.nextEvents(max) } }, { it.toPublic() }).events

    /** How PCM is encoded; set, it holds from the next packet on. */
    public var encoding: OpusEncoding
        get() = native { native.encoding() }.let {
            OpusEncoding(it.application == OpusApplication.MUSIC, it.bitrateBps.toInt(), it.dtx)
        }
        set(wanted) = native {
            val application = if (wanted.music) OpusApplication.MUSIC else OpusApplication.VOICE
            val bitrate = wanted.bitrateBps.coerceAtLeast(0).toUInt()
            native.setEncoding(NativeOpusOptions(application, bitrate, wanted.dtx))
        }

    /** How loud the last 100 ms of PCM were; silence while muted, and when nothing is written. */
    public val level: AudioLevel get() = native { native.level() }.toPublic()

    /**
     * Takes interleaved PCM in chunks of any size as it is recorded, encodes it and hands it to every remote.
     * Never waits, and takes as long as the encoder does: about a sixtieth of what the sound lasts. What is
     * written while muted is dropped.
     */
    public fun write(pcm: ShortArray, format: PcmFormat): Unit =
        native { native.writePcmI16(format.rate(), format.channels(), pcm.bytes()) }

    /** As the other [write], for samples from -1.0 to 1.0. */
    public fun write(pcm: FloatArray, format: PcmFormat): Unit =
        native { native.writePcmF32(format.rate(), format.channels(), pcm.bytes()) }

    /** As the other [write], for what is left in a buffer: 16 bits per sample, in little-endian order. */
    public fun write(pcm: ByteBuffer, format: PcmFormat): Unit =
        native { native.writePcmI16(format.rate(), format.channels(), pcm.bytes()) }

    /**
     * Hands an Opus packet to every remote. Never waits.
     *
     * @param timestampUs the time of its first sample, in microseconds on a clock of the track's own
     * @param begins whether it follows silence
     */
    public fun writeOpus(packet: ByteArray, timestampUs: Long, begins: Boolean = false): Unit =
        native { native.writeOpus(packet, timestampUs.coerceAtLeast(0).toULong(), begins) }

    override val reportedLoss: Double get() = native { native.reportedLoss() }

    override fun setMuted(muted: Boolean): Unit = native { native.setMuted(muted) }

    override fun target(peerId: String?): Target? = native { native.target(peerId) }?.toPublic()

    override fun setBitrate(bitrate: TrackBitrate): Unit = native { native.setBitrate(bitrate.toNative()) }

    override suspend fun shutdown(): Unit = native { native.shutdown() }

    /** Starts [shutdown] and does not wait for its end. */
    override fun close() {
        scope.launch { shutdown() }
    }
}

/**
 * Tracks that belong together: a remote plays them in time with each other.
 *
 * @property tracks its tracks
 * @property id its id, which differs from every other stream's
 */
public class MediaStream(
    public val tracks: List<LocalTrack>,
    public val id: String = UUID.randomUUID().toString(),
) {
    override fun toString(): String = "MediaStream($id, ${tracks.size} tracks)"
}

internal fun MediaStream.toNative() = NativeStream(id, tracks.map { it.toNative() })
