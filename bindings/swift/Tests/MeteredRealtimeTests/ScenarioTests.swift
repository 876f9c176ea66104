import Foundation
import Testing

@testable import MeteredRealtime

/// Plays the scenarios: bindings/scenario/README.md says what their steps mean.
@Suite struct ScenarioTests {
    @Test(arguments: try Scenario.all()) func scenario(_ scenario: Scenario) async throws {
        try await Player(Server()).play(scenario.json)
    }
}

struct Scenario: Sendable, CustomTestStringConvertible {
    let name: String
    let json: JSONValue

    var testDescription: String { name }

    static func all() throws -> [Scenario] {
        let folder = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../scenario").standardized
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        let scenarios = try files.filter { $0.pathExtension == "json" }.map {
            Scenario(
                name: $0.deletingPathExtension().lastPathComponent,
                json: try JSONDecoder().decode(JSONValue.self, from: try Data(contentsOf: $0)))
        }
        guard !scenarios.isEmpty else { throw Missing(description: "no scenario in \(folder.path)") }
        return scenarios.sorted { $0.name < $1.name }
    }
}

/// A client, peer, remote or channel, with a stream of its events from its start on.
private enum Played: Sendable {
    case client(SignallingClient, AsyncStream<SignallingEvent>)
    case peer(MeteredPeer, AsyncStream<PeerEvent>)
    case remote(RemotePeer, AsyncStream<RemoteEvent>)
    case channel(DataChannel, AsyncStream<DataChannelEvent>)

    func shutdown() async throws {
        switch self {
        case .client(let client, _): try await client.shutdown()
        case .peer(let peer, _): try await peer.shutdown()
        case .remote, .channel: break
        }
    }

    /// Waits for a state.
    func reaches(_ state: String) async throws {
        switch self {
        case .client(let client, _): _ = try await client.states.next { $0.rawValue == state }
        case .peer(let peer, _): _ = try await peer.states.next { $0.rawValue == state }
        case .remote(let remote, _): _ = try await remote.states.next { $0.rawValue == state }
        case .channel(let channel, _): _ = try await channel.states.next { $0.rawValue == state }
        }
    }

    /// Waits for an event.
    func next(_ fits: @escaping @Sendable (Any) -> Bool) async throws -> any Sendable {
        switch self {
        case .client(_, let events): try await events.next { fits($0) }
        case .peer(_, let events): try await events.next { fits($0) }
        case .remote(_, let events): try await events.next { fits($0) }
        case .channel(_, let events): try await events.next { fits($0) }
        }
    }
}

