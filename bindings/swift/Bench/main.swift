// What bench/ffi runs: one JSON object on a line of its own, in microseconds and shares of a core.
import Foundation
import MeteredRealtimeFFI

@testable import MeteredRealtime

let accessUnit = 20 * 1_024
let seconds = 5

/// CPU time of the whole process so far.
func processTime() -> Duration {
    .seconds(Double(clock()) / Double(CLOCKS_PER_SEC))
}

/// Microseconds of CPU time, all threads, for each of so many, the code being warm.
func micros(_ count: Int, _ work: (Int) async throws -> Void) async throws -> Double {
    try await work(count)
    let before = processTime()
    try await work(count)
    return (processTime() - before) / .microseconds(1) / Double(count)
}

/// The share of a core that the whole process takes meanwhile, the code being warm.
func share(_ work: () async throws -> Void) async throws -> Double {
    try await work()
    let before = processTime()
    let took = try await ContinuousClock().measure(work)
    return (processTime() - before) / took
}

func read<Event>(_ events: AsyncStream<Event>, _ count: Int) async {
    var left = count
    for await _ in events {
        left -= 1
        if left == 0 { return }
    }
}

/// A data channel and a track whose events come from inside. The layer takes them for the library's own, so that
/// what is measured is what apps run.
final class FedChannel: MeteredRealtimeFFI.DataChannel, @unchecked Sendable {
    private let feed: MessageFeed

    init(_ feed: MessageFeed) {
        self.feed = feed
        super.init(noHandle: NoHandle())
    }

    required init(unsafeFromHandle handle: UInt64) { fatalError("made of a feed alone") }

    override func id() throws -> String { "" }
    override func label() throws -> String { "" }
    override func `protocol`() throws -> String { "" }
    override func nextEvents(max: UInt32) async throws -> [MeteredRealtimeFFI.DataChannelEvent] {
        try await feed.nextEvents(max: max)
    }
}

final class FedTrack: MeteredRealtimeFFI.RemoteVideoTrack, @unchecked Sendable {
    private let feed: FrameFeed

    init(_ feed: FrameFeed) {
        self.feed = feed
        super.init(noHandle: NoHandle())
    }

    required init(unsafeFromHandle handle: UInt64) { fatalError("made of a feed alone") }

    override func frames() throws -> VideoFrames { FedFrames(feed) }
}

final class FedFrames: VideoFrames, @unchecked Sendable {
    private let feed: FrameFeed

    init(_ feed: FrameFeed) {
        self.feed = feed
        super.init(noHandle: NoHandle())
    }

    required init(unsafeFromHandle handle: UInt64) { fatalError("made of a feed alone") }

    override func nextEvents(max: UInt32) async throws -> [MeteredRealtimeFFI.FrameEvent] {
        try await feed.nextEvents(max: max)
    }
}

func messages(_ bytes: Int, perSecond: UInt32) throws -> AsyncStream<MeteredRealtime.DataChannelEvent> {
    let feed = try MessageFeed(bytes: UInt32(bytes), perSecond: perSecond, text: bytes == 100)
    return MeteredRealtime.DataChannel(FedChannel(feed)).events
}

func frames(perSecond: UInt32) throws -> AsyncStream<MeteredRealtime.FrameEvent> {
    let feed = try FrameFeed(bytes: UInt32(accessUnit), perSecond: perSecond)
    return try MeteredRealtime.RemoteVideoTrack(FedTrack(feed)).frames()
}

/// Those that are named, or all.
let names = CommandLine.arguments.dropFirst()
func isWanted(_ name: String) -> Bool { names.isEmpty || names.contains(name) }

var figures: [String: Double] = [:]
let client = try MeteredRealtime.SignallingClient(.apiKey("pk_live_bench"))
if isWanted("call") {
    figures["call"] = try await micros(200_000) { count in
        for _ in 0..<count { _ = client.state }
    }
}
let track = try MeteredRealtime.LocalVideoTrack(.vp8)
if isWanted("asyncCall") {
    figures["asyncCall"] = try await micros(20_000) { count in
        for _ in 0..<count { try await track.shutdown() }
    }
}
for (name, bytes, count) in [("event100", 100, 200_000), ("event64k", 65_536, 20_000)] {
    if isWanted(name) {
        figures[name] = try await micros(count) { await read(try messages(bytes, perSecond: 0), $0) }
    }
    if isWanted(name + "Share") {
        figures[name + "Share"] = try await share {
            await read(try messages(bytes, perSecond: 10_000), 10_000 * seconds)
        }
    }
}
// A VP8 picture that is no key frame.
let unit = Data(repeating: 1, count: accessUnit)
if isWanted("frameOut") {
    figures["frameOut"] = try await micros(20_000) { count in
        for n in 0..<count { try track.write(unit, timestampUs: UInt64(n) * 33_333) }
    }
}
if isWanted("frameIn") {
    figures["frameIn"] = try await micros(20_000) { await read(try frames(perSecond: 0), $0) }
}
if isWanted("frameInShare") {
    figures["frameInShare"] = try await share { await read(try frames(perSecond: 30), 30 * seconds) }
}
print(String(decoding: try JSONEncoder().encode(figures), as: UTF8.self))
try await client.shutdown()
try await MeteredSDK.shutdownAll()
