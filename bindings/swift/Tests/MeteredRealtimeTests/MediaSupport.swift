import Foundation
import XCTest

@testable import MeteredRealtime

let mono = PCMFormat(sampleRate: 48_000, channels: 1)
let stereo = PCMFormat(sampleRate: 44_100, channels: 2)

/// Two peers that may meet in one room, and what each sees of the other.
final class Couple: Sendable {
    let (alice, bob): (MeteredPeer, MeteredPeer)
    private let (atAlice, atBob): (AsyncStream<PeerEvent>, AsyncStream<PeerEvent>)

    init(_ server: Server) async throws {
        (alice, bob) = (try await server.peer("alice"), try await server.peer("bob"))
        (atAlice, atBob) = (alice.events, bob.events)
    }

    /// Bob as Alice sees him, and the other way round.
    func meet() async throws -> (toBob: RemotePeer, toAlice: RemotePeer) {
        for peer in [alice, bob] { try await within { try await peer.join("room") } }
        let joined: @Sendable (PeerEvent) -> RemotePeer? = { event in
            if case .peerJoined(let remote) = event { remote } else { nil }
        }
        return (try await atAlice.first(joined), try await atBob.first(joined))
    }

    func shutdown() async throws {
        for peer in [alice, bob] { try await within { try await peer.shutdown() } }
    }
}

/// The pictures of the counter that the command carries.
func clip() throws -> [Data] {
    let path = URL(fileURLWithPath: #filePath)
        .appendingPathComponent("../../../../../crates/cli/assets/clips/counter_vp8.ivf").standardized
    let file = [UInt8](try Data(contentsOf: path))
    func number(_ at: Int, _ bytes: Int) -> Int { (0..<bytes).reduce(0) { $0 | Int(file[at + $1]) << (8 * $1) } }
    var (pictures, at) = ([Data](), number(6, 2))
    while at < file.count {
        let size = number(at, 4)
        pictures.append(Data(file[(at + 12)..<(at + 12 + size)]))
        at += 12 + size
    }
    return pictures
}

/// Does something for as long as it is held.
final class Background: Sendable {
    private let task: Task<Void, any Error>

    init(_ work: @escaping @Sendable () async throws -> Void) { task = Task { try await work() } }

    deinit { task.cancel() }

    func end() async {
        task.cancel()
        _ = await task.result
    }
}

/// The clip round after round; a key frame when one is wanted.
func film(_ track: LocalVideoTrack, rotationDegrees: Int = 0) throws -> Background {
    let pictures = try clip()
    let wanted = Flag()
    let events = track.events
    let listening = Background {
        for await event in events where event == .keyFrameWanted { wanted.raise() }
    }
    return Background {
        var (number, at) = (UInt64(0), 0)
        while !Task.isCancelled {
            if wanted.taken() { at = 0 }
            try track.write(
                pictures[at % pictures.count], timestampUs: number * 40_000, rotationDegrees: rotationDegrees)
            (number, at) = (number + 1, at + 1)
            try await Task.sleep(for: .milliseconds(10))
        }
        await listening.end()
    }
}

final class Flag: Sendable {
    private let up = Locked(false)

    func raise() { up.with { $0 = true } }

    func taken() -> Bool {
        up.with { up in
            defer { up = false }
            return up
        }
    }
}

/// A sine at a quarter of full scale.
struct Tone {
    let hertz: Double
    let format: PCMFormat
    private var turns = 0.0

    init(_ hertz: Double, _ format: PCMFormat) { (self.hertz, self.format) = (hertz, format) }

    mutating func next(milliseconds: Int) -> [Int16] {
        var pcm: [Int16] = []
        for _ in 0..<(format.samples(inMilliseconds: milliseconds) / format.channels) {
            let sample = Int16(sin(turns * 2 * .pi) * 8_192)
            pcm.append(contentsOf: repeatElement(sample, count: format.channels))
            turns = (turns + hertz / Double(format.sampleRate)).truncatingRemainder(dividingBy: 1)
        }
        return pcm
    }
}

/// Ten milliseconds of a tone every ten milliseconds.
func sing(_ track: LocalAudioTrack, _ hertz: Double, _ format: PCMFormat) -> Background {
    Background {
        var tone = Tone(hertz, format)
        try await everyTenMilliseconds { try track.write(tone.next(milliseconds: 10), format: format) }
    }
}

/// Until it is done with, or its task is cancelled.
func everyTenMilliseconds(_ work: () throws -> Void, until done: () -> Bool = { false }) async throws {
    let start = ContinuousClock.now
    var chunks = 0
    while !done() {
        while Double(chunks) < (ContinuousClock.now - start) / .milliseconds(10) {
            try work()
            chunks += 1
        }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// Pulls in real time until the last half second fits.
func hear(
    _ pull: @escaping @Sendable (inout [Int16]) throws -> Void, _ fits: @escaping @Sendable ([Double]) -> Bool
) async throws {
    try await within {
        var heard: [Double] = []
        try await everyTenMilliseconds {
            var chunk = [Int16](repeating: 0, count: 480)
            try pull(&chunk)
            heard.append(contentsOf: chunk.map { Double($0) / 32_768 })
            heard.removeFirst(max(0, heard.count - 24_000))
        } until: {
            heard.count == 24_000 && fits(heard)
        }
    }
}

/// How much of the energy of one channel lies at a frequency, from 0 to 1.
func share(of hertz: Double, in pcm: [Double]) -> Double {
    var (energy, real, imaginary) = (0.0, 0.0, 0.0)
    for (n, sample) in pcm.enumerated() {
        let angle = 2 * .pi * hertz / Double(mono.sampleRate) * Double(n)
        energy += sample * sample
        real += sample * cos(angle)
        imaginary += sample * sin(angle)
    }
    return energy < 1e-9 ? 0 : 2 * (real * real + imaginary * imaginary) / Double(pcm.count) / energy
}

extension RemotePeer {
    /// The first track of pictures.
    func video() async throws -> RemoteVideoTrack {
        try await events.first { event in
            if case .trackAdded(let track) = event, case .video(let video) = track.media { video } else { nil }
        }
    }

    /// The first track of sound.
    func audio() async throws -> RemoteAudioTrack {
        try await events.first { event in
            if case .trackAdded(let track) = event, case .audio(let audio) = track.media { audio } else { nil }
        }
    }
}
