import Foundation
import XCTest

@testable import MeteredRealtime

/// The app's token provider may throw or hang, and is freed.
final class ProviderTests: XCTestCase {
    override func tearDown() async throws { try await within { try await MeteredSDK.shutdownAll() } }

    private struct NoSession: LocalizedError {
        var errorDescription: String? { "nobody is logged in" }
    }

    private struct Other: Error { let word: String }

    func testAProviderThatThrowsIsAnError() async throws {
        let server = try Server()
        for (thrown, words) in [(NoSession() as any Error, "nobody is logged in"), (Other(word: "odd"), "odd")] {
            let client = try SignallingClient(.provider { throw thrown }, options: server.options)
            let error = try await failure { try await client.connect() }
            XCTAssertEqual(error.kind, .tokenProvider)
            XCTAssertEqual(error.code, "token_provider_failed")
            XCTAssert(error.message.contains(words), error.message)
            try await within { try await client.shutdown() }
        }
    }

    func testAProviderThatHangsIsGivenUpAndCancelled() async throws {
        let server = try Server()
        let (cancelled, cancel) = AsyncStream.makeStream(of: Void.self)
        var options = server.options
        options.tokenProviderTimeout = .milliseconds(100)
        let client = try SignallingClient(
            .provider {
                defer { cancel.yield() }
                try await Task.sleep(for: .seconds(600))
                return ""
            }, options: options)
        let error = try await failure { try await client.connect() }
        XCTAssertEqual(error.code, "token_provider_timeout")
        _ = try await cancelled.next()
        try await within { try await client.shutdown() }
    }

    func testAProviderThatHangsAndHearsNoCancellationIsGivenUpToo() async throws {
        let server = try Server()
        let (hanging, end) = AsyncStream.makeStream(of: Void.self)
        var options = server.options
        options.tokenProviderTimeout = .milliseconds(100)
        let client = try SignallingClient(
            .provider {
                await Task { for await _ in hanging {} }.value
                return ""
            }, options: options)
        let error = try await failure { try await client.connect() }
        XCTAssertEqual(error.code, "token_provider_timeout")
        try await within { try await client.shutdown() }
        end.finish()
    }

    func testAFailingProviderIsToldAsAnEvent() async throws {
        let server = try Server()
        let token = try await server.token("alice")
        let works = Locked(true)
        var options = server.options
        options.reconnect?.initialDelay = .milliseconds(1)
        options.reconnect?.maxDelay = .milliseconds(2)
        let client = try SignallingClient(
            .provider {
                guard works.with({ $0 }) else { throw NoSession() }
                return token
            }, options: options)
        let events = client.events
        try await within { try await client.connect() }
        works.with { $0 = false }
        try await server.drop()
        let (count, error) = try await events.first { event in
            if case .tokenProviderFailing(let count, let error) = event { (count, error) } else { nil }
        }
        XCTAssertEqual(count, 3)
        XCTAssertEqual(error.kind, .tokenProvider)
        try await within { try await client.shutdown() }
    }

    func testShutdownFreesAProviderThatHoldsItsClient() async throws {
        final class Session: Sendable {
            let client = Locked<SignallingClient?>(nil)
        }
        let server = try Server()
        let token = try await server.token("alice")
        let freed: Weak<Session>
        do {
            let session = Session()
            freed = Weak(session)
            let client = try SignallingClient(
                .provider {
                    _ = session.client.with { $0?.state }
                    return token
                }, options: server.options)
            session.client.with { $0 = client }
            try await within { try await client.connect() }
            try await within { try await client.shutdown() }
            session.client.with { $0 = nil }
        }
        try await freed.isFreed()
    }
}
