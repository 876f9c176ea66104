import Foundation
internal import MeteredRealtimeFFI

/// Something that happened to a ``MeteredPeer``.
public enum PeerEvent: Sendable {
    /// The room was joined, with this id of ours.
    case joined(peerId: String, channel: String)
    /// The room was left for good.
    case left(reason: String)
    /// The state changed.
    case stateChange(from: PeerState, to: PeerState)
    /// Another peer is in the room.
    case peerJoined(remote: RemotePeer)
    /// Another peer left the room.
    case peerLeft(remote: RemotePeer)
    /// Data came by way of the service.
    case data(PeerData)
    /// Something failed that does not mend itself, or not without the app.
    case fault(Failure)
    /// Events were not read fast enough: so many of the oldest were dropped.
    case lagged(missed: Int)
}

/// Data that came by way of the service.
public struct PeerData: Equatable, Sendable {
    /// The sender.
    public let senderPeerId: String
    /// The payload.
    public let data: Payload
    /// Whether it is for us alone; else it was for everyone in the room.
    public let direct: Bool
    /// The sender's `peerMetadata`, an object: always with direct data, else if the join asked for it.
    public let senderMetadata: Payload?
}

/// One change of a state.
public struct StateChange<State: Equatable & Sendable>: Equatable, Sendable {
    /// When, by the device's clock.
    public let at: Date
    /// The state before.
    public let from: State
    /// The state after.
    public let to: State
    /// Why, in a few words.
    public let reason: String
}

extension PeerEvent {
    init(_ event: MeteredRealtimeFFI.PeerEvent) {
        self =
            switch event {
            case .joined(let peerId, let channel): .joined(peerId: peerId, channel: channel)
            case .left(let reason): .left(reason: reason)
            case .stateChange(let from, let to): .stateChange(from: PeerState(from), to: PeerState(to))
            case .peerJoined(let remote): .peerJoined(remote: RemotePeer(remote))
            case .peerLeft(let remote): .peerLeft(remote: RemotePeer(remote))
            case .data(let sender, let data, let direct, let metadata):
                .data(
                    PeerData(
                        senderPeerId: sender, data: Payload(text: data), direct: direct,
                        senderMetadata: metadata.map(Payload.init(text:))))
            case .fault(let failure): .fault(Failure(failure.name, failure.details))
            case .lagged(let missed): .lagged(missed: Int(clamping: missed))
            }
    }
}
