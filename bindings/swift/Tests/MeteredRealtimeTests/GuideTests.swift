import Foundation
import Testing

@testable import MeteredRealtime

private struct Greeting: Codable, Equatable { let text: String }

/// The snippets of docs/swift.md: they compile here, run against the server, and are what the page says.
@Suite struct GuideTests {
    @Test func thePageHasTheseSnippets() throws {
        let here = URL(fileURLWithPath: #filePath)
        let page = here.appendingPathComponent("../../../../../docs/swift.md").standardized
        let call = here.deletingLastPathComponent().appendingPathComponent("CallGuideTests.swift")
        let source = try [here, call].map { Self.flat(try String(contentsOf: $0, encoding: .utf8)) }.joined()
        let parts = try String(contentsOf: page, encoding: .utf8).components(separatedBy: "```swift\n").dropFirst()
        #expect(parts.count == 15)
        for part in parts {
            let snippet = part.components(separatedBy: "```")[0]
            #expect(source.contains(Self.flat(snippet)), "\(snippet)")
        }
    }

    /// The lines without their indentation.
    private static func flat(_ text: String) -> String {
        text.split(separator: "\n").map { $0.drop(while: { $0 == " " }) }.joined(separator: "\n")
    }

    @Test func connect() async throws {
        let server = try Server()
        let (key, options) = ("pk_live_dev", server.options)
        let client = try SignallingClient(.apiKey(key), options: options)
        let events = client.events
        try await client.connect()
        try await client.subscribe("room")
        try await client.publish("room", Greeting(text: "hello"))
        let reading = Task { try await read(events) }
        let other = try await server.client("other")
        try await within { try await other.connect() }
        try await within { try await other.publish("room", Greeting(text: "hi")) }
        try await within { try await other.shutdown() }
        try await until { client.welcome != nil }
        let following = Task { await follow(client) }
        try await within { try await client.shutdown() }
        try await within { try await reading.value }
        try await within { await following.value }
        await #expect(throws: MeteredError.self) { try await client.connect() }
        try await within { try await handled(client) }
    }

    private func read(_ events: AsyncStream<SignallingEvent>) async throws {
        for await event in events {
            switch event {
            case .message(let message):
                let greeting = try message.data.decode(as: Greeting.self)
                print(message.from, greeting.text)
            case .presence(let presence):
                print(presence.joined.map(\.peerId), "came to", presence.channel)
            case .disconnected(let lost) where !lost.willReconnect:
                print(lost.error.cause, lost.error.fix)
            default:
                break
            }
        }
    }

    private func follow(_ client: SignallingClient) async {
        for await state in client.states { print("now", state) }
    }

    private func handled(_ client: SignallingClient) async throws {
        do {
            try await client.publish("room", Greeting(text: "hello"))
        } catch let error as MeteredError {
            switch error.kind {
            case .notConnected(let state): print("not now:", state)
            case .serverRequest: print("refused:", error.code)
            default: print(error.message, error.cause, error.fix)
            }
        }
    }

    @Test func aDiagnosis() async throws {
        let server = try Server()
        let client = try await server.client("alice")
        try await within { try await client.connect() }
        let relay = IceServer(urls: ["turn:127.0.0.1:9?transport=tcp"], username: "user", credential: "password")
        try await within { try await diagnose(client, relay) }
        try await within { try await client.shutdown() }
    }

    private func diagnose(_ client: SignallingClient, _ relay: IceServer) async throws {
        for step in client.lastAttempt?.steps ?? [] {
            print(step.step, step.tookMs, "ms, done:", step.done)
        }
        if let roundTripMs = try await client.roundTripMs() { print("to the service and back:", roundTripMs, "ms") }
        do {
            print("the relay gave", try await relay.ask().address ?? "no other address")
        } catch let error as MeteredError {
            print(error.message, error.cause, error.fix)
        }
    }

    @Test func aProvider() async throws {
        let server = try Server()
        let options = server.options
        let fetchToken: @Sendable () async throws -> String = { try await server.token("alice") }
        let client = try SignallingClient(.provider { try await fetchToken() }, options: options)
        try await within { try await client.connect() }
        #expect(client.welcome?.peerId == "alice")
        try await within { try await client.shutdown() }
    }

    @Test func roomsAndDataChannels() async throws {
        let server = try Server()
        let guest = try await server.peer("guest")
        let host = Task { try await lobby(try await server.token("host"), server.options) }
        let events = guest.events
        try await within { try await guest.join("lobby") }
        let remote = try await events.first { event in
            if case .peerJoined(let remote) = event { remote } else { nil }
        }
        let greeting = try await events.first { if case .data(let data) = $0 { data } else { nil } }
        #expect(try greeting.data.decode(as: Greeting.self) == Greeting(text: "welcome, guest"))
        try await within { try await open(remote) }
        host.cancel()
        try await within { try await host.value }
        try await within { try await guest.shutdown() }
    }

    private func lobby(_ token: String, _ options: SignallingOptions) async throws {
        let peer = try MeteredPeer(.token(token), options: PeerOptions(signalling: options))
        let events = peer.events
        try await peer.join("lobby")
        for await event in events {
            switch event {
            case .peerJoined(let remote):
                try await remote.send(Greeting(text: "welcome, \(remote.id)"))
            case .data(let data):
                print(data.senderPeerId, try data.data.json)
            case .left(let reason):
                print("left:", reason)
            default:
                break
            }
        }
        try await peer.shutdown()
    }

    private func open(_ remote: RemotePeer) async throws {
        let channel = try await remote.openDataChannel("chat")
        try await channel.send("hello")
        try await channel.send(Data([1, 2, 3]))
    }

    @Test func theOtherSideOfAChannel() async throws {
        let server = try Server()
        let (alice, bob) = (try await server.peer("alice"), try await server.peer("bob"))
        for peer in [alice, bob] { try await within { try await peer.join("room") } }
        let joined: @Sendable (PeerEvent) -> RemotePeer? = { event in
            if case .peerJoined(let remote) = event { remote } else { nil }
        }
        let toBob = try await alice.events.first(joined)
        let toAlice = try await bob.events.first(joined)
        let receiving = Task { await receive(toAlice) }
        let channel = try await within { try await toBob.openDataChannel("chat") }
        try await within { try await channel.send("hello") }
        try await within { try await channel.shutdown() }
        for peer in [alice, bob] { try await within { try await peer.shutdown() } }
        receiving.cancel()
        try await within { await receiving.value }
    }

    private func receive(_ remote: RemotePeer) async {
        for await case .dataChannelOpened(let channel) in remote.events {
            for await event in channel.events {
                switch event {
                case .text(let text): print(text)
                case .binary(let data): print(data.count, "bytes")
                case .closed: print("closed")
                default: break
                }
            }
        }
    }
}
