internal import MeteredRealtimeFFI

/// What concerns the SDK as a whole.
public enum MeteredSDK {
    /// Shuts every client and peer down and ends the SDK's threads; done when they are gone. A later call
    /// of anything starts them again. Throws a ``MeteredError``.
    public static func shutdownAll() async throws {
        try await nativeToTheEnd { try await MeteredRealtimeFFI.shutdownAll() }
    }
}
