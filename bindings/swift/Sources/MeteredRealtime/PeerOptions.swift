internal import MeteredRealtimeFFI

/// Options of a ``MeteredPeer``.
public struct PeerOptions: Equatable, Sendable {
    /// Those of its signalling client.
    public var signalling: SignallingOptions
    /// ICE servers besides those that the service gives.
    public var iceServers: [IceServer] = []
    /// Whether the remote shall never learn our address; needs a TURN server.
    public var relayOnly = false
    /// Whether connections are made at all. Off: the roster and messages alone.
    public var rtc = true
    /// Local IP addresses to use; `nil` for those of all interfaces.
    public var localAddresses: [String]?

    /// The defaults, with these options of the signalling client.
    public init(signalling: SignallingOptions = SignallingOptions()) {
        self.signalling = signalling
    }

    var native: MeteredRealtimeFFI.PeerOptions {
        MeteredRealtimeFFI.PeerOptions(
            signalling: signalling.native,
            iceServers: iceServers.map(\.native),
            iceTransportPolicy: relayOnly ? .relay : .all,
            rtc: rtc,
            localAddresses: localAddresses)
    }
}
