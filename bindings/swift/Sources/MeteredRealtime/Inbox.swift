/// The events of one object, for any number of streams.
///
/// There is no task that pulls for ever: a stream that has nothing left has the next batch pulled. Each stream
/// gets each event, and nothing is pulled while one still has a batch to read, so the slowest sets the pace.
/// What no stream has read when the last one goes, the next one gets. A stream keeps the inbox and with it the
/// library's object; nothing else does.
final class Inbox<Event: Sendable>: Sendable {
    private typealias Waiter = CheckedContinuation<Event?, Never>

    private struct Reader {
        var unread: ArraySlice<Event> = []
        var waiters: [(id: Int, waiter: Waiter)] = []
    }

    private struct State {
        var readers: [Int: Reader] = [:]
        var unread: ArraySlice<Event> = []
        var pulling: Task<Void, Never>?
        var ended = false
        var lastId = 0

        mutating func id() -> Int {
            lastId += 1
            return lastId
        }

        /// Gives a batch to all readers; who waits is answered. After the end all are.
        mutating func hand(_ batch: [Event]) -> [(Waiter, Event?)] {
            var answers: [(Waiter, Event?)] = []
            if readers.isEmpty { unread.append(contentsOf: batch) }
            for id in readers.keys {
                readers[id]?.unread.append(contentsOf: batch)
                while let first = readers[id]?.waiters.first {
                    let event = readers[id]?.unread.popFirst()
                    guard event != nil || ended else { break }
                    readers[id]?.waiters.removeFirst()
                    answers.append((first.waiter, event))
                }
            }
            return answers
        }
    }

    private let state = Locked(State())
    private let batch: UInt32
    private let pull: @Sendable (UInt32) async throws -> [Event]

    /// `pull` gives up to so many events, at least one; none after the end.
    init(batch: UInt32 = 64, pull: @escaping @Sendable (UInt32) async throws -> [Event]) {
        self.batch = batch
        self.pull = pull
    }

    /// A stream from now on.
    func stream() -> AsyncStream<Event> {
        let membership = Membership(self, enter())
        return AsyncStream { await membership.next() }
    }

    /// Leaves when its stream is gone.
    private final class Membership: Sendable {
        private let inbox: Inbox
        private let reader: Int

        init(_ inbox: Inbox, _ reader: Int) {
            self.inbox = inbox
            self.reader = reader
        }

        deinit { inbox.leave(reader) }

        func next() async -> Event? { await inbox.next(reader) }
    }

    private func enter() -> Int {
        state.with { state in
            let id = state.id()
            let isFirst = state.readers.isEmpty
            state.readers[id] = Reader(unread: isFirst ? state.unread : [])
            if isFirst { state.unread = [] }
            return id
        }
    }

    private func leave(_ reader: Int) {
        let inVain: Task<Void, Never>? = state.with { state in
            guard let gone = state.readers.removeValue(forKey: reader) else { return nil }
            guard state.readers.isEmpty else {
                pullIfWanted(&state)
                return nil
            }
            state.unread = gone.unread
            return state.pulling
        }
        inVain?.cancel()
    }

    /// What is there already, without a continuation.
    private func unread(_ reader: Int) -> Event? {
        state.with { state in
            guard let event = state.readers[reader]?.unread.popFirst() else { return nil }
            pullIfWanted(&state)
            return event
        }
    }

    private func next(_ reader: Int) async -> Event? {
        if let event = unread(reader) { return event }
        let id = state.with { $0.id() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                let answer: Event?? = state.with { state in
                    if let event = state.readers[reader]?.unread.popFirst() {
                        pullIfWanted(&state)
                        return event
                    }
                    // Under the lock: a cancellation after this one finds the waiter.
                    if state.ended || Task.isCancelled { return .some(nil) }
                    state.readers[reader]?.waiters.append((id, waiter))
                    pullIfWanted(&state)
                    return nil
                }
                if let answer { waiter.resume(returning: answer) }
            }
        } onCancel: {
            let waiter: Waiter? = state.with { state in
                guard let place = state.readers[reader]?.waiters.firstIndex(where: { $0.id == id }) else { return nil }
                return state.readers[reader]?.waiters.remove(at: place).waiter
            }
            waiter?.resume(returning: nil)
        }
    }

    private func pullIfWanted(_ state: inout State) {
        guard !state.ended, state.pulling == nil,
            state.readers.values.contains(where: { !$0.waiters.isEmpty }),
            state.readers.values.allSatisfy({ $0.unread.count < Int(batch) })
        else { return }
        state.pulling = Task { await self.pullOnce() }
    }

    private func pullOnce() async {
        var events: [Event] = []
        var isOver = false
        do {
            events = try await pull(batch)
            isOver = events.isEmpty
        } catch {
            // Besides our own cancellation only a fault of the library gets here. A stream cannot throw: it
            // ends, and every further call says why.
            isOver = !(error is CancellationError)
        }
        let answers: [(Waiter, Event?)] = state.with { state in
            state.pulling = nil
            if isOver { state.ended = true }
            let answers = state.hand(events)
            pullIfWanted(&state)
            return answers
        }
        for (waiter, event) in answers { waiter.resume(returning: event) }
    }
}

/// The states of one object: the present one, then each further one; ends after the object's `shutdown`.
func stateStream<State: Equatable & Sendable>(
    now: @escaping @Sendable () -> State, after: @escaping @Sendable (State) async throws -> State
) -> AsyncStream<State> {
    let told = Locked<State?>(nil)
    return AsyncStream {
        let next: State
        if let last = told.with({ $0 }) {
            // The same again says that no other will follow; an error, that the task was cancelled.
            guard let changed = try? await after(last), changed != last else { return nil }
            next = changed
        } else {
            next = now()
        }
        told.with { $0 = next }
        return next
    }
}
