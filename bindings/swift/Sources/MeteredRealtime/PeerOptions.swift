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
            iceServers: iceServers.map {
                MeteredRealtimeFFI.IceServer(urls: $0.urls, username: $0.username, credential: $0.credential)
            },
            iceTransportPolicy: relayOnly ? .relay : .all,
            rtc: rtc,
            localAddresses: localAddresses)
    }
}

/// A STUN or TURN server (W3C `RTCIceServer`). Printing one shows its URLs alone.
public struct IceServer: Equatable, Sendable {
    /// `stun:`, `stuns:`, `turn:` or `turns:` URLs.
    public var urls: [String]
    /// For TURN.
    public var username: String?
    /// For TURN; secret.
    public var credential: String?

    /// A server.
    public init(urls: [String], username: String? = nil, credential: String? = nil) {
        self.urls = urls
        self.username = username
        self.credential = credential
    }

    init(_ server: MeteredRealtimeFFI.IceServer) {
        self.init(urls: server.urls, username: server.username, credential: server.credential)
    }
}

extension IceServer: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Its URLs.
    public var description: String { "IceServer(\(urls))" }
    /// Its URLs.
    public var debugDescription: String { description }
    /// Its URLs.
    public var customMirror: Mirror { Mirror(self, children: ["urls": urls]) }
}
