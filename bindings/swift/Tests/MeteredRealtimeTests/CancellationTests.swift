import Foundation
import XCTest

@testable import MeteredRealtime
import MeteredRealtimeFFI

/// What is cancelled ends in the library too, and what fails inside is an error. `sleep` and the panics are in
/// the test library alone.
final class CancellationTests: XCTestCase {
    override func tearDown() async throws { try await within { try await MeteredSDK.shutdownAll() } }

    private func cancelled(_ task: Task<Void, any Error>, file: StaticString = #filePath, line: UInt = #line) async {
        task.cancel()
        do {
            try await within { try await task.value }
            XCTFail("it was not cancelled", file: file, line: line)
        } catch {
            XCTAssert(error is CancellationError, "\(error)", file: file, line: line)
        }
    }

    func testACallThatIsGivenUpEnds() async throws {
        let sleeping = Task { try await nativeCall { try await sleep(durationMs: 600_000) } }
        try await Task.sleep(for: .milliseconds(20))
        await cancelled(sleeping)
    }

    func testACallInACancelledTaskNeverBegins() async throws {
        let sleeping = Task {
            while !Task.isCancelled { await Task.yield() }
            try await nativeCall { try await sleep(durationMs: 600_000) }
        }
        await cancelled(sleeping)
    }

    func testManyCallsAreGivenUpAtAnyMoment() async throws {
        for n in 0..<300 {
            let sleeping = Task { try await nativeCall { try await sleep(durationMs: 3) } }
            try await Task.sleep(for: .microseconds(n * 20))
            sleeping.cancel()
            // Done or cancelled, but never anything else, and never for ever.
            do { try await within { try await sleeping.value } } catch is CancellationError {}
        }
    }

    func testAConnectThatIsCancelledEndsAndTheClientConnectsAgain() async throws {
        let server = try Server()
        let token = try await server.token("alice")
        let (asked, ask) = AsyncStream.makeStream(of: Void.self)
        let isFirst = Locked(true)
        let client = try SignallingClient(
            .provider {
                ask.yield()
                if isFirst.with({ first in defer { first = false }; return first }) {
                    try await Task.sleep(for: .seconds(600))
                }
                return token
            }, options: server.options)
        let connecting = Task { try await client.connect() }
        _ = try await asked.next()
        await cancelled(connecting)
        XCTAssertEqual(client.state, .closed)
        try await within { try await client.connect() }
        XCTAssertEqual(client.welcome?.peerId, "alice")
        try await within { try await client.shutdown() }
    }

    func testAJoinThatIsCancelledLeaves() async throws {
        let server = try Server()
        let peer = try MeteredPeer(
            .provider {
                try await Task.sleep(for: .seconds(600))
                return ""
            }, options: PeerOptions(signalling: server.options))
        let joining = Task { try await peer.join("room") }
        _ = try await peer.states.next { $0 == .joining }
        await cancelled(joining)
        XCTAssertEqual(peer.state, .closed)
        try await within { try await peer.shutdown() }
    }

    func testShutdownIsDoneInACancelledTaskToo() async throws {
        let server = try Server()
        let client = try await server.client("alice")
        try await within { try await client.connect() }
        let ending = Task {
            while !Task.isCancelled { await Task.yield() }
            try await client.shutdown()
        }
        ending.cancel()
        try await within { try await ending.value }
        XCTAssertEqual(client.state, .closed)
        let error = try await failure { try await client.connect() }
        XCTAssertEqual(error.kind, .invalidState(currentState: "closed", method: "connect"))
    }

    func testAPanicIsAnError() async throws {
        XCTAssertThrowsError(try native { try panicInside() }) { thrown in
            XCTAssertEqual((thrown as? MeteredError)?.kind, .internalFault)
        }
        let error = try await failure { try await nativeCall { try await panicInATask() } }
        XCTAssertEqual(error.kind, .internalFault)
        try await within { try await nativeCall { try await sleep(durationMs: 1) } }
    }
}