private actor Player {
    private let server: Server
    private var objects: [[String]: Played] = [:]

    init(_ server: Server) { self.server = server }

    func play(_ scenario: JSONValue) async throws {
        guard case .object(let actors)? = scenario["actors"], case .array(let steps)? = scenario["steps"] else {
            throw Missing(description: "actors and steps")
        }
        for (name, said) in actors { try await act(name, said) }
        for (number, step) in steps.enumerated() {
            do {
                try await within { try await self.play(step: step) }
            } catch {
                throw Missing(description: "step \(number), \(step): \(error)")
            }
        }
        for _ in 0..<2 {
            for name in actors.keys {
                let actor = objects[[name]]
                try await within { try await actor?.shutdown() }
            }
        }
    }

    private func act(_ name: String, _ said: JSONValue) async throws {
        var claims: [String: JSONValue] = [:]
        if case .object(let given)? = said["claims"] { claims = given }
        let credential: Credential =
            said["credential"] == nil ? .token(try await server.token(name, claims: claims)) : .apiKey("pk_live_dev")
        if said["kind"] == "client" {
            let client = try SignallingClient(credential, options: server.options)
            objects[[name]] = .client(client, client.events)
        } else {
            let peer = try MeteredPeer(credential, options: PeerOptions(signalling: server.options))
            objects[[name]] = .peer(peer, peer.events)
        }
    }

    private func keep(_ step: JSONValue, _ channel: DataChannel) throws {
        objects[[try step.text("actor"), "channel", try step.text("as")]] = .channel(channel, channel.events)
    }

    private func play(step: JSONValue) async throws {
        var key = [try step.text("actor")]
        for part in ["channel", "remote"] where step[part] != nil { key += [part, try step.text(part)] }
        guard let played = objects[key] else { throw Missing(description: "\(key)") }
        if step["expect"] != nil {
            try await expect(played, step)
        } else if step["state"] != nil {
            try await played.reaches(try step.text("state"))
        } else if let wanted = step["fails"] {
            try await failure(played, step, wanted)
        } else {
            try await call(played, step)
        }
    }

    private func expect(_ played: Played, _ step: JSONValue) async throws {
        let variant = try step.text("expect")
        let wanted = step["where"]?.members ?? [:]
        let event = try await played.next { event in
            caseName(event) == variant.lowercasedFirst && wanted.allSatisfy { look(event, $0.key) == $0.value }
        }
        if case .peerJoined(let remote)? = event as? PeerEvent {
            objects[[try step.text("actor"), "remote", remote.id]] = .remote(remote, remote.events)
        }
        if case .dataChannelOpened(let channel)? = event as? RemoteEvent { try keep(step, channel) }
    }

    private func failure(_ played: Played, _ step: JSONValue, _ wanted: JSONValue) async throws {
        do {
            try await call(played, step)
        } catch let error as MeteredError {
            for (path, value) in wanted.members {
                let found = path == "class" ? .string(error.name) : look(path == "code" ? error : error.kind, path)
                guard found == value else { throw Missing(description: "\(path) is \(String(describing: found))") }
            }
            guard !error.cause.isEmpty, !error.fix.isEmpty else { throw Missing(description: "cause and fix") }
            return
        }
        throw Missing(description: "it did not fail")
    }

    private func call(_ played: Played, _ step: JSONValue) async throws {
        let (method, given) = (try step.text("do"), step["with"] ?? .object([:]))
        switch (played, method) {
        case (.client(let client, _), "connect"): try await client.connect()
        case (.client(let client, _), "disconnect"):
            try await client.disconnect(
                closeCode: given["closeCode"]?.intValue ?? 0, reason: try given.text("reason"))
        case (.client(let client, _), "subscribe"): try await client.subscribe(try given.text("channel"))
        case (.client(let client, _), "unsubscribe"): try await client.unsubscribe(try given.text("channel"))
        case (.client(let client, _), "publish"):
            try await client.publish(try given.text("channel"), given["dataJson"])
        case (.client(let client, _), "send"):
            try await client.send(given["dataJson"], to: try given.text("peerId"))
        case (.client(let client, _), "shutdown"): try await client.shutdown()
        case (.peer(let peer, _), "join"): try await peer.join(try given.text("channel"))
        case (.peer(let peer, _), "leave"): try await peer.leave(reason: try given.text("reason"))
        case (.peer(let peer, _), "send"): try await peer.send(given["dataJson"])
        case (.peer(let peer, _), "sendTo"):
            try await peer.send(given["dataJson"], to: try given.text("peerId"))
        case (.peer(let peer, _), "shutdown"): try await peer.shutdown()
        case (.remote(let remote, _), "send"): try await remote.send(given["dataJson"])
        case (.remote(let remote, _), "openDataChannel"):
            var options = DataChannelOptions()
            options.protocol = try given.text("protocol")
            try keep(step, try await remote.openDataChannel(try given.text("label"), options: options))
        case (.channel(let channel, _), "sendText"): try await channel.send(try given.text("text"))
        case (.channel(let channel, _), "sendBytes"):
            try await channel.send(Data(base64Encoded: try given.text("dataBase64")) ?? Data())
        case (.channel(let channel, _), "shutdown"): try await channel.shutdown()
        default: throw Missing(description: method)
        }
    }
}

extension JSONValue {
    fileprivate func text(_ name: String) throws -> String {
        guard let text = self[name]?.stringValue else { throw Missing(description: name) }
        return text
    }

    fileprivate var members: [String: JSONValue] {
        if case .object(let members) = self { members } else { [:] }
    }
}

extension String {
    fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}

private func caseName(_ event: Any) -> String {
    Mirror(reflecting: event).children.first?.label ?? "\(event)"
}

/// The value at a path of names, as scenarios write it.
private func look(_ value: Any, _ path: String) -> JSONValue? {
    var inside: Any? = value
    for name in path.split(separator: ".") {
        guard let here = inside else { return nil }
        if let index = Int(name) {
            inside = (here as? [Any]).flatMap { $0.indices.contains(index) ? $0[index] : nil }
        } else {
            inside = fields(here)[String(name.replacing(/(Json|Base64)$/, with: ""))]
        }
    }
    return inside.flatMap(json)
}

private func fields(_ value: Any) -> [String: Any] {
    let mirror = Mirror(reflecting: value)
    var found: [String: Any] = [:]
    for case let (name?, child) in mirror.children {
        found[name] = unwrapped(child)
        // Of an enumeration: what the case carries.
        guard mirror.displayStyle == .enum else { continue }
        if child is Data { found["data"] = child }
        for case let (name?, inner) in Mirror(reflecting: child).children { found[name] = unwrapped(inner) }
    }
    return found
}

private func unwrapped(_ value: Any) -> Any? {
    let mirror = Mirror(reflecting: value)
    return mirror.displayStyle == .optional ? mirror.children.first?.value : value
}

private func json(_ value: Any) -> JSONValue? {
    switch value {
    case let payload as Payload: try? payload.json
    case let data as Data: .string(data.base64EncodedString())
    case let flag as Bool: .bool(flag)
    case let number as Int: .integer(Int64(number))
    case let text as String: .string(text)
    case let state as any RawRepresentable<String>: .string(state.rawValue)
    default: nil
    }
}
