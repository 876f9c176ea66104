package ca.metered.realtime

import java.nio.ByteBuffer
import kotlin.math.abs
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

private val STEREO = PcmFormat(44_100, 2)

class TracksTest {
    /** Pulls half seconds until one fits. */
    private suspend fun hear(pull: (ShortArray) -> Unit, fits: (List<Double>) -> Boolean) = within {
        val heard = ArrayList<Double>()
        paced {
            ShortArray(480).also(pull).forEach { heard += it / 32_768.0 }
            val isWhole = heard.size == 24_000
            val isOver = isWhole && fits(heard)
            if (isWhole) heard.clear()
            !isOver
        }
    }

    private suspend inline fun <reified Track : RemoteTrack> added(events: Collected<RemoteEvent>): Track =
        events.of<RemoteEvent.TrackAdded> { it.track is Track }.track as Track

    @Test
    fun `pictures arrive byte for byte, first a key frame, with their rotation`() = test { server ->
        val pair = pair(server)
        val track = LocalVideoTrack(VideoCodec.VP8)
        val stream = MediaStream(listOf(track))
        val said = JsonObject(mapOf("from" to JsonPrimitive("camera")))
        pair.alice.addTrack(track, stream, said)
        val filming = film(track, rotationDegrees = 90)
        pair.meet()
        val remote = Collected(this, pair.aliceAtBob.events)
        val event = remote.of<RemoteEvent.TrackAdded>()
        assertEquals("video" to said, event.kind to event.metadata)
        assertEquals(listOf(stream.id), event.streamIds)
        assertEquals(said, pair.alice.trackMetadata(track))
        val video = event.track as RemoteVideoTrack
        val frames = within { video.frames.filterIsInstance<FrameEvent.Frame>().take(60).toList() }
        assertTrue(frames.first().unit.keyFrame)
        for ((unit) in frames) {
            assertTrue(CLIP.any { it.contentEquals(unit.data) }, "a picture is torn")
            assertEquals(90 to VideoCodec.VP8, unit.rotationDegrees to unit.codec)
        }
        assertTrue(frames.zipWithNext().all { (one, two) -> one.unit.timestampUs < two.unit.timestampUs })
        within { while (video.stats.framesReceived < 60) delay(10) }
        // Another collector is another sink, and begins with a key frame too.
        assertTrue(within { video.frames.filterIsInstance<FrameEvent.Frame>().first() }.unit.keyFrame)
        within { while (track.target("bob") == null) delay(10) }
        val figures = within { pair.bobAtAlice.stats() }
        assertTrue(figures.tracks.any { it.kind == "video" && it.direction == "outbound" && it.packets > 0 })
        filming.cancelAndJoin()
        pair.shutdown()
    }

    @Test
    fun `a track tells what its remotes need, is muted, replaced and removed`() = test { server ->
        val pair = pair(server)
        val track = LocalVideoTrack(VideoCodec.VP8, "camera")
        assertEquals("camera", track.id)
        pair.alice.addTrack(track)
        pair.alice.addTrack(track)
        val events = Collected(this, track.events)
        pair.meet()
        val remote = Collected(this, pair.aliceAtBob.events)
        val video = added<RemoteVideoTrack>(remote)
        events.of<LocalTrackEvent.CodecAgreed> { it.peerId == "bob" }
        val frames = Collected(this, video.frames)
        events.of<LocalTrackEvent.KeyFrameWanted>()
        var number = 0L
        /** Writes the first picture until it is seen; what else came. */
        suspend fun seen(from: LocalVideoTrack): List<FrameEvent> = within {
            val others = mutableListOf<FrameEvent>()
            while (true) {
                from.write(ByteBuffer.wrap(CLIP[0]), number++ * 40_000)
                delay(10)
                val event = frames.channel.tryReceive().getOrNull() ?: continue
                if (event is FrameEvent.Frame && event.unit.data.contentEquals(CLIP[0])) break
                others += event
            }
            others
        }
        seen(track)
        track.setMuted(true)
        repeat(20) { track.write(CLIP[it], number++ * 40_000) }
        frames.of<FrameEvent.Frozen>()
        track.setMuted(false)
        events.of<LocalTrackEvent.KeyFrameWanted>()
        assertTrue(FrameEvent.Resumed in seen(track))

        val other = LocalVideoTrack(VideoCodec.VP8)
        pair.alice.replaceTrack(track, other)
        seen(other)
        val h264 = LocalVideoTrack(VideoCodec.H264)
        val error = assertThrows<MeteredPeerReplaceTrackException> { pair.alice.replaceTrack(other, h264) }
        assertEquals(listOf("bob"), error.failed)
        pair.alice.removeTrack(other)
        remote.of<RemoteEvent.TrackRemoved>()
        frames.channel.run { within { while (!isClosedForReceive) tryReceive().getOrNull() ?: delay(10) } }
        pair.shutdown()
    }

