package ca.metered.realtime

import ca.metered.realtime.ffi.CallbackException
import ca.metered.realtime.ffi.SocketBinder as Native

/**
 * Binds sockets to a network of the platform.
 *
 * On Android: `network.bindSocket(ParcelFileDescriptor.fromFd(it).fileDescriptor)`; the descriptor that it
 * duplicates is to be closed.
 */
public fun interface SocketBinder {
    /**
     * Called with the file descriptor of each new socket, before anything is sent. It is still the SDK's: it is
     * not to be closed. If this throws, the socket is not used. It must not wait.
     */
    public fun bindSocket(fileDescriptor: Int)
}

/** The app's binder, as the library asks it. */
internal class BinderAdapter(private val binder: SocketBinder) : Native {
    override fun bindSocket(fileDescriptor: Int) = try {
        binder.bindSocket(fileDescriptor)
    } catch (error: Throwable) {
        throw CallbackException.Failed(error.message ?: error.javaClass.name)
    }
}
