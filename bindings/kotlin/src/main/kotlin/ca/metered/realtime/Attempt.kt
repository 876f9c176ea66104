package ca.metered.realtime

import ca.metered.realtime.ffi.Attempt as NativeAttempt

/** A step on the way to an open WebSocket, in their order. */
public enum class ConnectStep {
    /** Looking up the name of the server, or of the proxy. */
    RESOLVING,

    /** Connecting to one of its addresses. */
    CONNECTING,

    /** Asking the proxy for a tunnel. */
    PROXY,

    /** Agreeing on encryption with the server. */
    TLS,

    /** Asking the server for a WebSocket. */
    UPGRADING,
}

/**
 * A step of an attempt and what became of it.
 *
 * @property step which
 * @property tookMs how long it took, or has taken so far
 * @property done whether it succeeded; the last step of an attempt that failed did not
 */
public data class AttemptStep(val step: ConnectStep, val tookMs: Double, val done: Boolean)

/**
 * Two clocks at one moment, in milliseconds since 1970.
 *
 * @property serverUnixMs the clock of whoever answered the upgrade, in whole seconds
 * @property deviceUnixMs the device's clock
 */
public data class AttemptClocks(val serverUnixMs: Long, val deviceUnixMs: Long)

/**
 * An attempt to connect, step by step. Without anything secret.
 *
 * @property proxy `host:port` of the proxy, if there is one: then it is its name that is looked up and its
 * address that is connected to
 * @property addresses what the name stands for, each as `address:port`
 * @property address the address that the connection goes to, as `address:port`
 * @property steps the steps that were begun
 * @property clocks the clocks at the answer to the upgrade, if it had a `Date`
 */
public data class Attempt(
    val proxy: String?,
    val addresses: List<String>,
    val address: String?,
    val steps: List<AttemptStep>,
    val clocks: AttemptClocks?,
)

internal fun NativeAttempt.toPublic() = Attempt(
    proxy,
    addresses,
    address,
    steps.map { AttemptStep(ConnectStep.entries[it.step.ordinal], it.tookMs, it.done) },
    clocks?.let { AttemptClocks(it.serverUnixMs.toLong(), it.deviceUnixMs.toLong()) },
)
