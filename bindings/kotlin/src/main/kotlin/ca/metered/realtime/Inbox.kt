package ca.metered.realtime

import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.ExperimentalForInheritanceCoroutinesApi
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.ClosedSendChannelException
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.FlowCollector
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.getAndUpdate
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch

private const val BATCH = 64u

/**
 * The events of one object, for any number of collectors.
 *
 * One coroutine pulls, from the first collector on, and only while there is one; until then events wait in
 * the library's queue. It hands each event to all collectors before the next, so the slowest sets the pace.
 * An event that no collector took waits for the next one.
 */
internal class Inbox<Native : Any, Event : Any>(
    private val scope: CoroutineScope,
    private val pull: suspend (UInt) -> List<Native>,
    private val convert: (Native) -> Event,
) {
    /** `null` once the events have ended. */
    private val collectors = MutableStateFlow<List<Channel<Event>>?>(emptyList())
    private val started = AtomicBoolean(false)

    val events: Flow<Event> = flow {
        val queue = Channel<Event>(Channel.RENDEZVOUS)
        collectors.update { it?.plus(queue) }
        if (collectors.value == null) return@flow
        if (started.compareAndSet(false, true)) scope.launch { pump() }
        try {
            for (event in queue) emit(event)
        } finally {
            collectors.update { it?.minus(queue) }
            queue.cancel()
        }
    }

    private suspend fun pump() {
        var failure: Throwable? = null
        try {
            while (true) {
                somebody()
                val batch = pull(BATCH)
                if (batch.isEmpty()) break
                for (event in batch) hand(convert(event))
            }
        } catch (error: Throwable) {
            failure = error
        }
        collectors.getAndUpdate { null }?.forEach { it.close(failure) }
    }

    private suspend fun somebody() = collectors.first { it != emptyList<Channel<Event>>() }.orEmpty()

    private suspend fun hand(event: Event) {
        do {
            val taken = somebody().count { give(it, event) }
        } while (taken == 0)
    }

    /** Whether the collector took it; if not, it is gone. */
    private suspend fun give(queue: Channel<Event>, event: Event): Boolean = try {
        queue.send(event)
        true
    } catch (_: ClosedSendChannelException) {
        false
    } catch (_: CancellationException) {
        currentCoroutineContext().ensureActive()
        false
    }
}

/** A state that the library keeps: read when asked, waited for while collected. */
@OptIn(ExperimentalForInheritanceCoroutinesApi::class)
internal class NativeState<State : Any>(
    private val now: () -> State,
    private val after: suspend (State) -> State,
) : StateFlow<State> {
    override val value: State get() = now()

    override val replayCache: List<State> get() = listOf(value)

    override suspend fun collect(collector: FlowCollector<State>): Nothing {
        var known = now()
        collector.emit(known)
        while (true) {
            val next = after(known)
            // The same again: the object was shut down, and nothing will follow.
            if (next == known) awaitCancellation()
            known = next
            collector.emit(known)
        }
    }
}
