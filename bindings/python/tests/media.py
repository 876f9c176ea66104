"""Pictures and sounds for the tests."""

import array
import asyncio
import math
import struct

from support import ROOT, kind, sdk

RATE = 48_000
LATE = 0.2


def ivf(path):
    file = path.read_bytes()
    at, pictures = struct.unpack_from("<H", file, 6)[0], []
    while at < len(file):
        (size,) = struct.unpack_from("<I", file, at)
        pictures.append(file[at + 12 : at + 12 + size])
        at += 12 + size
    return pictures


CLIP = ivf(ROOT / "crates/cli/assets/clips/counter_vp8.ivf")
PICTURES = set(CLIP)


async def film(track):
    """The clip round after round; a key frame when one is wanted."""
    at = 0

    async def listen():
        nonlocal at
        while events := await track.next_events(64):
            if any(kind(event) == "KEY_FRAME_WANTED" for event in events):
                at = 0

    listening = asyncio.ensure_future(listen())
    try:
        for number in range(1 << 62):
            track.write(CLIP[at % len(CLIP)], number * 40_000, None, 0)
            at += 1
            await asyncio.sleep(0.01)
    finally:
        listening.cancel()


async def every_ten_milliseconds(work):
    """While it says that it goes on, as a device does. What a busy machine was late for is left out."""
    now = asyncio.get_running_loop().time
    due = now()
    while True:
        due = max(due, now() - LATE)
        while due <= now():
            if not work():
                return
            due += 0.01
        await asyncio.sleep(0.005)


async def sing(track, hertz):
    """A sine at a quarter of full scale."""
    sample = 0

    def chunk():
        nonlocal sample
        times = range(sample, sample + RATE // 100)
        tone = array.array("h", (int(math.sin(2 * math.pi * hertz * n / RATE) * 8_192) for n in times))
        track.write_pcm_i16(RATE, 1, tone.tobytes())
        sample += RATE // 100
        return True

    await every_ten_milliseconds(chunk)


async def plays(track, least, most):
    """Plays a track out until it is as loud as that, in dBFS."""
    output = track.playout(RATE, 1, None)

    def pull():
        output.pull_i16(RATE // 100)
        return not least <= output.level().rms_dbfs <= most

    await every_ten_milliseconds(pull)
