import Foundation
import MeteredRealtimeFFI
import Testing

@testable import MeteredRealtime

/// What the library gives becomes ours, also what hardly ever comes.
@Suite struct ConversionTests {
    private let details = MeteredRealtimeFFI.ErrorDetails(
        code: "a_code", message: "a message", cause: "A cause.", fix: "A fix.")

    @Test func everyErrorKeepsItsClassAndFields() {
        let errors: [(SdkError, String, MeteredError.Kind)] = [
            (
                .SignallingConnectError(
                    details: details, closeCode: 4_001, closeReason: "r", httpStatus: 401, httpCode: "h",
                    preflight: "p"),
                "SignallingConnectError",
                .signallingConnect(closeCode: 4_001, closeReason: "r", httpStatus: 401, httpCode: "h", preflight: "p")
            ),
            (.TokenProviderError(details: details), "TokenProviderError", .tokenProvider),
            (
                .InvalidStateError(details: details, currentState: "s", method: "m"), "InvalidStateError",
                .invalidState(currentState: "s", method: "m")
            ),
            (.InvalidArgumentError(details: details), "InvalidArgumentError", .invalidArgument),
            (.InternalError(details: details), "InternalError", .internalFault),
            (
                .NotConnectedError(details: details, currentState: "s"), "NotConnectedError",
                .notConnected(currentState: "s")
            ),
            (
                .DisconnectedError(details: details, closeCode: 1_006, sent: true), "DisconnectedError",
                .disconnected(closeCode: 1_006, sent: true)
            ),
            (.AckTimeoutError(details: details), "AckTimeoutError", .ackTimeout),
            (
                .ServerRequestError(details: details, serverMessage: "w"), "ServerRequestError",
                .serverRequest(serverMessage: "w")
            ),
            (.PacingOverflow(details: details, waiting: 7), "PacingOverflow", .pacingOverflow(waiting: 7)),
            (
                .OversizedPayloadError(details: details, size: 2, cap: .max), "OversizedPayloadError",
                .oversizedPayload(size: 2, cap: .max)
            ),
            (.PreflightError(details: details, preflight: "p"), "PreflightError", .preflight(preflight: "p")),
            (
                .MeteredPeerStateError(details: details, currentState: "s", method: "m"), "MeteredPeerStateError",
                .peerState(currentState: "s", method: "m")
            ),
            (.MeteredPeerSendError(details: details), "MeteredPeerSendError", .peerSend),
            (
                .MeteredPeerOversizedError(details: details, size: 2, cap: 1), "MeteredPeerOversizedError",
                .peerOversized(size: 2, cap: 1)
            ),
            (
                .MeteredPeerReplaceTrackError(details: details, succeeded: ["alice"], failed: ["bob"]),
                "MeteredPeerReplaceTrackError", .replaceTrack(succeeded: ["alice"], failed: ["bob"])
            ),
            (.RemotePeerClosedError(details: details), "RemotePeerClosedError", .remotePeerClosed),
            (.EngineError(details: details), "EngineError", .engine),
            (
                .IceCandidateError(details: details, url: "u", errorCode: 701), "IceCandidateError",
                .iceCandidate(url: "u", errorCode: 701)
            ),
            (
                .DataChannelOverflowError(details: details, queued: 2, cap: nil), "DataChannelOverflowError",
                .dataChannelOverflow(queued: 2, cap: nil)
            ),
        ]
        for (error, name, kind) in errors {
            let made = MeteredError(error)
            #expect(made.name == name)
            #expect(made.kind == kind)
            #expect([made.code, made.message, made.cause, made.fix] == ["a_code", "a message", "A cause.", "A fix."])
        }
    }

