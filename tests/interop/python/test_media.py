"""Pictures and sound between the official Python SDK (aiortc) and ours."""

import asyncio
import subprocess
from array import array
from pathlib import Path

import pytest
from aiortc import AudioStreamTrack, VideoStreamTrack
from metered_realtime import PeerJoined, Track
from peers import Theirs, end, joined
from support import LIMIT

CLIPS = Path(__file__).parent.parent / "browser" / "clips"


@pytest.mark.parametrize("clip", ["pattern-vp8.ivf", "pattern.h264"])
async def test_theirs_decodes_our_pictures(server, clip):
    theirs = await Theirs.joined(server, "theirs")
    theirs.peer.on(PeerJoined, lambda event: event.peer.on(Track, lambda track: theirs.inbox.put(Track, track)))
    ours = await joined(server, "ours")
    await ours.next("peer-joined")
    source = {"file": str(CLIPS / clip), "loop": True}
    await ours.call("peer.addTrack", kind="video", source=source, streamId="screen", metadata={"a": 1})
    seen = await theirs.next(Track)
    assert dict(seen.metadata) == {"a": 1}
    for _ in range(30):
        frame = await asyncio.wait_for(seen.track.recv(), LIMIT)
        assert (frame.width, frame.height) == (320, 240)
    await end(theirs, ours)


async def test_we_receive_its_picture_and_sound(server):
    ours = await joined(server, "ours")
    theirs = await Theirs.joined(server, "theirs")
    await ours.next("peer-joined")
    await theirs.next(PeerJoined)
    for track in [VideoStreamTrack(), AudioStreamTrack()]:
        theirs.peer.add_track(track, None, {"kind": track.kind})
    seen = [await ours.next_of(f"remote:{theirs.id}", "track") for _ in range(2)]
    assert sorted(track["kind"] for track in seen) == ["audio", "video"]
    for track in seen:
        assert track["metadata"] == {"kind": track["kind"]}
        received = 0
        while received < 40:
            received = (await ours.next_of(f"track:{track['trackId']}", "stats"))["framesReceived"]
    await end(theirs, ours)


async def test_theirs_hears_our_tone_and_we_record_its_picture_and_sound(server, tmp_path):
    theirs = await Theirs.joined(server, "theirs")
    theirs.peer.on(PeerJoined, lambda event: event.peer.on(Track, lambda track: theirs.inbox.put(Track, track)))
    ours = await joined(server, "ours")
    await ours.next("peer-joined")
    await ours.call("peer.addTrack", kind="audio", source={"tone": {"hz": 440}})
    seen = await theirs.next(Track)
    sound = b""
    while len(sound) < 2 * 2 * 96_000:
        frame = await asyncio.wait_for(seen.track.recv(), LIMIT)
        assert (frame.sample_rate, frame.layout.name, frame.format.name) == (48_000, "stereo", "s16")
        sound += bytes(frame.planes[0])[: frame.samples * 4]
    left = array("h", sound)[-2 * 48_000 :: 2]
    rises = sum(before < 0 <= after for before, after in zip(left, left[1:]))
    assert abs(rises - 440) <= 5, f"a tone of {rises} Hz"
    assert 6_000 < max(left) < 10_500, "a quarter of full scale"

    for track in [VideoStreamTrack(), AudioStreamTrack()]:
        theirs.peer.add_track(track, None, None)
    for _ in range(2):
        await ours.next_of(f"remote:{theirs.id}", "track")
    files = (await ours.call("remote.record", peerId=theirs.id, dir=str(tmp_path)))["files"]
    assert len(files) == 2
    await asyncio.sleep(2)
    # What is still recorded is finished before the end.
    await end(theirs, ours)
    for file in files:
        assert Path(file).stat().st_size > 100
        command = ["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", file, "-f", "null", "-"]
        run = subprocess.run(command, stderr=subprocess.PIPE, check=True, timeout=LIMIT)
        # The null muxer rounds times to a frame rate, and says so.
        assert [line for line in run.stderr.splitlines() if b"dts to muxer" not in line] == []


async def test_its_estimate_limits_what_we_send(server):
    """It knows no transport-wide numbers: what it believes in comes by REMB, from the times of sending."""
    theirs = await Theirs.joined(server, "theirs")
    theirs.peer.on(PeerJoined, lambda event: event.peer.on(Track, lambda track: theirs.inbox.put(Track, track)))
    ours = await joined(server, "ours")
    await ours.next("peer-joined")
    source = {"file": str(CLIPS / "pattern-vp8.ivf"), "loop": True}
    await ours.call("peer.addTrack", kind="video", source=source)
    seen = await theirs.next(Track)
    for _ in range(250):
        await asyncio.wait_for(seen.track.recv(), LIMIT)
        stats = await ours.call("remote.stats", peerId=theirs.id)
        # Half as much again as the clip has, far below what a path begins with.
        limited = stats.get("availableOutgoingBitrate", 500_000) < 400_000
        if limited and "roundTripTimeMs" in stats["tracks"][0]:
            break
    else:
        pytest.fail(f"no estimate in ten seconds: {stats}")
    [sent] = stats["tracks"]
    assert sent["trackId"] and sent["frames"] > 20 and sent["fractionLost"] == 0
    assert 0 <= sent["roundTripTimeMs"] < 1_000
    await end(theirs, ours)
