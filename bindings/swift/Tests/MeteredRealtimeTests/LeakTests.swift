import Foundation
import XCTest

@testable import MeteredRealtime

/// Nothing is left behind, whether things are shut down or forgotten.
final class LeakTests: XCTestCase {
    override func tearDown() async throws { try await within { try await MeteredSDK.shutdownAll() } }

    func testForgottenClientsAndPeersEndTheirConnections() async throws {
        let server = try Server()
        func connectAndForget() async throws {
            let (client, peer) = (try await server.client("alice"), try await server.peer("bob"))
            try await within { try await client.connect() }
            try await within { try await peer.join("room") }
            // Read once and left.
            _ = try await client.events.next()
            _ = try await peer.events.next()
            _ = try await peer.states.next()
        }
        try await connectAndForget()
        try await until { try await server.connections() == 0 }
    }

    func testAStreamKeepsItsClientUntilItIsGoneToo() async throws {
        let server = try Server()
        func eventsAlone() async throws -> AsyncStream<SignallingEvent> {
            let client = try await server.client("alice")
            try await within { try await client.connect() }
            return client.events
        }
        var events: AsyncStream<SignallingEvent>? = try await eventsAlone()
        _ = try await events?.next { if case .connected = $0 { true } else { false } }
        let open = try await server.connections()
        XCTAssertEqual(open, 1)
        let reading = Task { [events] in
            guard let events else { return }
            for await _ in events {}
        }
        events = nil
        reading.cancel()
        try await within { await reading.value }
        try await until { try await server.connections() == 0 }
    }

    func testAForgottenObjectIsFreed() async throws {
        let server = try Server()
        let client: Weak<SignallingClient>
        do {
            let made = try await server.client("alice")
            client = Weak(made)
            try await within { try await made.connect() }
            let events = made.events
            let reading = Task { for await _ in events {} }
            try await within { try await made.shutdown() }
            try await within { await reading.value }
        }
        try await client.isFreed()
    }

    func testAThousandClientsLeaveNothing() async throws {
        let server = try Server()
        let token = try await server.token("alice")
        func cycles(_ count: Int) async throws -> Figures {
            for n in 0..<count {
                let client = try SignallingClient(.provider { token }, options: server.options)
                let events = client.events
                let reading = Task { for await _ in events {} }
                if n % 10 == 0 { try await within { try await client.connect() } }
                if n % 2 == 0 { try await within { try await client.shutdown() } } else { reading.cancel() }
                try await within { await reading.value }
            }
            return try Figures.now()
        }
        _ = try await cycles(200)
        let before = try await cycles(100)
        let after = try await cycles(1_000)
        // One, and one that looks names up and goes when there is nothing to do.
        XCTAssertLessThanOrEqual(after.threads, 2)
        // Connections of forgotten clients end in the background.
        XCTAssertLessThanOrEqual(after.handles, before.handles + 2)
        // About 1 MiB is the tests' own: each `within` leaves a timer behind until its limit.
        XCTAssertLessThan(after.residentKiB - before.residentKiB, 4_096)
        print("1,000 clients: \(before) before, \(after) after")
        try await until { try await server.connections() == 0 }
    }
}
