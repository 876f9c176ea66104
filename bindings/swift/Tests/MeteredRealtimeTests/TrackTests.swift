import Foundation
import XCTest

@testable import MeteredRealtime

final class TrackTests: XCTestCase {
    override func tearDown() async throws { try await within { try await MeteredSDK.shutdownAll() } }

    func testPicturesArriveByteForByteWithTheirRotationFirstAKeyFrame() async throws {
        let server = try Server()
        let couple = try await Couple(server)
        let track = try LocalVideoTrack(.vp8)
        let stream = MediaStream([track])
        let said = try Payload(encoding: ["from": "camera"])
        try couple.alice.addTrack(track, in: stream, metadata: said)
        let filming = try film(track, rotationDegrees: 90)
        let (toBob, toAlice) = try await couple.meet()
        let added = try await toAlice.events.first { if case .trackAdded(let track) = $0 { track } else { nil } }
        XCTAssertEqual([added.kind] + added.streamIds, ["video", stream.id])
        XCTAssertEqual(try added.metadata?.json, ["from": "camera"])
        XCTAssertEqual(try couple.alice.trackMetadata(track)?.json, ["from": "camera"])
        XCTAssertEqual(try couple.alice.streamMetadata(stream)?.json, ["from": "camera"])
        guard case .video(let video) = added.media else { return XCTFail("not pictures") }
        let frames = try video.frames()
        let seen = try await within {
            var seen: [AccessUnit] = []
            for await case .frame(let unit) in frames where seen.count < 60 {
                seen.append(unit)
                if seen.count == 60 { break }
            }
            return seen
        }
        let pictures = Set(try clip())
        XCTAssertTrue(seen[0].keyFrame)
        XCTAssertTrue(seen.allSatisfy { pictures.contains($0.data) && $0.codec == .vp8 && $0.rotationDegrees == 90 })
        XCTAssertTrue(zip(seen, seen.dropFirst()).allSatisfy { $0.timestampUs < $1.timestampUs })
        try await until { try video.stats().framesReceived >= 60 }
        // Another stream is another sink, and begins with a key frame too.
        let first = try await video.frames().first { if case .frame(let unit) = $0 { unit } else { nil } }
        XCTAssertTrue(first.keyFrame)
        try await until { track.target(for: "bob") != nil && track.target != nil }
        XCTAssertNil(track.target(for: "nobody"))
        let stats = try await within { try await toBob.stats() }
        XCTAssertTrue(stats.tracks.contains { $0.kind == "video" && $0.direction == "outbound" && $0.frames > 0 })
        await filming.end()
        try await couple.shutdown()
    }

    func testATrackTellsWhatItsRemotesNeedAndIsMutedReplacedAndRemoved() async throws {
        let server = try Server()
        let couple = try await Couple(server)
        let track = try LocalVideoTrack(.vp8, id: "camera")
        XCTAssertEqual(track.id, "camera")
        try track.setBitrate(TrackBitrate(minimum: 50_000, maximum: 900_000, priority: .high))
        try couple.alice.addTrack(track)
        try couple.alice.addTrack(track)
        let events = track.events
        let (_, toAlice) = try await couple.meet()
        let atBob = toAlice.events
        let video = try await toAlice.video()
        _ = try await events.next { $0 == .codecAgreed(peerId: "bob") }
        let frames = try video.frames()
        _ = try await events.next { $0 == .keyFrameWanted }

        let key = try clip()[0]
        let clock = Locked(UInt64(0))
        @Sendable func write(_ track: LocalVideoTrack) throws {
            try track.write(key, timestampUs: clock.with { $0 += 40_000; return $0 })
        }
        @Sendable func seen(from track: LocalVideoTrack) async throws {
            let writing = Background {
                while true {
                    try write(track)
                    try await Task.sleep(for: .milliseconds(10))
                }
            }
            _ = try await frames.next { if case .frame(let unit) = $0 { unit.data == key } else { false } }
            await writing.end()
        }
        try await seen(from: track)
        try track.setMuted(true)
        for _ in 0..<20 { try write(track) }
        _ = try await frames.next { $0 == .frozen }
        try track.setMuted(false)
        _ = try await events.next { $0 == .keyFrameWanted }
        try write(track)
        _ = try await frames.next { $0 == .resumed }
        try await seen(from: track)

        let other = try LocalVideoTrack(.vp8)
        try couple.alice.replaceTrack(track, by: other)
        try await seen(from: other)
        let h264 = try LocalVideoTrack(.h264)
        let refused = try await failure { try couple.alice.replaceTrack(other, by: h264) }
        XCTAssertEqual(refused.kind, .replaceTrack(succeeded: [], failed: ["bob"]))
        try couple.alice.removeTrack(other)
        _ = try await atBob.next { if case .trackRemoved = $0 { true } else { false } }
        try await within { for await _ in frames {} }
        try await within { try await track.shutdown() }
        try await within { for await _ in events {} }
        try await couple.shutdown()
    }

