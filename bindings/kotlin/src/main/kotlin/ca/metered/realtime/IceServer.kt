package ca.metered.realtime

import ca.metered.realtime.ffi.IceServer as NativeIceServer
import ca.metered.realtime.ffi.askIceServer

/**
 * A STUN or TURN server (W3C `RTCIceServer`).
 *
 * @property urls `stun:`, `stuns:`, `turn:` or `turns:` URLs
 * @property username for TURN
 * @property credential for TURN; secret
 */
public class IceServer(
    public val urls: List<String>,
    public val username: String? = null,
    public val credential: String? = null,
) {
    /**
     * Asks the server of the first URL for an address, over the network and with the TLS options of a peer:
     * whether it serves, without a call. A server over UDP that does not answer is known after 5 s, one over
     * TLS after 20 s at the latest, and nothing takes longer than [limitMs].
     *
     * @throws IceCandidateException if it does not serve
     */
    public suspend fun ask(options: PeerOptions = PeerOptions(), limitMs: Long = 30_000): IceServerAnswer {
        val limit = limitMs.coerceAtLeast(0).toULong()
        val answer = native { askIceServer(options.toNative(), toNative(), limit) }
        val type = CandidateType.entries[answer.candidateType.ordinal]
        return IceServerAnswer(type, answer.address, answer.tookMs)
    }

    override fun toString(): String = "IceServer($urls)"
}

internal fun IceServer.toNative() = NativeIceServer(urls, username, credential)

/**
 * What a STUN or TURN server answered.
 *
 * @property candidateType what it gave: [CandidateType.SRFLX] is our address as a STUN server sees it,
 * [CandidateType.RELAY] an address of a TURN server that it relays for us
 * @property address that address, as `address:port`; `null` if it is the one that the device has itself
 * @property tookMs from the beginning to the answer: name, connection, encryption and credentials included
 */
public data class IceServerAnswer(
    val candidateType: CandidateType,
    val address: String?,
    val tookMs: Double,
)
