import Foundation
import XCTest

@testable import MeteredRealtime

final class SignallingClientTests: XCTestCase {
    override func tearDown() async throws { try await within { try await MeteredSDK.shutdownAll() } }

    func testEveryMethodOfAClient() async throws {
        let server = try Server()
        let (alice, bob) = (try await server.client("alice"), try await server.client("bob"))
        let (atAlice, atBob) = (alice.events, bob.events)
        XCTAssertEqual(alice.state, .idle)
        XCTAssertNil(alice.welcome)
        try await within { try await alice.connect() }
        try await within { try await bob.connect() }
        let welcome = try await atAlice.first { if case .connected(let welcome) = $0 { welcome } else { nil } }
        XCTAssertEqual(welcome, alice.welcome)
        XCTAssertEqual(welcome.peerId, "alice")
        XCTAssertEqual(try XCTUnwrap(welcome.serverTime).timeIntervalSinceNow, 0, accuracy: 3_600)
        XCTAssertGreaterThan(try XCTUnwrap(welcome.expiresAt), Date())
        try await within { try await alice.subscribe("room", includeSenderMetadata: true) }
        try await within { try await bob.publish("room", ["n": [1, 2.5, nil, true], "text": "größer"] as JSONValue) }
        let message = try await atAlice.first { if case .message(let message) = $0 { message } else { nil } }
        XCTAssertEqual(message.from, "bob")
        XCTAssertEqual(try message.data.json["n"], [1, 2.5, nil, true])
        XCTAssertEqual(try message.data.json["text"]?.stringValue, "größer")

        struct Move: Codable, Equatable { var x = 1, y = 2.5 }
        try await within { try await alice.send(Move(), to: "bob") }
        let direct = try await atBob.first { if case .direct(let message) = $0 { message } else { nil } }
        XCTAssertEqual(try direct.data.decode(as: Move.self), Move())
        XCTAssertThrowsError(try direct.data.decode(as: [Int].self)) { XCTAssert($0 is DecodingError) }

        let refused = try await failure { try await alice.send(Payload(text: "no JSON"), to: "bob") }
        XCTAssertEqual(refused.kind, .invalidArgument)
        do {
            try await alice.publish("room", Double.infinity)
            XCTFail("infinity is no JSON")
        } catch is EncodingError {}
        XCTAssertEqual(alice.pacing, PacingFigures())
        XCTAssertEqual(alice.counters, SignallingCounters())
        try alice.networkChanged()
        try alice.enteredBackground()
        try alice.enteredForeground()
        try alice.reconnectNow()
        try await within { try await alice.unsubscribe("room") }
        try await within { try await alice.disconnect(closeCode: 4_900, reason: "for a while") }
        let lost = try await atAlice.first { if case .disconnected(let lost) = $0 { lost } else { nil } }
        XCTAssertEqual(lost.closeCode, 4_900)
        XCTAssertFalse(lost.willReconnect)
        for client in [alice, bob] { try await within { try await client.shutdown() } }
    }

    func testStatesStartWithThePresentOneAndEndWithTheClient() async throws {
        let client = try await Server.withClient()
        let states = client.client.states
        let reading = Task {
            var all: [SignallingState] = []
            for await state in states { all.append(state) }
            return all
        }
        // The states between may be too short to be seen.
        try await within { try await client.client.connect() }
        try await until { client.client.state == .connected }
        try await within { try await client.client.shutdown() }
        let all = try await within { await reading.value }
        XCTAssertEqual(all.last, .closed)
        let again = client.client.states
        let left = try await within { await again.reduce(into: []) { $0.append($1) } }
        XCTAssertEqual(left, [.closed])
    }

    func testAStateStreamEndsWithItsTask() async throws {
        let client = try await Server.withClient()
        let states = client.client.states
        let reading = Task { for await _ in states {} }
        try await Task.sleep(for: .milliseconds(20))
        reading.cancel()
        try await within { await reading.value }
    }

    func testOptionsThatCannotBeAreNamed() async throws {
        let key = Credential.apiKey("pk_live_dev")
        var noTime = SignallingOptions()
        noTime.tokenProviderTimeout = .seconds(-1)
        var noPin = SignallingOptions()
        noPin.pins = ["sha256/no"]
        for (credential, options, code) in [
            (Credential.apiKey("sk_secret"), SignallingOptions(), "secret_key_in_client"),
            (key, noTime, "option_out_of_range"),
            (key, noPin, "tls_bad_pin"),
        ] {
            XCTAssertThrowsError(try SignallingClient(credential, options: options)) { thrown in
                XCTAssertEqual((thrown as? MeteredError)?.kind, .invalidArgument)
                XCTAssertEqual((thrown as? MeteredError)?.code, code)
            }
        }
        var options = PeerOptions()
        options.localAddresses = ["not an address"]
        XCTAssertThrowsError(try MeteredPeer(key, options: options))
        options = PeerOptions()
        options.iceServers = [IceServer(urls: ["turn:turn.example:3478"], username: "u", credential: "hidden")]
        options.relayOnly = true
        options.signalling.pacing = nil
        options.signalling.reconnect = nil
        options.signalling.inactivityTimeout = nil
        options.signalling.proxy = .direct
        options.signalling.headers = ["x-app": "1"]
        _ = try MeteredPeer(key, options: options)
        XCTAssertFalse("\(options)".contains("hidden"))
    }

