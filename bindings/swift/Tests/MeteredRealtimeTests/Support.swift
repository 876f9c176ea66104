import Foundation
import XCTest

@testable import MeteredRealtime

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Longer than anything that should happen.
let limit: Duration = .seconds(20)

struct TookTooLong: Error {}

/// Does something, or fails at the limit.
func within<T: Sendable>(
    _ limit: Duration = limit, _ work: @escaping @Sendable () async throws -> T
) async throws -> T {
    try await withThrowingTaskGroup(of: T.self) { group in
        group.addTask(operation: work)
        group.addTask {
            try await Task.sleep(for: limit)
            throw TookTooLong()
        }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { throw TookTooLong() }
        return first
    }
}

/// Waits until something is so.
func until(_ isSo: @escaping @Sendable () async throws -> Bool) async throws {
    try await within { while try await !isSo() { try await Task.sleep(for: .milliseconds(10)) } }
}

/// An object that is not held here.
final class Weak<Object: AnyObject>: @unchecked Sendable { // written once, before it is shared
    private weak var object: Object?

    init(_ object: Object) { self.object = object }

    /// Waits until nobody holds it: a task lets go of what it had when it has ended, a moment after its value is
    /// there.
    func isFreed() async throws { try await until { self.object == nil } }
}

struct Missing: Error, CustomStringConvertible {
    let description: String
}

extension AsyncStream where Element: Sendable {
    /// The next element that fits; those before it are passed over.
    func next(where fits: @escaping @Sendable (Element) -> Bool = { _ in true }) async throws -> Element {
        try await within {
            for await element in self where fits(element) { return element }
            throw Missing(description: "the stream of \(Element.self) ended before")
        }
    }

    /// What the next element that fits has.
    func first<Found: Sendable>(_ find: @escaping @Sendable (Element) -> Found?) async throws -> Found {
        try await within {
            for await element in self { if let found = find(element) { return found } }
            throw Missing(description: "the stream of \(Element.self) ended before")
        }
    }
}

/// The error that a call must throw.
func failure(
    of call: @escaping @Sendable () async throws -> Void, file: StaticString = #filePath, line: UInt = #line
) async throws -> MeteredError {
    do {
        try await within(limit, call)
    } catch let error as MeteredError {
        XCTAssertFalse(error.cause.isEmpty || error.fix.isEmpty, file: file, line: line)
        return error
    }
    throw Missing(description: "nothing was thrown at line \(line)")
}

/// A dev server of one test.
final class Server: Sendable {
    private struct Said: Decodable {
        let url: String
        let httpUrl: String
        let secretId: String
        let secret: String
    }

    private struct Minted: Decodable { let token: String }

    private struct Seen: Decodable { let connections: [JSONValue] }

    private let process: Process
    private let input: Pipe
    private let said: Said

    init() throws {
        let environment = ProcessInfo.processInfo.environment
        guard let metered = environment["METERED_BIN"] else {
            throw Missing(description: "METERED_BIN is not set: run tools/swift")
        }
        process = Process()
        input = Pipe()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: metered)
        process.arguments = ["serve", "--json", "--port", "0", "--exit-with-stdin"]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var line = Data()
        while let byte = try output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty, byte != Data("\n".utf8) {
            line.append(byte)
        }
        said = try JSONDecoder().decode(Said.self, from: line)
    }

    /// For tests without an end of their own: the server ends with its standard input.
    deinit { try? input.fileHandleForWriting.close() }

    var url: String { said.url }

    var options: SignallingOptions { SignallingOptions(url: url) }

    func token(_ peerId: String, claims: [String: JSONValue] = [:]) async throws -> String {
        var request = URLRequest(url: try address("/v1/tokens"))
        request.httpMethod = "POST"
        request.setValue("Bearer \(said.secretId):\(said.secret)", forHTTPHeaderField: "authorization")
        request.httpBody = try JSONEncoder().encode(claims.merging(["peerId": .string(peerId)]) { $1 })
        let asked = request
        let (data, _) = try await within { try await URLSession.shared.data(for: asked) }
        return try JSONDecoder().decode(Minted.self, from: data).token
    }

    /// Connections that are open.
    func connections() async throws -> Int {
        let address = try address("/_dev/state")
        let (data, _) = try await within { try await URLSession.shared.data(from: address) }
        return try JSONDecoder().decode(Seen.self, from: data).connections.count
    }

    /// Cuts every connection.
    func drop() async throws {
        var request = URLRequest(url: try address("/_dev/drop"))
        request.httpMethod = "POST"
        let asked = request
        _ = try await within { try await URLSession.shared.data(for: asked) }
    }

    func client(_ peerId: String) async throws -> SignallingClient {
        try SignallingClient(.token(try await token(peerId)), options: options)
    }

    func peer(_ peerId: String) async throws -> MeteredPeer {
        try MeteredPeer(.token(try await token(peerId)), options: PeerOptions(signalling: options))
    }

    private func address(_ path: String) throws -> URL {
        guard let url = URL(string: said.httpUrl + path) else { throw Missing(description: path) }
        return url
    }
}

/// What the process holds.
struct Figures {
    let threads: Int
    let handles: Int
    let residentKiB: Int

    /// The SDK's threads, all handles, and the memory in use.
    static func now() throws -> Figures {
        let files = FileManager.default
        let tasks = try files.contentsOfDirectory(atPath: "/proc/self/task")
        // One that has just ended has no name any more.
        let names = tasks.compactMap { try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8) }
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let resident = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        let number = resident?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }
        return Figures(
            threads: names.filter { $0.hasPrefix("metered-sdk") }.count,
            handles: try files.contentsOfDirectory(atPath: "/proc/self/fd").count,
            residentKiB: number ?? 0)
    }
}
