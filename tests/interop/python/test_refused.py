"""The official Python SDK (aiortc) knows neither AV1 nor VP9: ours says so, once, and it hears the call."""

import asyncio
import json

import pytest
from metered_realtime import PeerJoined, Track
from peers import Theirs
from support import LIMIT, start


async def lines(process):
    async for line in process.stdout:
        yield json.loads(line)


@pytest.mark.parametrize("codec", ["av1", "vp9"])
async def test_a_codec_that_it_does_not_know_is_told_once_and_its_sound_is_heard(server, codec):
    theirs = await Theirs.joined(server, "theirs")
    theirs.peer.on(PeerJoined, lambda event: event.peer.on(Track, lambda track: theirs.inbox.put(Track, track)))
    where = ["--url", server.url, "--key", server.apiKey, "--duration", "6"]
    process = await start("call", "room", "--json", *where, "--video", f"test-pattern:{codec}", "--audio", "tone")

    async def sound():
        track = (await theirs.next(Track, lambda event: event.track.kind == "audio")).track
        for _ in range(50):
            await track.recv()

    hears = asyncio.create_task(sound())
    said = [line async for line in lines(process) if line["type"] == "problem"]
    assert [(line["code"], line["peerId"]) for line in said] == [("codec_not_supported", theirs.id)]
    assert codec in said[0]["message"].lower()
    assert await asyncio.wait_for(process.wait(), LIMIT) == 0
    await asyncio.wait_for(hears, LIMIT)
    await theirs.stop()
