import Foundation
import XCTest

@testable import MeteredRealtime

final class PeerTests: XCTestCase {
    override func tearDown() async throws { try await within { try await MeteredSDK.shutdownAll() } }

    private struct Pair: Sendable {
        let server: Server
        let (alice, bob): (MeteredPeer, MeteredPeer)
        /// Bob as Alice sees him, and the other way round.
        let (toBob, toAlice): (RemotePeer, RemotePeer)
        let (ours, theirs): (DataChannel, DataChannel)

        func shutdown() async throws {
            for peer in [alice, bob] { try await within { try await peer.shutdown() } }
        }
    }

    private func connected(_ options: DataChannelOptions = DataChannelOptions()) async throws -> Pair {
        let server = try Server()
        let (alice, bob) = (try await server.peer("alice"), try await server.peer("bob"))
        let (atAlice, atBob) = (alice.events, bob.events)
        for peer in [alice, bob] { try await within { try await peer.join("room") } }
        let joined: @Sendable (PeerEvent) -> RemotePeer? = { event in
            if case .peerJoined(let remote) = event { remote } else { nil }
        }
        let (toBob, toAlice) = (try await atAlice.first(joined), try await atBob.first(joined))
        let ours = try await within { try await toBob.openDataChannel("bulk", options: options) }
        let theirs = try await toAlice.events.first { event in
            if case .dataChannelOpened(let channel) = event { channel } else { nil }
        }
        return Pair(
            server: server, alice: alice, bob: bob, toBob: toBob, toAlice: toAlice, ours: ours, theirs: theirs)
    }

    func testTenThousandMessagesArriveInOrder() async throws {
        let pair = try await connected()
        let count = 10_000
        let events = pair.theirs.events
        let receiving = Task {
            var next = 0
            for await event in events {
                guard case .text(let text) = event else { continue }
                XCTAssertEqual(text, "\(next)")
                next += 1
                if next == count { break }
            }
            return next
        }
        for n in 0..<count { try await pair.ours.send("\(n)") }
        let received = try await within(.seconds(120)) { await receiving.value }
        XCTAssertEqual(received, count)
        let stats = try await within { try await pair.toBob.stats() }
        XCTAssertEqual(stats.channels.first?.messagesSent, UInt64(count))
        XCTAssertNotNil(stats.selectedPair)
        try await pair.shutdown()
    }

    func testLargeMessagesArriveWholeAndALargerOneIsRefused() async throws {
        let pair = try await connected()
        let data = Data((0..<256 * 256).map { UInt8(truncatingIfNeeded: $0) })
        try await within { try await pair.ours.send(data) }
        let received = try await pair.theirs.events.first { if case .binary(let data) = $0 { data } else { nil } }
        XCTAssertEqual(received, data)
        let error = try await failure { try await pair.ours.send(Data(count: 8 << 20)) }
        guard case .oversizedPayload(8_388_608, let cap) = error.kind else { return XCTFail("\(error)") }
        XCTAssertEqual(cap, pair.ours.maxMessageSize)
        try await pair.shutdown()
    }

