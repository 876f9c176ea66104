internal import MeteredRealtimeFFI

/// Options of a ``SignallingClient``. The defaults are those of the JavaScript SDK.
public struct SignallingOptions: Equatable, Sendable {
    /// Base address: `wss://host[:port]` without a path; `ws://` for this machine only.
    public var url = "wss://rms.metered.ca"
    /// How often to try again; `nil`: the first drop ends the client.
    public var reconnect: ReconnectOptions? = ReconnectOptions()
    /// Silence after which the connection is given up; `nil` for never.
    public var inactivityTimeout: Duration? = .seconds(60)
    /// How long a token provider may take.
    public var tokenProviderTimeout: Duration = .seconds(10)
    /// Whether subscriptions are made anew on each new connection.
    public var autoResubscribe = true
    /// Whether tokens are looked into before they are sent.
    public var preflight = true
    /// The rate at which requests leave; `nil`: as they come, at the risk of close code 4011.
    public var pacing: PacingOptions? = PacingOptions()
    /// The `Origin` header.
    public var origin: String?
    /// Further headers of the upgrade request.
    public var headers: [String: String] = [:]
    /// The way out.
    public var proxy: Proxy = .environment
    /// Further roots of trust as PEM texts; for test servers and company proxies.
    public var extraRootsPEM: [String] = []
    /// Public keys, one of which the server's chain must have: `sha256/BASE64`, as in RFC 7469.
    public var pins: [String] = []

    /// The defaults, at another address if one is given.
    public init(url: String? = nil) {
        if let url { self.url = url }
    }
}

/// How often to try again after a drop.
public struct ReconnectOptions: Equatable, Sendable {
    /// Wait before the first attempt.
    public var initialDelay: Duration = .milliseconds(500)
    /// Factor from one wait to the next; 1 or more.
    public var multiplier = 2.0
    /// Longest wait.
    public var maxDelay: Duration = .seconds(30)
    /// Share of the wait that chance adds or takes, 0 to 1.
    public var jitterRatio = 0.2
    /// Attempts after one drop; `nil` for no end.
    public var maxAttempts: Int? = 100

    /// The defaults.
    public init() {}
}

/// The rate at which requests leave.
public struct PacingOptions: Equatable, Sendable {
    /// Requests per second in the long run; more than 0.
    public var perSecond = 100.0
    /// Requests at once after a pause; 1 or more.
    public var burst = 150

    /// The defaults.
    public init() {}
}

/// The way out. Printing one does not show its URL, which may hold a password.
public enum Proxy: Equatable, Sendable {
    /// As the environment says.
    case environment
    /// Straight.
    case direct
    /// Through this proxy, always: `http://[user:password@]host[:port]`, or `https://…`.
    case url(String)
}

extension Proxy: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Its kind alone.
    public var description: String {
        switch self {
        case .environment: "environment"
        case .direct: "direct"
        case .url: "url(…)"
        }
    }

    /// Its kind alone.
    public var debugDescription: String { description }
    /// Nothing of it.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

// Below 0 is out of every option's range, and so is 0 where it has no meaning of its own: clamping is enough,
// and the library names the option.

extension SignallingOptions {
    var native: MeteredRealtimeFFI.SignallingOptions {
        MeteredRealtimeFFI.SignallingOptions(
            url: url,
            reconnect: MeteredRealtimeFFI.ReconnectOptions(
                enabled: reconnect != nil,
                initialDelayMs: reconnect?.initialDelay.milliseconds,
                multiplier: reconnect?.multiplier,
                maxDelayMs: reconnect?.maxDelay.milliseconds,
                jitterRatio: reconnect?.jitterRatio,
                maxAttempts: reconnect?.maxAttempts.map { UInt32(clamping: $0) },
                unlimitedAttempts: reconnect.map { $0.maxAttempts == nil } ?? false),
            inactivityTimeoutMs: inactivityTimeout?.milliseconds ?? 0,
            tokenProviderTimeoutMs: tokenProviderTimeout.milliseconds,
            autoResubscribe: autoResubscribe,
            preflight: preflight,
            pacing: pacing.map {
                MeteredRealtimeFFI.PacingOptions(perSecond: $0.perSecond, burst: UInt32(clamping: $0.burst))
            },
            unpaced: pacing == nil,
            origin: origin,
            headers: headers.sorted { $0.key < $1.key }.map { Header(name: $0.key, value: $0.value) },
            proxy: proxy.native,
            extraRootsPem: extraRootsPEM,
            pins: pins)
    }
}

extension Proxy {
    fileprivate var native: ProxySetting {
        switch self {
        case .environment: .environment
        case .direct: .direct
        case .url(let url): .url(url: url)
        }
    }
}