    func testSecretsAreNotPrinted() {
        for secret in [Credential.apiKey("hidden"), .token("hidden"), .provider { "hidden" }] {
            var dumped = ""
            dump(secret, to: &dumped)
            XCTAssertFalse("\(secret) \(String(reflecting: secret)) \(dumped)".contains("hidden"))
        }
        var options = SignallingOptions()
        options.proxy = .url("http://user:hidden@proxy.example")
        var dumped = ""
        dump(options, to: &dumped)
        XCTAssertFalse("\(options) \(dumped)".contains("hidden"))
        XCTAssertFalse("\(Payload(text: "\"hidden\""))".contains("hidden"))
    }

    func testThreeClientsAtOnce() async throws {
        let server = try Server()
        let names = ["a", "b", "c"]
        let content = Locked(0)
        try await within {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for name in names {
                    group.addTask {
                        let client = try await server.client(name)
                        let events = client.events
                        try await client.connect()
                        try await client.subscribe("room")
                        // Who came later hears of all by what is said again.
                        var heard: Set<String> = []
                        let saying = Task {
                            while true {
                                try await client.publish("room", name)
                                try await Task.sleep(for: .milliseconds(20))
                            }
                        }
                        for await event in events {
                            if case .message(let message) = event { heard.insert(message.from) }
                            if heard.count == 2 { break }
                        }
                        // The others may still miss one of ours.
                        content.with { $0 += 1 }
                        try await until { content.with { $0 } == names.count }
                        saying.cancel()
                        try await client.shutdown()
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    func testErrorsSpeakAsLocalizedErrors() async throws {
        let server = try Server()
        let client = try await server.client("alice")
        let error = try await failure { try await client.publish("room", 1) }
        XCTAssertEqual(error.kind, .notConnected(currentState: "idle"))
        XCTAssertEqual(error.name, "NotConnectedError")
        XCTAssertEqual(error.localizedDescription, error.message)
        XCTAssertEqual(error.failureReason, error.cause)
        XCTAssertEqual(error.recoverySuggestion, error.fix)
        XCTAssert("\(error)".contains(error.fix) && "\(error)".contains("(\(error.code))"))
        let diagnosis = try Diagnosis(closeCode: 4_001)
        XCTAssertEqual(diagnosis.code, "4001")
        XCTAssertFalse(diagnosis.cause.isEmpty || diagnosis.fix.isEmpty)
    }

    func testAnAttemptTellsItsStepsAndAConnectionItsRoundTrip() async throws {
        let server = try Server()
        let client = try await server.client("alice")
        XCTAssertNil(client.lastAttempt)
        let none = try await within { try await client.roundTripMs() }
        XCTAssertNil(none)
        try await within { try await client.connect() }
        let attempt = try XCTUnwrap(client.lastAttempt)
        XCTAssertEqual(attempt.steps.map(\.step), [.resolving, .connecting, .upgrading])
        XCTAssert(attempt.steps.allSatisfy { $0.done && $0.tookMs >= 0 })
        XCTAssertEqual("ws://" + (attempt.address ?? ""), server.options.url)
        XCTAssertEqual(attempt.addresses, attempt.address.map { [$0] })
        XCTAssertNil(attempt.proxy)
        let roundTrip = try await within { try await client.roundTripMs() }
        XCTAssertGreaterThan(try XCTUnwrap(roundTrip), 0)
        try await within { try await client.shutdown() }
    }

    func testAnAttemptToAPortWhereNobodyListensEndsWhileConnecting() async throws {
        var options = SignallingOptions(url: "ws://127.0.0.1:9")
        options.reconnect = nil
        let client = try SignallingClient(.apiKey("pk_live_dev"), options: options)
        let error = try await failure { try await client.connect() }
        XCTAssertEqual(error.name, "SignallingConnectError")
        let attempt = try XCTUnwrap(client.lastAttempt)
        XCTAssertEqual(attempt.steps.map(\.step), [.resolving, .connecting])
        XCTAssertEqual(attempt.steps.map(\.done), [true, false])
        XCTAssertNil(attempt.clocks)
        try await within { try await client.shutdown() }
    }

    func testAnIceServerWhereNobodyListensSaysSo() async throws {
        let server = IceServer(urls: ["turn:127.0.0.1:9?transport=tcp"], username: "user", credential: "hidden")
        let error = try await failure { _ = try await server.ask() }
        XCTAssertEqual(error.kind, .iceCandidate(url: server.urls[0], errorCode: 701))
        XCTAssertEqual(error.code, "turn_unreachable")
        XCTAssertFalse(error.cause.isEmpty || error.fix.isEmpty)
        XCTAssertFalse("\(error)".contains("hidden"))
    }

    func testTheLogTellsNoToken() async throws {
        let server = try Server()
        let token = try await server.token("alice")
        let log = try MeteredLog.start(.trace)
        let client = try SignallingClient(.token(token), options: server.options)
        try await within { try await client.connect() }
        try await within { try await client.shutdown() }
        try MeteredLog.start(.error)
        let records = Locked<[LogRecord]>([])
        let reading = Task { for await record in log { records.with { $0.append(record) } } }
        try await until { records.with { !$0.isEmpty } }
        reading.cancel()
        try await within { await reading.value }
        for record in records.with({ $0 }) {
            XCTAssert(record.target.hasPrefix("metered_realtime"))
            XCTAssertFalse(record.message.contains(token))
        }
    }
}

/// A client and its server, which must outlive it.
struct ClientAndServer: Sendable {
    let client: SignallingClient
    let server: Server
}

extension Server {
    static func withClient() async throws -> ClientAndServer {
        let server = try Server()
        return ClientAndServer(client: try await server.client("alice"), server: server)
    }
}