    func testEveryMethodOfPeerRemoteAndChannel() async throws {
        var options = DataChannelOptions()
        options.ordered = false
        options.maxRetransmits = 3
        options.protocol = "p1"
        let pair = try await connected(options)
        let (ours, theirs) = (pair.ours, pair.theirs)
        _ = try await ours.states.next { $0 == .open }
        XCTAssertEqual([ours.label, ours.protocol, theirs.label, theirs.protocol], ["bulk", "p1", "bulk", "p1"])
        XCTAssertEqual(ours.maxRetransmits, 3)
        XCTAssertFalse(ours.ordered || theirs.ordered || ours.durable || ours.id.isEmpty)
        try await within { try await ours.trySend("now") }
        try await within { try await ours.trySend(Data("now".utf8)) }
        let buffered = try await within { try await ours.bufferedAmount() }
        XCTAssertGreaterThanOrEqual(buffered, 0)

        XCTAssertEqual(pair.alice.peerId, "alice")
        XCTAssertEqual(pair.alice.channel, "room")
        XCTAssertEqual(pair.alice.remotePeers.map(\.id), ["bob"])
        XCTAssertEqual(pair.alice.remotePeer("bob")?.id, "bob")
        XCTAssertNil(pair.alice.remotePeer("nobody"))
        XCTAssertNil(pair.alice.lastFailure)
        XCTAssertEqual(pair.alice.counters, PeerCounters())
        XCTAssertEqual(pair.alice.stateHistory.last?.to, .joined)
        let signalling = try pair.alice.signalling()
        XCTAssertEqual(signalling.state, .connected)
        XCTAssertEqual(signalling.welcome?.peerId, "alice")

        // The channel may be open before its remote says that it is connected.
        _ = try await pair.toBob.states.next { $0 == .connected }
        XCTAssertEqual(pair.toBob.stateHistory.last?.to, .connected)
        XCTAssertNotEqual(pair.toBob.polite, pair.toAlice.polite)
        XCTAssertNil(pair.toBob.lastFailure)
        XCTAssertEqual(pair.toBob.iceFailures, [])
        XCTAssertEqual(pair.toBob.counters.signalsOverflow, 0)
        XCTAssertEqual("\(pair.toBob)", "RemotePeer(bob, connected)")

        let data: @Sendable (PeerEvent) -> PeerData? = { if case .data(let data) = $0 { data } else { nil } }
        let atBob = pair.bob.events
        try await within { try await pair.alice.send(["to": "all"]) }
        var heard = try await atBob.first(data)
        XCTAssertEqual(try heard.data.decode(as: [String: String].self), ["to": "all"])
        XCTAssertFalse(heard.direct)
        try await within { try await pair.toBob.send(7) }
        heard = try await atBob.first(data)
        XCTAssertTrue(heard.direct)
        try await within { try await pair.alice.send(8, to: "bob") }
        heard = try await atBob.first(data)
        XCTAssertEqual(try heard.data.json, 8)

        for work in [pair.alice.networkChanged, pair.alice.enteredBackground, pair.alice.enteredForeground,
            pair.alice.reconnectNow]
        { try work() }
        try await within { try await theirs.shutdown() }
        _ = try await ours.events.next { $0 == .closed }
        let closed = try await failure { try await ours.send("late") }
        XCTAssertEqual(closed.code, "data_channel_closed")
        try await within { try await pair.toBob.shutdown() }
        try await within { try await pair.bob.leave(reason: "enough") }
        _ = try await atBob.next { if case .left("enough") = $0 { true } else { false } }
        _ = try await pair.alice.events.next { if case .peerLeft(let remote) = $0 { remote.id == "bob" } else { false } }
        try await pair.shutdown()
        let late = try await failure { try await pair.alice.send(1) }
        guard case .peerState = late.kind else { return XCTFail("\(late)") }
    }

    func testMessagesBeforeTheFirstReaderWait() async throws {
        let pair = try await connected()
        for n in 0..<20 { try await within { try await pair.ours.send("\(n)") } }
        let events = pair.theirs.events
        for n in 0..<20 {
            let text = try await events.first { if case .text(let text) = $0 { text } else { nil } }
            XCTAssertEqual(text, "\(n)")
        }
        try await pair.shutdown()
    }

    func testTheAppBindsTheSockets() async throws {
        struct Refused: Error {}
        let server = try Server()
        let couple = try await Couple(server)
        let bound = Locked<Set<Int32>>([])
        try couple.alice.setSocketBinder { descriptor in bound.with { _ = $0.insert(descriptor) } }
        try couple.bob.setSocketBinder { _ in throw Refused() }
        let (toBob, toAlice) = try await couple.meet()
        _ = try await within { try await toBob.openDataChannel("chat") }
        try await until { bound.with { !$0.isEmpty } }
        XCTAssertTrue(bound.with { $0.allSatisfy { $0 > 2 } })
        // Without a socket there is no path.
        try await Task.sleep(for: .milliseconds(300))
        XCTAssertNotEqual(toAlice.state, .connected)
        try await couple.shutdown()
    }
}
