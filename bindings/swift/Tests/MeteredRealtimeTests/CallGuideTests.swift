import Foundation
import Testing

@testable import MeteredRealtime

/// Stands for the app's encoder: the clip is encoded already.
private final class Encoder: Sendable {
    let wanted = Flag()
    let targets = Locked<[Int]>([])

    func makeKeyFrame() { wanted.raise() }

    func make(bitsPerSecond: Int, framesPerSecond: Int) { targets.with { $0.append(bitsPerSecond) } }
}

/// Stands for decoder and view.
private final class Screen: Sendable {
    let decoded = Locked<[Data]>([])

    func decode(_ data: Data, keyFrame: Bool, rotationDegrees: Int) { decoded.with { $0.append(data) } }

    func dim() {}
}

/// The call of docs/swift.md.
@Suite struct CallGuideTests {
    @Test func aVideoCall() async throws {
        let server = try Server()
        let couple = try await Couple(server)
        let (camera, microphone) = try publish(couple.alice)
        let (encoder, screen) = (Encoder(), Screen())
        let listening = Background { await listen(to: camera, encoder) }
        let pictures = try clip()
        let sending = Background {
            var tone = Tone(440, mono)
            var (number, at) = (0, 0)
            try await everyTenMilliseconds {
                if encoder.wanted.taken() { at = 0 }
                let time = UInt64(number) * 10_000
                try write(pictures[at % pictures.count], at: time, to: camera, tone.next(milliseconds: 10), microphone)
                (number, at) = (number + 1, at + 1)
            }
        }
        let (_, toAlice) = try await couple.meet()
        let mix = try AudioMix(mono)
        let receiving = Background { try await receive(from: toAlice, mix, screen) }
        try await hear({ try play(mix, &$0) }) { share(of: 440, in: $0) > 0.5 }
        try await until { screen.decoded.with { $0.count } > 20 }
        #expect(screen.decoded.with { $0 }.allSatisfy(Set(pictures).contains))
        try await until { encoder.targets.with { !$0.isEmpty } }
        for background in [sending, listening, receiving] { await background.end() }
        try await couple.shutdown()
    }

    private func publish(_ peer: MeteredPeer) throws -> (LocalVideoTrack, LocalAudioTrack) {
        let camera = try LocalVideoTrack(.vp8)
        let microphone = try LocalAudioTrack()
        try peer.addStream(MediaStream([camera, microphone]))
        // A tone is no voice: in DTX it would be left out.
        try microphone.setEncoding(OpusEncoding(music: true, dtx: false))
        return (camera, microphone)
    }

    private func write(
        _ encoded: Data, at time: UInt64, to camera: LocalVideoTrack, _ chunk: [Int16], _ microphone: LocalAudioTrack
    ) throws {
        try camera.write(encoded, timestampUs: time, rotationDegrees: 90)
        try microphone.write(chunk, format: PCMFormat(sampleRate: 48_000, channels: 1))
    }

    private func listen(to camera: LocalVideoTrack, _ encoder: Encoder) async {
        for await event in camera.events {
            switch event {
            case .keyFrameWanted:
                encoder.makeKeyFrame()
            case .targetBitrate(peerId: nil, let target):
                encoder.make(bitsPerSecond: target.bitsPerSecond, framesPerSecond: target.frameRate)
            case .codecNotSupported(let peerId, let codec):
                print(peerId, "cannot take", codec)
            default:
                break
            }
        }
    }

    private func receive(from remote: RemotePeer, _ mix: AudioMix, _ screen: Screen) async throws {
        for await case .trackAdded(let track) in remote.events {
            switch track.media {
            case .audio(let audio):
                let input = try mix.add(audio)
                try mix.setGain(input, to: 0.8)
            case .video(let video):
                Task { try await show(video, on: screen) }
            }
        }
    }

    private func show(_ video: RemoteVideoTrack, on screen: Screen) async throws {
        for await event in try video.frames() {
            switch event {
            case .frame(let unit):
                screen.decode(unit.data, keyFrame: unit.keyFrame, rotationDegrees: unit.rotationDegrees)
            case .frozen:
                screen.dim()
            case .resumed, .lagged:
                break
            }
        }
    }

    private func play(_ mix: AudioMix, _ pcm: inout [Int16]) throws {
        try pcm.withUnsafeMutableBufferPointer { buffer in
            try mix.pull(into: buffer)
        }
    }
}
