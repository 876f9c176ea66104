import Foundation
internal import MeteredRealtimeFFI

/// Why a call was not done.
///
/// ```swift
/// do {
///     try await client.publish("room", "hello")
/// } catch let error as MeteredError {
///     if case .notConnected = error.kind { … }
///     print(error.cause, error.fix)
/// }
/// ```
///
/// A call whose task is cancelled throws `CancellationError` instead.
public struct MeteredError: Error, Equatable, Sendable {
    /// What kind of failure it is, with what is known of it.
    public enum Kind: Equatable, Sendable {
        /// There is no connection to the service. The close code is 1006 where there was no close frame; the
        /// reason, the server's or ours, is not for logs. HTTP status and code are those of an answer that
        /// refused the upgrade; `preflight` is the code if the token was refused before it was sent.
        case signallingConnect(
            closeCode: Int, closeReason: String, httpStatus: Int?, httpCode: String?, preflight: String?)
        /// The app's token provider failed, or took too long.
        case tokenProvider
        /// The object's state does not allow the call.
        case invalidState(currentState: String?, method: String?)
        /// An argument or option that cannot be.
        case invalidArgument
        /// A fault of the SDK itself; a panic inside is one.
        case internalFault
        /// There is no connection; nothing was sent.
        case notConnected(currentState: String)
        /// The connection ended before the answer. If the request was sent, its outcome is unknown.
        case disconnected(closeCode: Int, sent: Bool)
        /// The server did not answer in time. The outcome is unknown.
        case ackTimeout
        /// The server refused; the error's code is its own. Its words are not for logs.
        case serverRequest(serverMessage: String?)
        /// More requests wait for their turn than the queue holds.
        case pacingOverflow(waiting: Int)
        /// More bytes than may be sent at once.
        case oversizedPayload(size: Int, cap: Int)
        /// The token does not allow it; nothing was sent.
        case preflight(preflight: String)
        /// The peer's state, or the track's, does not allow the call.
        case peerState(currentState: String?, method: String)
        /// The peer cannot send this, or not to this target.
        case peerSend
        /// More bytes than the service takes at once.
        case peerOversized(size: Int, cap: Int)
        /// A track was not replaced for all who have it. By their ids: who gets the new one, and who still gets
        /// the old one.
        case replaceTrack(succeeded: [String], failed: [String])
        /// The remote has left.
        case remotePeerClosed
        /// The WebRTC engine refused.
        case engine
        /// A STUN or TURN server does not serve: its URL, and the STUN error code 300 to 699, or 701 if it could
        /// not be reached.
        case iceCandidate(url: String, errorCode: Int)
        /// The app sends faster than the network carries. If the queue was full: how many sends wait, and
        /// how many may.
        case dataChannelOverflow(queued: Int?, cap: Int?)
    }

    /// What kind of failure it is.
    public let kind: Kind
    /// The JavaScript SDK's class of it, such as `NotConnectedError`.
    public let name: String
    /// Stable code; the server's own where it answered.
    public let code: String
    /// One line for people.
    public let message: String
    /// What led to it; one or two sentences.
    public let cause: String
    /// What to do; one or two sentences.
    public let fix: String
}

extension MeteredError: LocalizedError, CustomStringConvertible {
    /// The message.
    public var errorDescription: String? { message }
    /// The cause.
    public var failureReason: String? { cause }
    /// The fix.
    public var recoverySuggestion: String? { fix }
    /// All of it in one line.
    public var description: String { "\(name): \(message) (\(code)). \(cause) Fix: \(fix)" }
}

extension MeteredError {
    init(_ kind: Kind, _ name: String, _ details: MeteredRealtimeFFI.ErrorDetails) {
        self.init(
            kind: kind, name: name, code: details.code, message: details.message, cause: details.cause,
            fix: details.fix)
    }

    init(_ error: MeteredRealtimeFFI.SdkError) {
        switch error {
        case .SignallingConnectError(let details, let closeCode, let reason, let status, let code, let preflight):
            let kind = Kind.signallingConnect(
                closeCode: Int(closeCode), closeReason: reason, httpStatus: status.map(Int.init), httpCode: code,
                preflight: preflight)
            self.init(kind, "SignallingConnectError", details)
        case .TokenProviderError(let details):
            self.init(.tokenProvider, "TokenProviderError", details)
        case .InvalidStateError(let details, let state, let method):
            self.init(.invalidState(currentState: state, method: method), "InvalidStateError", details)
        case .InvalidArgumentError(let details):
            self.init(.invalidArgument, "InvalidArgumentError", details)
        case .InternalError(let details):
            self.init(.internalFault, "InternalError", details)
        case .NotConnectedError(let details, let state):
            self.init(.notConnected(currentState: state), "NotConnectedError", details)
        case .DisconnectedError(let details, let closeCode, let sent):
            self.init(.disconnected(closeCode: Int(closeCode), sent: sent), "DisconnectedError", details)
        case .AckTimeoutError(let details):
            self.init(.ackTimeout, "AckTimeoutError", details)
        case .ServerRequestError(let details, let serverMessage):
            self.init(.serverRequest(serverMessage: serverMessage), "ServerRequestError", details)
        case .PacingOverflow(let details, let waiting):
            self.init(.pacingOverflow(waiting: Int(clamping: waiting)), "PacingOverflow", details)
        case .OversizedPayloadError(let details, let size, let cap):
            let kind = Kind.oversizedPayload(size: Int(clamping: size), cap: Int(clamping: cap))
            self.init(kind, "OversizedPayloadError", details)
        case .PreflightError(let details, let preflight):
            self.init(.preflight(preflight: preflight), "PreflightError", details)
        case .MeteredPeerStateError(let details, let state, let method):
            self.init(.peerState(currentState: state, method: method), "MeteredPeerStateError", details)
        case .MeteredPeerSendError(let details):
            self.init(.peerSend, "MeteredPeerSendError", details)
        case .MeteredPeerOversizedError(let details, let size, let cap):
            let kind = Kind.peerOversized(size: Int(clamping: size), cap: Int(clamping: cap))
            self.init(kind, "MeteredPeerOversizedError", details)
        case .MeteredPeerReplaceTrackError(let details, let succeeded, let failed):
            let kind = Kind.replaceTrack(succeeded: succeeded, failed: failed)
            self.init(kind, "MeteredPeerReplaceTrackError", details)
        case .RemotePeerClosedError(let details):
            self.init(.remotePeerClosed, "RemotePeerClosedError", details)
        case .EngineError(let details):
            self.init(.engine, "EngineError", details)
        case .IceCandidateError(let details, let url, let errorCode):
            self.init(.iceCandidate(url: url, errorCode: Int(errorCode)), "IceCandidateError", details)
        case .DataChannelOverflowError(let details, let queued, let cap):
            let kind = Kind.dataChannelOverflow(
                queued: queued.map { Int(clamping: $0) }, cap: cap.map { Int(clamping: $0) })
            self.init(kind, "DataChannelOverflowError", details)
        }
    }
}