    @Test
    fun `what is no picture, PCM or track is an error that says so`() = test { server ->
        val (video, audio) = LocalVideoTrack(VideoCodec.VP8) to LocalAudioTrack()
        val peer = server.peer("alice")
        peer.addTrack(video)
        val wrong = mapOf<String, () -> Unit>(
            "access_unit_empty" to { video.write(ByteArray(0), 0) },
            "invalid_argument" to { video.write(CLIP[0], 0, rotationDegrees = 45) },
            "audio_format" to { audio.write(ShortArray(480), PcmFormat(96_000, 1)) },
            "audio_chunk_uneven" to { audio.write(ShortArray(481), STEREO) },
            "opus_packet_size" to { audio.writeOpus(ByteArray(0), 0) },
            "audio_bitrate" to { audio.encoding = OpusEncoding(bitrateBps = 1) },
        )
        for ((code, call) in wrong) assertEquals(code, assertThrows<InvalidArgumentException>(call).code)
        val attached = assertThrows<MeteredPeerStateException> { peer.addTrack(video, MediaStream(listOf(video))) }
        assertEquals("track_already_attached", attached.code)
        val text = assertThrows<MeteredPeerSendException> { peer.addTrack(audio, metadata = JsonPrimitive("me")) }
        assertEquals("invalid_args", text.code)
        assertEquals(OpusEncoding(), audio.encoding)
        within { peer.shutdown() }
        assertThrows<MeteredPeerStateException> { peer.addTrack(audio) }
        audio.close()
        within { video.shutdown() }
        assertTrue(within { video.events.toList() }.none { it is LocalTrackEvent.CodecAgreed })
    }

    @Test
    fun `a tone is heard as it was written, in every rate, alone and mixed`() = test { server ->
        val pair = pair(server)
        val (low, high) = LocalAudioTrack() to LocalAudioTrack()
        for (track in listOf(low, high)) track.encoding = OpusEncoding(music = true, dtx = false)
        pair.alice.addTrack(low)
        pair.bob.addTrack(high)
        pair.meet()
        sing(low, 440.0, STEREO)
        sing(high, 1_700.0, MONO)
        val atBob = added<RemoteAudioTrack>(Collected(this, pair.aliceAtBob.events))
        val atAlice = added<RemoteAudioTrack>(Collected(this, pair.bobAtAlice.events))
        atBob.playout(MONO).use { output ->
            hear(output::pull) { toneShare(440.0, 48_000, it) > 0.9 && abs(output.level.rmsDbfs + 15) < 3 }
            assertTrue(atBob.stats.packetsReceived > 0 && output.stats.playedSamples > 0)
            low.setMuted(true)
            hear(output::pull) { it.all { sample -> abs(sample) < 1e-2 } }
            low.setMuted(false)
            hear(output::pull) { toneShare(440.0, 48_000, it) > 0.9 }
        }
        AudioMix(MONO).use { mix ->
            mix.add(atBob)
            val input = mix.add(atAlice)
            hear(mix::pull) { toneShare(440.0, 48_000, it) > 0.25 && toneShare(1_700.0, 48_000, it) > 0.25 }
            mix.setGain(input, 0f)
            hear(mix::pull) { toneShare(440.0, 48_000, it) > 0.9 }
            mix.remove(input)
            assertEquals(1, mix.inputs)
            assertThrows<InvalidArgumentException> { mix.pull(ShortArray(48_001)) }
        }
        val packets = within { atBob.packets.filterIsInstance<PacketEvent.Packet>().take(10).toList() }
        assertTrue(packets.all { it.packet.payload.isNotEmpty() })
        pair.shutdown()
    }

    @Test
    fun `ready Opus packets pass as they are`() = test { server ->
        val pair = pair(server)
        val track = LocalAudioTrack()
        pair.alice.addTrack(track)
        pair.meet()
        val audio = added<RemoteAudioTrack>(Collected(this, pair.aliceAtBob.events))
        val packets = Collected(this, audio.packets)
        val silence = byteArrayOf(0xf8.toByte(), 0xff.toByte(), 0xfe.toByte())
        val writing = launch {
            for (n in 0L until 10_000) {
                track.writeOpus(silence, n * 20_000, begins = n == 0L)
                delay(20)
            }
        }
        assertArrayEquals(silence, packets.of<PacketEvent.Packet>().packet.payload)
        writing.cancelAndJoin()
        pair.shutdown()
    }

    @Test
    fun `what MediaCodec gives becomes pictures, SPS and PPS before each key frame`() = test { server ->
        val pair = pair(server)
        val track = LocalVideoTrack(VideoCodec.H264)
        pair.alice.addTrack(track)
        pair.meet()
        val video = added<RemoteVideoTrack>(Collected(this, pair.aliceAtBob.events))
        val frames = Collected(this, video.frames)
        val output = MediaCodecOutput(track)
        val (config, key) = byteArrayOf(0, 0, 0, 1, 0x67, 66, 0, 10, 0, 0, 0, 1, 0x68, 1) to byteArrayOf(0, 0, 0, 1, 0x65, 7, 8)
        output.write(ByteBuffer.wrap(config), 0, 2)
        val writing = launch {
            for (n in 0L until 10_000) {
                output.write(ByteBuffer.wrap(key), n * 40_000, 1)
                delay(10)
            }
        }
        val unit = frames.of<FrameEvent.Frame>().unit
        assertArrayEquals(config + key, unit.data)
        writing.cancelAndJoin()
        pair.shutdown()
    }
}
