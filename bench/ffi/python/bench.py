"""What bench/ffi runs for the generated Python: microseconds and shares of a core, as one JSON object."""

import asyncio
import json
import sys
import time

sys.path.insert(0, sys.argv[1])

import metered_realtime as sdk  # noqa: E402

ACCESS_UNIT = 20 * 1024
SECONDS = 5


async def micros(count, work):
    """Microseconds of CPU time, all threads, for each of so many, the code being warm."""
    await work(count)
    before = time.process_time()
    await work(count)
    return (time.process_time() - before) * 1e6 / count


async def share(work):
    """The share of a core that the whole process takes meanwhile, the code being warm."""
    await work()
    start, before = time.perf_counter(), time.process_time()
    await work()
    return (time.process_time() - before) / (time.perf_counter() - start)


async def read(feed, count, batch):
    while count > 0:
        count -= len(await feed.next_events(batch))


async def main():
    figures, names = {}, sys.argv[2:]

    async def figure(name, measure):
        """Measures it if it is named, or if none is."""
        if not names or name in names:
            figures[name] = await measure()

    options = sdk.SignallingOptions()
    client = sdk.SignallingClient(sdk.Credential.API_KEY("pk_live_bench"), options)

    async def calls(count):
        for _ in range(count):
            client.state()

    await figure("call", lambda: micros(50_000, calls))
    track = sdk.LocalVideoTrack(sdk.VideoCodec.VP8)

    async def async_calls(count):
        for _ in range(count):
            await track.shutdown()

    await figure("asyncCall", lambda: micros(5_000, async_calls))
    for name, size, count in (("event100", 100, 50_000), ("event64k", 65_536, 10_000)):
        def messages(per_second, count):
            return read(sdk.MessageFeed(size, per_second, size == 100), count, 64)

        await figure(name, lambda: micros(count, lambda n: messages(0, n)))
        await figure(f"{name}Share", lambda: share(lambda: messages(10_000, 10_000 * SECONDS)))
    unit = bytes([1]) * ACCESS_UNIT  # a VP8 picture that is no key frame

    async def writes(count):
        for n in range(count):
            track.write(unit, n * 33_333)

    await figure("frameOut", lambda: micros(10_000, writes))
    await figure("frameIn", lambda: micros(10_000, lambda n: read(sdk.FrameFeed(ACCESS_UNIT, 0), n, 16)))
    await figure(
        "frameInShare", lambda: share(lambda: read(sdk.FrameFeed(ACCESS_UNIT, 30), 30 * SECONDS, 16))
    )
    print(json.dumps(figures))
    await client.shutdown()
    await sdk.shutdown_all()


asyncio.run(main())
