import Foundation
internal import MeteredRealtimeFFI

/// How a client proves who it is. Printing one does not show it.
public enum Credential: Sendable {
    /// A publishable key, `pk_live_…`: fixed rights, a new peer id on each connection.
    case apiKey(String)
    /// One token for all connections; when it ends, so does the client.
    case token(String)
    /// Asked for a token that is valid now, before each connection. It may throw; when it takes longer than
    /// ``SignallingOptions/tokenProviderTimeout``, it is given up and its task is cancelled.
    case provider(@Sendable () async throws -> String)
}

extension Credential: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Its kind alone.
    public var description: String {
        switch self {
        case .apiKey: "apiKey(…)"
        case .token: "token(…)"
        case .provider: "provider(…)"
        }
    }

    /// Its kind alone.
    public var debugDescription: String { description }
    /// Nothing of it.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension Credential {
    /// Makes an object of the library, which has one initialiser for credentials and one for providers.
    func make<Native>(
        _ make: (MeteredRealtimeFFI.Credential) throws -> Native,
        provided: (any MeteredRealtimeFFI.TokenProvider) throws -> Native
    ) throws -> Native {
        try native {
            switch self {
            case .apiKey(let key): try make(.apiKey(key: key))
            case .token(let token): try make(.token(token: token))
            case .provider(let ask): try provided(ProviderAdapter(ask))
            }
        }
    }
}

/// The app's provider, as the library asks it.
private final class ProviderAdapter: MeteredRealtimeFFI.TokenProvider {
    private let ask: @Sendable () async throws -> String

    init(_ ask: @escaping @Sendable () async throws -> String) { self.ask = ask }

    func token() async throws -> String {
        do {
            return try await ask()
        } catch {
            let said = (error as? any LocalizedError)?.errorDescription
            throw CallbackError.Failed(reason: said ?? String(describing: error))
        }
    }
}
