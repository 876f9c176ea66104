import Foundation
internal import MeteredRealtimeFFI

/// Something that happened to a ``SignallingClient``.
public enum SignallingEvent: Equatable, Sendable {
    /// A welcome came.
    case connected(welcome: Welcome)
    /// A connection, or an attempt at one, ended.
    case disconnected(Disconnection)
    /// The state changed.
    case stateChange(from: SignallingState, to: SignallingState)
    /// A broadcast on a subscribed channel.
    case message(Message)
    /// Data for us alone.
    case direct(DirectMessage)
    /// Peers came or left; or, right after a subscription, who is there.
    case presence(Presence)
    /// An error of the server that answers no request under way. Its words are not for logs.
    case serverError(code: String, serverMessage: String?, requestId: String?)
    /// The server will close soon, and wants to see us again after this.
    case goingAway(retryAfter: Duration)
    /// The token provider failed for the third time in a row, or more.
    case tokenProviderFailing(consecutiveFailures: Int, error: MeteredError)
    /// A tracked subscription could not be replayed on this connection; the next one tries again.
    case resubscribeFailed(channel: String, error: MeteredError)
    /// Events were not read fast enough: so many of the oldest were dropped.
    case lagged(missed: Int)
}

/// What the server said in its welcome.
public struct Welcome: Equatable, Sendable {
    /// Our id on this connection.
    public let peerId: String
    /// The server's clock.
    public let serverTime: Date?
    /// When the token ends; `nil` for a publishable key.
    public let expiresAt: Date?
    /// Whether a connection of this client preceded it since `connect`.
    public let isReconnect: Bool
    /// Bytes that one frame of ours may have.
    public let maxMessageSize: Int
    /// The service's ICE servers, if it gave any.
    public let iceServers: [IceServer]?
}

/// How a connection, or an attempt at one, ended.
public struct Disconnection: Equatable, Sendable {
    /// The close code; 1006 when there was no close frame.
    public let closeCode: Int
    /// The close frame's reason, or ours. Not for logs.
    public let reason: String
    /// Whether another attempt follows by itself.
    public let willReconnect: Bool
    /// What is known of it.
    public let error: MeteredError
}

/// A broadcast on a subscribed channel.
public struct Message: Equatable, Sendable {
    /// The channel.
    public let channel: String
    /// The publisher.
    public let from: String
    /// The payload.
    public let data: Payload
    /// The publisher's `peerMetadata`, an object, if the subscription asked for it.
    public let fromMetadata: Payload?
}

/// Data for us alone.
public struct DirectMessage: Equatable, Sendable {
    /// The sender.
    public let from: String
    /// The payload.
    public let data: Payload
    /// The sender's `peerMetadata`, an object.
    public let fromMetadata: Payload?
}

/// Peers that came or left.
public struct Presence: Equatable, Sendable {
    /// The channel.
    public let channel: String
    /// Peers that came, or were there.
    public let joined: [PresencePeer]
    /// Peers that left.
    public let left: [PresencePeer]
    /// Whether it is the subscription's snapshot rather than a change.
    public let snapshot: Bool
}

/// A peer in a channel.
public struct PresencePeer: Equatable, Sendable {
    /// Its id.
    public let peerId: String
    /// Its `peerMetadata`, an object, if there is any.
    public let metadata: Payload?

    init(_ peer: MeteredRealtimeFFI.PresencePeer) {
        peerId = peer.peerId
        metadata = peer.metadataJson.map(Payload.init(text:))
    }
}

extension Welcome {
    init(_ said: MeteredRealtimeFFI.Welcome) {
        peerId = said.peerId
        serverTime = said.serverTimeUnixMs.map(Date.init(unixMs:))
        expiresAt = said.expiresAtUnixMs.map(Date.init(unixMs:))
        isReconnect = said.isReconnect
        maxMessageSize = Int(clamping: said.maxMessageSize)
        iceServers = said.iceServers?.map(IceServer.init)
    }
}

extension SignallingEvent {
    init(_ event: MeteredRealtimeFFI.SignallingEvent) {
        func payload(_ text: String?) -> Payload? { text.map(Payload.init(text:)) }
        self =
            switch event {
            case .connected(let welcome): .connected(welcome: Welcome(welcome))
            case .disconnected(let closeCode, let reason, let willReconnect, let error):
                .disconnected(
                    Disconnection(
                        closeCode: Int(closeCode), reason: reason, willReconnect: willReconnect,
                        error: MeteredError(error)))
            case .stateChange(let from, let to): .stateChange(from: SignallingState(from), to: SignallingState(to))
            case .message(let channel, let from, let data, let metadata):
                .message(
                    Message(channel: channel, from: from, data: Payload(text: data), fromMetadata: payload(metadata)))
            case .direct(let from, let data, let metadata):
                .direct(DirectMessage(from: from, data: Payload(text: data), fromMetadata: payload(metadata)))
            case .presence(let channel, let joined, let left, let snapshot):
                .presence(
                    Presence(
                        channel: channel, joined: joined.map(PresencePeer.init), left: left.map(PresencePeer.init),
                        snapshot: snapshot))
            case .serverError(let code, let message, let requestId):
                .serverError(code: code, serverMessage: message, requestId: requestId)
            case .goingAway(let ms): .goingAway(retryAfter: .milliseconds(Int64(clamping: ms)))
            case .tokenProviderFailing(let count, let error):
                .tokenProviderFailing(consecutiveFailures: Int(clamping: count), error: MeteredError(error))
            case .resubscribeFailed(let channel, let error):
                .resubscribeFailed(channel: channel, error: MeteredError(error))
            case .lagged(let missed): .lagged(missed: Int(clamping: missed))
            }
    }
}
