package ca.metered.realtime

import ca.metered.realtime.ffi.Level as NativeLevel
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * What interleaved PCM is made of.
 *
 * @property sampleRateHz samples per second and channel, from 8,000 to 48,000
 * @property channels one or two
 */
public data class PcmFormat(val sampleRateHz: Int, val channels: Int) {
    /** Samples of all channels in so many milliseconds. */
    public fun samplesIn(milliseconds: Int): Int = sampleRateHz * milliseconds / 1_000 * channels
}

internal fun PcmFormat.rate(): UInt = sampleRateHz.coerceAtLeast(0).toUInt()

/** What is no number of channels stays none. */
internal fun PcmFormat.channels(): UByte = channels.coerceIn(0, 255).toUByte()

/**
 * How loud sound is, in decibels below full scale: 0 is full scale, -127 is silence.
 *
 * @property rmsDbfs root mean square
 * @property peakDbfs the highest sample
 */
public data class AudioLevel(val rmsDbfs: Float, val peakDbfs: Float)

internal fun NativeLevel.toPublic() = AudioLevel(rmsDbfs, peakDbfs)

private fun buffer(bytes: Int) = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN)

private fun ByteArray.littleEndian() = ByteBuffer.wrap(this).order(ByteOrder.LITTLE_ENDIAN)

internal fun ShortArray.bytes(): ByteArray =
    buffer(size * Short.SIZE_BYTES).also { it.asShortBuffer().put(this) }.array()

internal fun FloatArray.bytes(): ByteArray =
    buffer(size * Float.SIZE_BYTES).also { it.asFloatBuffer().put(this) }.array()

/** What is left in the buffer, which is then used up. */
internal fun ByteBuffer.bytes(): ByteArray = ByteArray(remaining()).also { get(it) }

internal fun ByteArray.into(pcm: ShortArray) {
    littleEndian().asShortBuffer().get(pcm)
}

internal fun ByteArray.into(pcm: FloatArray) {
    littleEndian().asFloatBuffer().get(pcm)
}
