import XCTest

@testable import MeteredRealtime

private func one(of stream: AsyncStream<Int>) async -> Int? {
    for await number in stream { return number }
    return nil
}

/// Streams share one source, whoever of their readers pulls it, and whenever one gives up.
final class InboxTests: XCTestCase {
    /// Numbers from 0 on, then the end. As the library does, a pull that is given up has taken nothing.
    private final class Source: Sendable {
        private let made = Locked(0)
        private let pulls = Locked(0)
        private let total: Int

        init(_ total: Int) { self.total = total }

        var isPulled: Bool { pulls.with { $0 > 0 } }

        func pull(_ max: UInt32) async throws -> [Int] {
            pulls.with { $0 += 1 }
            defer { pulls.with { $0 -= 1 } }
            XCTAssertEqual(pulls.with { $0 }, 1, "two pulls at once")
            try await Task.sleep(for: .microseconds(Int.random(in: 0...200)))
            let count = Int.random(in: 1...Int(max))
            return made.with { made in
                let batch = Array(made..<min(made + count, total))
                made += batch.count
                return batch
            }
        }
    }

    func testAReaderThatGivesUpHandsThePullOn() async throws {
        let (asked, ask) = AsyncStream.makeStream(of: Void.self)
        let isFirst = Locked(true)
        let inbox = Inbox<Int> { _ in
            if isFirst.with({ first in defer { first = false }; return first }) {
                ask.yield()
                try await Task.sleep(for: .seconds(600))
            }
            return [7]
        }
        let (first, second) = (inbox.stream(), inbox.stream())
        let pulling = Task { await one(of: first) }
        _ = try await asked.next()
        let waiting = Task { await one(of: second) }
        // It may wait already, or not.
        try await Task.sleep(for: .milliseconds(20))
        pulling.cancel()
        let (nothing, event) = (try await within { await pulling.value }, try await within { await waiting.value })
        XCTAssertNil(nothing)
        XCTAssertEqual(event, 7)
    }

    func testOneStreamMayHaveSeveralReaders() async throws {
        let total = 5_000
        let source = Source(total)
        let stream = Inbox(batch: 8, pull: source.pull).stream()
        let readers = (0..<4).map { _ in
            Task {
                var heard: [Int] = []
                for await number in stream { heard.append(number) }
                return heard
            }
        }
        var all: [Int] = []
        for reader in readers {
            let heard = try await within { await reader.value }
            XCTAssertEqual(heard, heard.sorted())
            all += heard
        }
        XCTAssertEqual(all.sorted(), Array(0..<total))
    }

    func testReadersThatGiveUpAtAnyMomentTakeNothingFromOthers() async throws {
        let total = 20_000
        let source = Source(total)
        let inbox = Inbox(batch: 16, pull: source.pull)
        let steady = inbox.stream()
        let reading = Task {
            var heard: [Int] = []
            for await number in steady { heard.append(number) }
            return heard
        }
        let others = (0..<3).map { _ in
            Task {
                var ended = false
                while !ended {
                    let stream = inbox.stream()
                    let other = Task {
                        var heard: [Int] = []
                        for await number in stream { heard.append(number) }
                        return (heard, Task.isCancelled)
                    }
                    try await Task.sleep(for: .microseconds(Int.random(in: 0...2_000)))
                    other.cancel()
                    let (heard, cancelled) = await other.value
                    if let first = heard.first { XCTAssertEqual(heard, Array(first..<first + heard.count)) }
                    ended = !cancelled
                }
            }
        }
        let heard = try await within { await reading.value }
        XCTAssertEqual(heard, Array(0..<total))
        for other in others {
            other.cancel()
            _ = try? await within { try await other.value }
        }
        XCTAssertFalse(source.isPulled)
    }

    func testWhatTheLastReaderLeftTheNextOneGets() async throws {
        let total = 3_000
        let inbox = Inbox(batch: 16, pull: Source(total).pull)
        var all: [Int] = []
        while all.count < total {
            let read = Int.random(in: 1...40)
            // Gone with its stream before the next one comes.
            func some() async throws -> [Int] {
                let stream = inbox.stream()
                var heard: [Int] = []
                for await number in stream {
                    heard.append(number)
                    if heard.count == read { break }
                }
                return heard
            }
            all += try await some()
        }
        XCTAssertEqual(all, Array(0..<total))
    }
}
