"""One figure of aiortc, both ends in this process, as one line of JSON: `bench.py FIGURE`.

The same numbers as src/, but for the bytes: aiortc would need minutes for them.
"""

import asyncio
import json
import sys
import time

from aiortc import RTCPeerConnection

CONNECTS = 30
BYTES = 4 * 1024 * 1024
SIZES = {"16": 16 * 1024, "64": 64 * 1024}
MAX_BUFFERED = 1_048_576
PINGS = 1_000
WARM_UP = 100
PING_BYTES = 100
PATIENCE = 120


def percentile(times, percent):
    times.sort()
    return times[(len(times) - 1) * percent // 100]


async def pair():
    """Two ends, the channel at both, and the milliseconds from offer to open."""
    one, two = RTCPeerConnection(), RTCPeerConnection()
    near, opened = one.createDataChannel("bench"), asyncio.Event()
    far = asyncio.get_running_loop().create_future()
    near.on("open", opened.set)
    two.on("datachannel", far.set_result)
    began = time.perf_counter()
    await one.setLocalDescription(await one.createOffer())
    await two.setRemoteDescription(one.localDescription)
    await two.setLocalDescription(await two.createAnswer())
    await one.setRemoteDescription(two.localDescription)
    await opened.wait()
    took = (time.perf_counter() - began) * 1e3
    return one, two, near, await far, took


async def open_():
    times = []
    for _ in range(CONNECTS):
        one, two, _near, _far, took = await pair()
        times.append(took)
        await one.close()
        await two.close()
    return {"openMs": percentile(times, 50), "openP95Ms": percentile(times, 95)}


async def throughput():
    figures = {}
    for name, size in SIZES.items():
        one, two, near, far, _ = await pair()
        done, low, received = asyncio.Event(), asyncio.Event(), 0

        def count(message):
            nonlocal received
            received += len(message)
            if received >= BYTES:
                done.set()

        far.on("message", count)
        near.bufferedAmountLowThreshold = MAX_BUFFERED // 2
        near.on("bufferedamountlow", low.set)
        payload = b"\7" * size
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(BYTES // size):
            while near.bufferedAmount + size > MAX_BUFFERED:
                low.clear()
                await low.wait()
            near.send(payload)
        await done.wait()
        figures[f"throughput{name}"] = BYTES / 1e6 / (time.perf_counter() - began)
        figures[f"cpuMsPerMb{name}"] = (time.process_time() - cpu) * 1e9 / BYTES
        await one.close()
        await two.close()
    return figures


async def rtt():
    one, two, near, far, _ = await pair()
    payload, answer = b"\7" * PING_BYTES, asyncio.Event()
    far.on("message", lambda _: far.send(payload))
    near.on("message", lambda _: answer.set())
    times = []
    for n in range(WARM_UP + PINGS):
        began = time.perf_counter()
        answer.clear()
        near.send(payload)
        await answer.wait()
        if n >= WARM_UP:
            times.append((time.perf_counter() - began) * 1e3)
    await one.close()
    await two.close()
    return {"rttMs": percentile(times, 50), "rttP99Ms": percentile(times, 99)}


if __name__ == "__main__":
    figures = {"open": open_, "throughput": throughput, "rtt": rtt}
    print(json.dumps(asyncio.run(asyncio.wait_for(figures[sys.argv[1]](), PATIENCE))))
