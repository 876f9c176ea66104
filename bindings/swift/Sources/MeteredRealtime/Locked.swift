import Foundation

/// A value behind a lock. Nothing of the app or of the library is called while it is held.
final class Locked<Value>: @unchecked Sendable { // the lock guards the value
    private let lock = NSLock()
    private var value: Value

    init(_ value: Value) { self.value = value }

    func with<Result>(_ work: (inout Value) throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try work(&value)
    }
}
