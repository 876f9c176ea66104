import Foundation
import XCTest

@testable import MeteredRealtime

/// The number that was published.
private func number(_ event: SignallingEvent) -> Int? {
    if case .message(let message) = event { try? message.data.decode(as: Int.self) } else { nil }
}

/// Events reach every reader, wait for the first one, and end with their object.
final class EventTests: XCTestCase {
    override func tearDown() async throws { try await within { try await MeteredSDK.shutdownAll() } }

    private struct OnPurpose: Error {}

    func testAReaderThatThrowsHarmsNoOtherAndEventsFromBeforeWait() async throws {
        let server = try Server()
        let client = try await server.client("alice")
        try await within { try await client.connect() }
        let failing = Task { for await _ in client.events { throw OnPurpose() } }
        do {
            try await within { try await failing.value }
            XCTFail("it did not throw")
        } catch is OnPurpose {}
        let events = client.events
        _ = try await events.next { if case .connected = $0 { true } else { false } }
        try await within { try await client.subscribe("room") }
        _ = try await events.next { if case .presence(let presence) = $0 { presence.snapshot } else { false } }
        try await within { try await client.shutdown() }
    }

    func testReadersThatComeAndGoLoseNothing() async throws {
        let server = try Server()
        let (alice, bob) = (try await server.client("alice"), try await server.client("bob"))
        for client in [alice, bob] { try await within { try await client.connect() } }
        try await within { try await alice.subscribe("room") }
        for n in 0..<100 {
            let reading = Task { for await _ in alice.events {} }
            try await Task.sleep(for: .microseconds(n * 37))
            reading.cancel()
            try await within { await reading.value }
            try await within { try await bob.publish("room", n) }
            _ = try await alice.events.next { number($0) == n }
        }
        for client in [alice, bob] { try await within { try await client.shutdown() } }
    }

    func testEachReaderGetsAllInOrder() async throws {
        let server = try Server()
        let (alice, bob) = (try await server.client("alice"), try await server.client("bob"))
        for client in [alice, bob] { try await within { try await client.connect() } }
        try await within { try await alice.subscribe("room") }
        let count = 300
        let readers = (0..<3).map { reader in
            let events = alice.events
            return Task {
                var heard: [Int] = []
                for await event in events {
                    if let n = number(event) { heard.append(n) }
                    if heard.count == count { break }
                    // Of different speed.
                    if reader == 1, heard.count % 50 == 0 { try await Task.sleep(for: .milliseconds(5)) }
                }
                return heard
            }
        }
        for n in 0..<count { try await within { try await bob.publish("room", n) } }
        for reader in readers {
            let heard = try await within { try await reader.value }
            XCTAssertEqual(heard, Array(0..<count))
        }
        for client in [alice, bob] { try await within { try await client.shutdown() } }
    }

    func testWhatIsReadTooLateIsCounted() async throws {
        let server = try Server()
        let alice = try await server.client("alice")
        try await within { try await alice.connect() }
        try await within { try await alice.subscribe("room") }
        // Held, and not read: 1,024 wait.
        let events = alice.events
        // As many as one client may send at once, and some more clients than are needed.
        let count = 140
        try await within {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for name in 0..<10 {
                    group.addTask {
                        let client = try await server.client("\(name)")
                        try await client.connect()
                        for n in 0..<count { try await client.publish("room", n) }
                        try await client.shutdown()
                    }
                }
                try await group.waitForAll()
            }
        }
        let missed = try await events.first { if case .lagged(let missed) = $0 { missed } else { nil } }
        XCTAssertGreaterThan(missed, 0)
        _ = try await events.next { number($0) == count - 1 }
        try await within { try await alice.shutdown() }
    }

    func testEventsEndWithTheClientForEveryReader() async throws {
        let server = try Server()
        let client = try await server.client("alice")
        let readers = (0..<3).map { _ in
            let events = client.events
            return Task { await events.reduce(into: 0) { count, _ in count += 1 } }
        }
        try await within { try await client.connect() }
        try await within { try await client.shutdown() }
        for reader in readers {
            let count = try await within { await reader.value }
            XCTAssertGreaterThan(count, 2)
        }
        let late = client.events
        let count = try await within { await late.reduce(into: 0) { count, _ in count += 1 } }
        XCTAssertEqual(count, 0)
    }

    func testAStreamThatOutlivesItsTaskGoesOn() async throws {
        let server = try Server()
        let client = try await server.client("alice")
        let events = client.events
        try await within { try await client.connect() }
        // One event per loop: breaking out loses nothing.
        var seen: [SignallingEvent] = []
        for _ in 0..<3 {
            seen.append(try await events.next())
        }
        XCTAssertEqual(seen.first, .stateChange(from: .idle, to: .connecting))
        XCTAssert(seen.contains { if case .connected = $0 { true } else { false } })
        try await within { try await client.shutdown() }
    }

    func testShutdownAllEndsClientsCallsAndThreads() async throws {
        let server = try Server()
        let client = try await server.client("alice")
        try await within { try await client.connect() }
        // A thread names itself, when it has begun.
        try await until { try Figures.now().threads >= 1 }
        let events = client.events
        let reading = Task { for await _ in events {} }
        try await within { try await MeteredSDK.shutdownAll() }
        try await within { await reading.value }
        XCTAssertEqual(client.state, .closed)
        try await until { try Figures.now().threads == 0 }
        try await within { try await MeteredSDK.shutdownAll() }
    }
}