    func testWhatIsNoPicturePCMOrTrackIsAnErrorThatSaysSo() async throws {
        let server = try Server()
        let (video, audio) = (try LocalVideoTrack(.vp8), try LocalAudioTrack())
        let peer = try await server.peer("alice")
        try peer.addTrack(video)
        let key = try clip()[0]
        let wrong: [(String, @Sendable () throws -> Void)] = [
            ("access_unit_empty", { try video.write(Data(), timestampUs: 0) }),
            ("invalid_argument", { try video.write(key, timestampUs: 0, rotationDegrees: 45) }),
            ("audio_format", { try audio.write([Int16](), format: PCMFormat(sampleRate: 96_000, channels: 1)) }),
            ("audio_format", { try audio.write([Float](), format: PCMFormat(sampleRate: 48_000, channels: -1)) }),
            ("audio_chunk_uneven", { try audio.write([Int16](repeating: 0, count: 481), format: stereo) }),
            ("invalid_argument", { try audio.write(Data([1]), format: mono) }),
            ("opus_packet_size", { try audio.writeOpus(Data(), timestampUs: 0) }),
            ("audio_bitrate", { try audio.setEncoding(OpusEncoding(bitrateBps: 1)) }),
        ]
        for (code, call) in wrong {
            let error = try await failure { try call() }
            XCTAssertEqual(error.code, code)
            XCTAssertEqual(error.kind, .invalidArgument)
        }
        let attached = try await failure { try peer.addTrack(video, in: MediaStream([video])) }
        XCTAssertEqual(attached.code, "track_already_attached")
        let text = try await failure { try peer.addTrack(audio, metadata: Payload(text: "\"me\"")) }
        XCTAssertEqual(text.code, "invalid_args")
        XCTAssertEqual(audio.encoding, OpusEncoding())
        XCTAssertNil(audio.target)
        XCTAssertEqual(audio.reportedLoss, 0)
        try await within { try await peer.shutdown() }
        let closed = try await failure { try peer.addTrack(audio) }
        XCTAssertEqual(closed.name, "MeteredPeerStateError")
    }

    func testAToneIsHeardAsItWasWrittenInEveryRateAloneAndMixed() async throws {
        let server = try Server()
        let couple = try await Couple(server)
        let (low, high) = (try LocalAudioTrack(), try LocalAudioTrack())
        for track in [low, high] { try track.setEncoding(OpusEncoding(music: true, dtx: false)) }
        try couple.alice.addStream(MediaStream([low]))
        try couple.bob.addTrack(high)
        let singing = [sing(low, 440, stereo), sing(high, 1_700, mono)]
        let (toBob, toAlice) = try await couple.meet()
        let (atBob, atAlice) = (try await toAlice.audio(), try await toBob.audio())
        do {
            let output = try atBob.playout(mono)
            try await hear(output.pull(into:)) { share(of: 440, in: $0) > 0.9 && abs(output.level.rmsDbfs + 15) < 3 }
            XCTAssertEqual(low.level.rmsDbfs, -15, accuracy: 3)
            XCTAssertGreaterThan(try atBob.stats().packetsReceived, 0)
            XCTAssertGreaterThan(try output.stats().playedSamples, 0)
            try low.setMuted(true)
            try await hear(output.pull(into:)) { $0.allSatisfy { abs($0) < 1e-2 } }
            try low.setMuted(false)
            try await hear(output.pull(into:)) { share(of: 440, in: $0) > 0.9 }
        }
        let mix = try AudioMix(mono)
        _ = try mix.add(atBob)
        let input = try mix.add(atAlice)
        try await hear(mix.pull(into:)) { share(of: 440, in: $0) > 0.25 && share(of: 1_700, in: $0) > 0.25 }
        try mix.setGain(input, to: 0)
        try await hear(mix.pull(into:)) { share(of: 440, in: $0) > 0.9 }
        try mix.remove(input)
        XCTAssertEqual(mix.inputs, 1)
        let refused = try await failure {
            var pcm = [Float](repeating: 0, count: 48_001)
            try mix.pull(into: &pcm)
        }
        XCTAssertEqual(refused.kind, .invalidArgument)
        XCTAssertGreaterThan(try mix.takeLevel().peakDbfs, -127)
        for background in singing { await background.end() }
        try await couple.shutdown()
    }

    func testReadyOpusPacketsPassAsTheyAre() async throws {
        let server = try Server()
        let couple = try await Couple(server)
        let track = try LocalAudioTrack()
        try couple.alice.addTrack(track)
        let (_, toAlice) = try await couple.meet()
        let audio = try await toAlice.audio()
        let packets = try audio.packets()
        let silence = Data([0xf8, 0xff, 0xfe])
        let writing = Background {
            for n in UInt64(0)... {
                try track.writeOpus(silence, timestampUs: n * 20_000, begins: n == 0)
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        let packet = try await packets.first { if case .packet(let packet) = $0 { packet } else { nil } }
        XCTAssertEqual(packet.payload, silence)
        await writing.end()
        try await couple.shutdown()
        try await until { audio.isEnded }
    }

    func testSamplesKeepTheirValues() async throws {
        let track = try LocalAudioTrack()
        let (i16, f32) = ([Int16](repeating: 16_384, count: 4_800), [Float](repeating: 0.5, count: 4_800))
        for write in [
            { try track.write(i16, format: mono) }, { try track.write(f32, format: mono) },
            { try track.write(i16.withUnsafeBytes { Data($0) }, format: mono) },
        ] {
            try write()
            XCTAssertEqual(track.level.peakDbfs, -6, accuracy: 0.1)
        }
    }
}
