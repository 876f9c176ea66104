internal import MeteredRealtimeFFI

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

    var native: MeteredRealtimeFFI.IceServer {
        MeteredRealtimeFFI.IceServer(urls: urls, username: username, credential: credential)
    }

    /// Asks the server of the first URL for an address, over the network and with the TLS options of a peer:
    /// whether it serves, without a call.
    ///
    /// A server over UDP that does not answer is known after 5 s, one over TLS after 20 s at the latest, and
    /// nothing takes longer than the limit. Throws a ``MeteredError`` whose kind is
    /// ``MeteredError/Kind/iceCandidate(url:errorCode:)`` if it does not serve.
    public func ask(
        options: PeerOptions = PeerOptions(), limit: Duration = .seconds(30)
    ) async throws -> IceServerAnswer {
        IceServerAnswer(
            try await nativeCall {
                try await askIceServer(options: options.native, server: native, limitMs: limit.milliseconds)
            })
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

/// What a STUN or TURN server answered.
public struct IceServerAnswer: Equatable, Sendable {
    /// What it gave: ``CandidateType/srflx`` is our address as a STUN server sees it, ``CandidateType/relay`` an
    /// address of a TURN server that it relays for us.
    public let candidateType: CandidateType
    /// That address, as `address:port`; `nil` if it is the one that the device has itself.
    public let address: String?
    /// From the beginning to the answer, in milliseconds: name, connection, encryption and credentials included.
    public let tookMs: Double

    init(_ answer: MeteredRealtimeFFI.IceServerAnswer) {
        candidateType = CandidateType(answer.candidateType)
        address = answer.address
        tookMs = answer.tookMs
    }
}
