import Foundation
internal import MeteredRealtimeFFI

/// A step on the way to an open WebSocket, in their order.
public enum ConnectStep: String, Sendable {
    /// Looking up the name of the server, or of the proxy.
    case resolving
    /// Connecting to one of its addresses.
    case connecting
    /// Asking the proxy for a tunnel.
    case proxy
    /// Agreeing on encryption with the server.
    case tls
    /// Asking the server for a WebSocket.
    case upgrading
}

/// A step of an ``Attempt`` and what became of it.
public struct AttemptStep: Equatable, Sendable {
    /// Which.
    public let step: ConnectStep
    /// How long it took, or has taken so far, in milliseconds.
    public let tookMs: Double
    /// Whether it succeeded. The last step of an attempt that failed did not.
    public let done: Bool

    init(_ step: MeteredRealtimeFFI.AttemptStep) {
        self.step =
            switch step.step {
            case .resolving: .resolving
            case .connecting: .connecting
            case .proxy: .proxy
            case .tls: .tls
            case .upgrading: .upgrading
            }
        tookMs = step.tookMs
        done = step.done
    }
}

/// Two clocks at one moment.
public struct AttemptClocks: Equatable, Sendable {
    /// The clock of whoever answered the upgrade, in whole seconds.
    public let server: Date
    /// The device's clock.
    public let device: Date

    init(_ clocks: MeteredRealtimeFFI.AttemptClocks) {
        server = Date(unixMs: clocks.serverUnixMs)
        device = Date(unixMs: clocks.deviceUnixMs)
    }
}

/// An attempt to connect, step by step. Without anything secret.
public struct Attempt: Equatable, Sendable {
    /// `host:port` of the proxy, if there is one: then it is its name that is looked up and its address that is
    /// connected to.
    public let proxy: String?
    /// What the name stands for, each as `address:port`.
    public let addresses: [String]
    /// The address that the connection goes to, as `address:port`.
    public let address: String?
    /// The steps that were begun.
    public let steps: [AttemptStep]
    /// The clocks at the answer to the upgrade, if it had a `Date`.
    public let clocks: AttemptClocks?

    init(_ attempt: MeteredRealtimeFFI.Attempt) {
        proxy = attempt.proxy
        addresses = attempt.addresses
        address = attempt.address
        steps = attempt.steps.map(AttemptStep.init)
        clocks = attempt.clocks.map(AttemptClocks.init)
    }
}
