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

/// A client, peer, remote, channel or track, with a stream of its events from its start on.
private enum Played: Sendable {
    case client(SignallingClient, AsyncStream<SignallingEvent>)
    case peer(MeteredPeer, AsyncStream<PeerEvent>)
    case remote(RemotePeer, AsyncStream<RemoteEvent>)
    case channel(DataChannel, AsyncStream<DataChannelEvent>)
    case local(LocalTrack)
    case picture(AsyncStream<FrameEvent>)
    case sound(RemoteAudioTrack)

    func shutdown() async throws {
        switch self {
        case .client(let client, _): try await client.shutdown()
        case .peer(let peer, _): try await peer.shutdown()
        default: break
        }
    }

    /// Waits for a state.
    func reaches(_ state: String) async throws {
        switch self {
        case .client(let client, _): _ = try await client.states.next { $0.rawValue == state }
        case .peer(let peer, _): _ = try await peer.states.next { $0.rawValue == state }
        case .remote(let remote, _): _ = try await remote.states.next { $0.rawValue == state }
        case .channel(let channel, _): _ = try await channel.states.next { $0.rawValue == state }
        case .local, .picture, .sound: throw Missing(description: "a track has no state")
        }
    }

    /// Waits for an event.
    func next(_ fits: @escaping @Sendable (Any) -> Bool) async throws -> any Sendable {
        switch self {
        case .client(_, let events): try await events.next { fits($0) }
        case .peer(_, let events): try await events.next { fits($0) }
        case .remote(_, let events): try await events.next { fits($0) }
        case .channel(_, let events): try await events.next { fits($0) }
        case .picture(let events): try await events.next { fits($0) }
        case .local, .sound: throw Missing(description: "no events")
        }
    }
}

private actor Player {
    private let server: Server
    private var objects: [[String]: Played] = [:]
    /// What goes on until the scenario ends.
    private var backgrounds: [Background] = []
    /// Tracks of which pictures were seen.
    private var seen: Set<[String]> = []

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
        for part in ["channel", "remote", "local", "track"] where step[part] != nil { key += [part, try step.text(part)] }
        guard let played = objects[key] else { throw Missing(description: "\(key)") }
        if step["expect"] != nil {
            try await expect(played, step)
        } else if step["state"] != nil {
            try await played.reaches(try step.text("state"))
        } else if let count = step["receives"]?.intValue {
            try await receives(played, key, count)
        } else if case .array(let bounds)? = step["level"], case .sound(let track) = played {
            try await level(track, bounds.compactMap(\.intValue))
        } else if step["ends"] != nil {
            try await ends(played)
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
            caseName(event) == variant.lowercasedFirst
                && wanted.allSatisfy { look(subject(of: event), $0.key) == $0.value }
        }
        if case .peerJoined(let remote)? = event as? PeerEvent {
            objects[[try step.text("actor"), "remote", remote.id]] = .remote(remote, remote.events)
        }
        if case .dataChannelOpened(let channel)? = event as? RemoteEvent { try keep(step, channel) }
        if case .trackAdded(let track)? = event as? RemoteEvent {
            let key = [try step.text("actor"), "track", try step.text("as")]
            switch track.media {
            case .video(let video): objects[key] = .picture(try video.frames())
            case .audio(let audio): objects[key] = .sound(audio)
            }
        }
    }

    /// So many more pictures, each of them one that was sent; the first of all is a key frame.
    private func receives(_ played: Played, _ key: [String], _ count: Int) async throws {
        let pictures = Set(try clip())
        for number in 0..<count {
            guard case .frame(let unit)? = try await played.next({ caseName($0) == "frame" }) as? FrameEvent else {
                throw Missing(description: "no picture")
            }
            guard pictures.contains(unit.data) else { throw Missing(description: "picture \(number) is torn") }
            guard seen.contains(key) || unit.keyFrame else { throw Missing(description: "a key frame first") }
            seen.insert(key)
        }
    }

    /// Plays it out until it is as loud as that, in dBFS.
    private func level(_ track: RemoteAudioTrack, _ bounds: [Int]) async throws {
        let output = try track.playout(mono)
        try await everyTenMilliseconds {
            var pcm = [Int16](repeating: 0, count: 480)
            try output.pull(into: &pcm)
        } until: {
            let level = output.level.rmsDbfs
            return bounds.count == 2 && Float(bounds[0]) <= level && level <= Float(bounds[1])
        }
    }

    private func ends(_ played: Played) async throws {
        switch played {
        case .picture(let events): for await _ in events {}
        case .sound(let track): while !track.isEnded { try await Task.sleep(for: .milliseconds(10)) }
        default: throw Missing(description: "no track")
        }
    }

    /// Adds a picture and a sound that go on until the scenario ends.
    private func addStream(_ peer: MeteredPeer, _ actor: String, _ given: JSONValue) throws {
        let (video, audio) = (try LocalVideoTrack(.vp8), try LocalAudioTrack())
        try audio.setEncoding(OpusEncoding(dtx: false))  // takes a steady tone for silence
        objects[[actor, "local", try given.text("video")]] = .local(video)
        objects[[actor, "local", try given.text("audio")]] = .local(audio)
        try peer.addStream(MediaStream([video, audio], id: try given.text("streamId")))
        backgrounds += [try film(video), sing(audio, Double(given["hertz"]?.intValue ?? 0), mono)]
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
        case (.peer(let peer, _), "addStream"): try addStream(peer, try step.text("actor"), given)
        case (.peer(let peer, _), "removeTrack"):
            guard case .local(let track)? = objects[[try step.text("actor"), "local", try given.text("track")]] else {
                throw Missing(description: "no such track")
            }
            try peer.removeTrack(track)
        case (.local(let track), "setMuted"): try track.setMuted(given["muted"] == .bool(true))
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

/// What a scenario asks: of a track that came, the track.
private func subject(of event: Any) -> Any {
    if case .trackAdded(let track)? = event as? RemoteEvent { track } else { event }
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
