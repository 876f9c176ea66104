/// The events of one object, for any number of streams.
///
/// No task pulls for ever: the reader that has nothing left pulls the next batch itself, and others that have
/// nothing left wait for it. Each stream gets each event, and nothing is pulled while one still has a batch to
/// read, so the slowest sets the pace. What no stream has read when the last one goes, the next one gets. A
/// stream keeps the inbox and with it the library's object; nothing else does.
final class Inbox<Event: Sendable>: Sendable {
    private typealias Waiter = CheckedContinuation<Void, Never>

    /// What one stream has not read yet.
    private final class Reader: @unchecked Sendable { // the inbox's lock guards it
        private var events: [Event]
        private var read = 0

        init(_ events: [Event]) { self.events = events }

        var unread: Int { events.count - read }

        func take() -> Event? {
            guard read < events.count else { return nil }
            let event = events[read]
            read += 1
            if read == events.count { (events, read) = ([], 0) }
            return event
        }

        func add(_ batch: [Event]) { (events, read) = (events.isEmpty ? batch : rest() + batch, 0) }

        func rest() -> [Event] { Array(events[read...]) }
    }

    /// What a reader's task does next.
    private enum Turn {
        case reads(Event)
        case pulls
        case waits
        case ends
    }

    private struct State {
        var readers: [Reader] = []
        /// What the last stream left when it went.
        var unread: [Event] = []
        var waiters: [(id: Int, waiter: Waiter)] = []
        var isPulling = false
        var hasEnded = false
        var lastId = 0

        func mayPull(_ batch: Int) -> Bool { !isPulling && readers.allSatisfy { $0.unread < batch } }

        /// Who waits and shall look again because somebody may pull now. It hands that on if it does not.
        mutating func heir(_ batch: Int) -> Waiter? {
            waiters.isEmpty || !mayPull(batch) ? nil : waiters.removeFirst().waiter
        }

        /// Everybody who waits.
        mutating func all() -> [Waiter] {
            defer { waiters = [] }
            return waiters.map(\.waiter)
        }
    }

    private let state = Locked(State())
    private let batch: Int
    private let pull: @Sendable (UInt32) async throws -> [Event]

    /// `pull` gives up to so many events, at least one; none after the end.
    init(batch: UInt32 = 64, pull: @escaping @Sendable (UInt32) async throws -> [Event]) {
        self.batch = Int(batch)
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
        private let reader: Reader

        init(_ inbox: Inbox, _ reader: Reader) {
            self.inbox = inbox
            self.reader = reader
        }

        deinit { inbox.leave(reader) }

        func next() async -> Event? { await inbox.next(reader) }
    }

    private func enter() -> Reader {
        state.with { state in
            let reader = Reader(state.readers.isEmpty ? state.unread : [])
            if state.readers.isEmpty { state.unread = [] }
            state.readers.append(reader)
            return reader
        }
    }

    private func leave(_ reader: Reader) {
        let heir = state.with { state in
            state.readers.removeAll { $0 === reader }
            if state.readers.isEmpty { state.unread = reader.rest() }
            return state.heir(batch)
        }
        heir?.resume()
    }

    private func next(_ reader: Reader) async -> Event? {
        while true {
            switch turn(reader) {
            case .reads(let event): return event
            case .pulls: await pullOnce()
            case .waits: await wait(reader)
            case .ends: return nil
            }
        }
    }

    private func turn(_ reader: Reader) -> Turn {
        let isCancelled = Task.isCancelled
        let (turn, heir): (Turn, Waiter?) = state.with { state in
            if isCancelled { return (.ends, state.heir(batch)) }
            if let event = reader.take() {
                // It may have been the slowest.
                return (.reads(event), reader.unread == batch - 1 ? state.heir(batch) : nil)
            }
            if state.hasEnded { return (.ends, nil) }
            guard state.mayPull(batch) else { return (.waits, nil) }
            state.isPulling = true
            return (.pulls, nil)
        }
        heir?.resume()
        return turn
    }

    /// Until it is worth to look again.
    private func wait(_ reader: Reader) async {
        let id = state.with { state in
            state.lastId += 1
            return state.lastId
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: Waiter) in
                let isOver = state.with { state in
                    // Under the lock: a cancellation after this one finds the waiter.
                    if reader.unread > 0 || state.hasEnded || Task.isCancelled || state.mayPull(batch) { return true }
                    state.waiters.append((id, waiter))
                    return false
                }
                if isOver { waiter.resume() }
            }
        } onCancel: {
            let waiter: Waiter? = state.with { state in
                guard let place = state.waiters.firstIndex(where: { $0.id == id }) else { return nil }
                return state.waiters.remove(at: place).waiter
            }
            waiter?.resume()
        }
    }

    /// In the reader's own task: a batch wakes nobody else if nobody else reads.
    private func pullOnce() async {
        var events: [Event] = []
        var isOver = false
        do {
            events = try await pull(UInt32(batch))
            isOver = events.isEmpty
        } catch {
            // Besides the reader's cancellation only a fault of the library gets here. A stream cannot throw: it
            // ends, and every further call says why.
            isOver = !(error is CancellationError)
        }
        let waiters: [Waiter] = state.with { state in
            state.isPulling = false
            if isOver { state.hasEnded = true }
            for reader in state.readers { reader.add(events) }
            if state.readers.isEmpty { state.unread += events }
            // Given up, it has taken nothing, and another one pulls.
            return events.isEmpty && !isOver ? state.heir(batch).map { [$0] } ?? [] : state.all()
        }
        for waiter in waiters { waiter.resume() }
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
