package ca.metered.realtime

import ca.metered.realtime.ffi.Credential as NativeCredential
import ca.metered.realtime.ffi.Header
import ca.metered.realtime.ffi.PacingOptions as NativePacingOptions
import ca.metered.realtime.ffi.ProxySetting
import ca.metered.realtime.ffi.ReconnectOptions as NativeReconnectOptions
import ca.metered.realtime.ffi.SignallingOptions as NativeSignallingOptions

/** How a client proves who it is. */
public sealed interface Credential {
    /**
     * A publishable key: fixed rights, a new peer id on each connection.
     *
     * @property key `pk_live_…`
     */
    public class ApiKey(public val key: String) : Credential {
        override fun toString(): String = "ApiKey(…)"
    }

    /**
     * One token for all connections; when it ends, so does the client.
     *
     * @property token three parts with dots between them
     */
    public class Token(public val token: String) : Credential {
        override fun toString(): String = "Token(…)"
    }

    /**
     * A provider that is asked for a token before each connection.
     *
     * @property provider the app's code
     */
    public class Provider(public val provider: TokenProvider) : Credential
}

/** Gives a token for each connection. */
public fun interface TokenProvider {
    /** A token that is valid now. Given up and cancelled after the client's `tokenProviderTimeoutMs`. */
    public suspend fun token(): String
}

/**
 * How often to try again.
 *
 * @property initialDelayMs wait before the first attempt
 * @property multiplier factor from one wait to the next; 1 or more
 * @property maxDelayMs longest wait
 * @property jitterRatio share of the wait that chance adds or takes, 0 to 1
 * @property maxAttempts attempts after one drop; `null` for no end
 */
public data class ReconnectOptions(
    val initialDelayMs: Long = 500,
    val multiplier: Double = 2.0,
    val maxDelayMs: Long = 30_000,
    val jitterRatio: Double = 0.2,
    val maxAttempts: Int? = 100,
)

/**
 * The rate at which requests leave.
 *
 * @property perSecond requests per second in the long run; more than 0
 * @property burst requests at once after a pause; 1 or more
 */
public data class PacingOptions(val perSecond: Double = 100.0, val burst: Int = 150)

/** The way out. */
public sealed interface Proxy {
    /** As the environment says. */
    public data object Environment : Proxy

    /** Straight. */
    public data object Direct : Proxy

    /**
     * Through this proxy, always.
     *
     * @property url `http://[user:password@]host[:port]`, or `https://…`
     */
    public class Url(public val url: String) : Proxy {
        override fun toString(): String = "Url(…)"
    }
}

/**
 * Options of a [SignallingClient]. The defaults are those of the JavaScript SDK.
 *
 * @property url base address: `wss://host[:port]` without a path; `ws://` for this machine only
 * @property reconnect `null`: the first drop ends the client
 * @property inactivityTimeoutMs silence after which the connection is given up; `null` for never
 * @property tokenProviderTimeoutMs how long a token provider may take
 * @property autoResubscribe whether subscriptions are made anew on each new connection
 * @property preflight whether tokens are looked into before they are sent
 * @property pacing `null`: requests leave as they come, at the risk of close code 4011
 * @property origin the `Origin` header
 * @property headers further headers of the upgrade request
 * @property proxy the way out
 * @property extraRootsPem further roots of trust as PEM texts
 * @property pins public keys, one of which the server's chain must have: `sha256/BASE64`
 */
public data class SignallingOptions(
    val url: String = "wss://rms.metered.ca",
    val reconnect: ReconnectOptions? = ReconnectOptions(),
    val inactivityTimeoutMs: Long? = 60_000,
    val tokenProviderTimeoutMs: Long = 10_000,
    val autoResubscribe: Boolean = true,
    val preflight: Boolean = true,
    val pacing: PacingOptions? = PacingOptions(),
    val origin: String? = null,
    val headers: Map<String, String> = emptyMap(),
    val proxy: Proxy = Proxy.Environment,
    val extraRootsPem: List<String> = emptyList(),
    val pins: List<String> = emptyList(),
)

/** Below 0 is out of every option's range, and so is 0 where it has no meaning of its own. */
private fun Long.unsigned(): ULong = coerceAtLeast(0).toULong()

private fun Int.unsigned(): UInt = coerceAtLeast(0).toUInt()

internal fun SignallingOptions.toNative() = NativeSignallingOptions(
    url = url,
    reconnect = NativeReconnectOptions(
        enabled = reconnect != null,
        initialDelayMs = reconnect?.initialDelayMs?.unsigned(),
        multiplier = reconnect?.multiplier,
        maxDelayMs = reconnect?.maxDelayMs?.unsigned(),
        jitterRatio = reconnect?.jitterRatio,
        maxAttempts = reconnect?.maxAttempts?.unsigned(),
        unlimitedAttempts = reconnect != null && reconnect.maxAttempts == null,
    ),
    inactivityTimeoutMs = (inactivityTimeoutMs ?: 0).unsigned(),
    tokenProviderTimeoutMs = tokenProviderTimeoutMs.unsigned(),
    autoResubscribe = autoResubscribe,
    preflight = preflight,
    pacing = pacing?.let { NativePacingOptions(it.perSecond, it.burst.unsigned()) },
    unpaced = pacing == null,
    origin = origin,
    headers = headers.map { (name, value) -> Header(name, value) },
    proxy = when (val proxy = proxy) {
        Proxy.Environment -> ProxySetting.Environment
        Proxy.Direct -> ProxySetting.Direct
        is Proxy.Url -> ProxySetting.Url(proxy.url)
    },
    extraRootsPem = extraRootsPem,
    pins = pins,
)

internal fun Credential.ApiKey.toNative() = NativeCredential.ApiKey(key)

internal fun Credential.Token.toNative() = NativeCredential.Token(token)
