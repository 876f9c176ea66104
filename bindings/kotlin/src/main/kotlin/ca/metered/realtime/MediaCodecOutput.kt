package ca.metered.realtime

import java.nio.ByteBuffer

/** `MediaCodec.BUFFER_FLAG_KEY_FRAME`. */
private const val KEY_FRAME = 1

/** `MediaCodec.BUFFER_FLAG_CODEC_CONFIG`. */
private const val CODEC_CONFIG = 2

/**
 * Hands what Android's `MediaCodec` has encoded to a track. For one encoder, and one thread at a time; it needs no
 * class of Android's, and was never tried on a device.
 *
 * ```
 * val output = MediaCodecOutput(camera)
 * // in onOutputBufferAvailable:
 * output.write(codec.getOutputBuffer(index)!!, info.presentationTimeUs, info.flags)
 * codec.releaseOutputBuffer(index, false)
 * ```
 *
 * @property track where the pictures go; of the encoder's codec
 */
public class MediaCodecOutput(public val track: LocalVideoTrack) {
    private var config = ByteArray(0)

    /**
     * Takes an output buffer. One with codec configuration is kept: of H.264 it is SPS and PPS, which go before
     * each key frame.
     *
     * @param flags those of the buffer's `MediaCodec.BufferInfo`
     */
    public fun write(data: ByteBuffer, presentationTimeUs: Long, flags: Int, rotationDegrees: Int = 0) {
        val isKeyFrame = flags and KEY_FRAME != 0
        when {
            !data.hasRemaining() -> return
            flags and CODEC_CONFIG == 0 -> {
                val picture = data.bytes()
                val unit = if (isKeyFrame && track.codec == VideoCodec.H264) config + picture else picture
                track.write(unit, presentationTimeUs, isKeyFrame, rotationDegrees)
            }
            else -> config = data.bytes()
        }
    }
}