    @Test func rareEventsOfAClient() {
        typealias Native = MeteredRealtimeFFI.SignallingEvent
        typealias Ours = MeteredRealtime.SignallingEvent
        let error = SdkError.AckTimeoutError(details: details)
        let events: [(Native, Ours)] = [
            (
                .serverError(code: "c", serverMessage: "w", requestId: "7"),
                .serverError(code: "c", serverMessage: "w", requestId: "7")
            ),
            (.goingAway(retryAfterMs: 1_500), .goingAway(retryAfter: .milliseconds(1_500))),
            (
                .tokenProviderFailing(consecutiveFailures: 3, error: error),
                .tokenProviderFailing(consecutiveFailures: 3, error: MeteredError(error))
            ),
            (
                .resubscribeFailed(channel: "room", error: error),
                .resubscribeFailed(channel: "room", error: MeteredError(error))
            ),
            (.lagged(missed: 9), .lagged(missed: 9)),
        ]
        for (native, ours) in events { #expect(Ours(native) == ours) }
    }

    @Test func rareEventsOfPeersRemotesAndChannels() throws {
        let fault = MeteredRealtime.PeerEvent(.fault(failure: PeerFailure(name: "invalid_token", details: details)))
        guard case .fault(let failure) = fault else { throw Missing(description: "fault") }
        #expect(failure.name == "invalid_token" && failure.diagnosis == Diagnosis(details))

        typealias Remote = MeteredRealtime.RemoteEvent
        let ice = MeteredRealtimeFFI.IceFailure(url: "turn:t", errorCode: 701, details: details)
        guard case .iceFailed(let failed) = Remote(.iceFailed(failure: ice)) else { throw Missing(description: "ice") }
        #expect(failed.url == "turn:t" && failed.errorCode == 701 && failed.diagnosis.code == "a_code")
        let track = MeteredRealtimeFFI.RemoteTrack(
            trackId: "t", kind: "video", codec: "VP8", streamIds: ["s"], metadataJson: "{\"a\":1}",
            media: .video(track: MeteredRealtimeFFI.RemoteVideoTrack(noHandle: .init())))
        guard case .trackAdded(let added) = Remote(.trackAdded(track: track)) else { throw Missing(description: "track") }
        #expect([added.trackId, added.kind, added.codec] + added.streamIds == ["t", "video", "VP8", "s"])
        #expect(try added.metadata?.json == ["a": 1])
        let others: [(MeteredRealtimeFFI.RemoteEvent, String)] = [
            (.negotiationFailed(failure: NegotiationFailure(name: "n", details: details)), "negotiationFailed"),
            (.streamAdded(streamId: "s", metadataJson: nil), "streamAdded"),
            (.trackRemoved(trackId: "t"), "trackRemoved"),
            (.streamRemoved(streamId: "s"), "streamRemoved"),
            (.connectionReset, "connectionReset"),
            (.lagged(missed: 1), "lagged"),
        ]
        for (native, name) in others { #expect("\(Remote(native))".hasPrefix(name)) }

        typealias Channel = MeteredRealtime.DataChannelEvent
        let all: [(MeteredRealtimeFFI.DataChannelEvent, Channel)] = [
            (.bufferedAmountLow, .bufferedAmountLow), (.fault, .fault), (.lagged(missed: 2), .lagged(missed: 2)),
        ]
        for (native, ours) in all { #expect(Channel(native) == ours) }
    }

    @Test func durationsAreWholeMilliseconds() {
        #expect(Duration.milliseconds(1_500).milliseconds == 1_500)
        #expect(Duration.microseconds(1_999).milliseconds == 1)
        #expect(Duration.seconds(-1).milliseconds == 0)
        #expect(Duration.seconds(Int64.max).milliseconds == .max)
    }

    @Test func jsonValuesPassWhole() throws {
        let value: JSONValue = ["n": [1, 2.5, -3.0, nil, true], "text": "größer", "o": ["p": [:]]]
        let payload = try Payload(encoding: value)
        #expect(try payload.json == value)
        #expect(value["n"]?[1]?.doubleValue == 2.5)
        #expect(value["n"]?[2]?.intValue == -3)
        #expect(value["n"]?[4]?.boolValue == true)
        #expect(value["n"]?[9] == nil && value["none"] == nil && value["text"]?["n"] == nil)
        #expect(try Payload(text: "9007199254740993").json == .integer(9_007_199_254_740_993))
        #expect(throws: DecodingError.self) { try Payload(text: "1e999").json }
        #expect(throws: DecodingError.self) { try Payload(text: "{}").decode(as: Int.self) }
    }
}
