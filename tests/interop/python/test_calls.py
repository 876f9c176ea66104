"""Whole calls between the official Python SDK (aiortc) and ours: pictures that count and tones, read at the far end."""

import asyncio
import subprocess
from array import array
from itertools import pairwise
from math import pi, sin

import pytest
from aiortc import AudioStreamTrack, VideoStreamTrack
from av import VideoFrame
from metered_realtime import MediaStream, PeerJoined, PeerLeft, StreamAdded, Track
from peers import Theirs, end, joined
from support import LIMIT

# As the clips of `tools/clips` have it: the number in binary in a row of boxes along the lower edge.
WIDTH, HEIGHT, BITS, BOX = 320, 180, 7, 16
# Ours are two macroblocks high: after some key frames aiortc's encoder leaves what changes in a row of single ones.
TALL = 36
# Half a second of 30 pictures and 50 packets of sound.
MOST_PICTURES_EARLY, MOST_PACKETS_EARLY = 15, 25
HARMLESS = [b"dts to muxer", b"Timestamps are unset", b"Estimating duration", b"monotonically increasing dts"]


async def while_still(track):
    """Gives nothing while the track is still."""
    while track.still:
        await asyncio.sleep(0.01)


class Counter(VideoStreamTrack):
    """Counts to 127, again and again."""

    number, made, still = 0, 0, False

    async def recv(self):
        await while_still(self)
        pts, time_base = await self.next_timestamp()
        lower = bytearray(WIDTH)
        for bit in range(BITS):
            if self.number >> bit & 1:
                lower[WIDTH - BOX * (bit + 1) : WIDTH - BOX * bit] = b"\xeb" * BOX
        self.number = (self.number + 1) % (1 << BITS)
        frame = VideoFrame(width=WIDTH, height=HEIGHT)
        luma, *chroma = frame.planes
        pad = bytes(luma.line_size - WIDTH)
        upper = bytes([96]) * WIDTH
        luma.update((upper + pad) * (HEIGHT - TALL) + (bytes(lower) + pad) * TALL)
        for plane in chroma:
            plane.update(b"\x80" * plane.buffer_size)
        frame.pts, frame.time_base = pts, time_base
        self.made += 1
        return frame


class Tone(AudioStreamTrack):
    """A quarter of full scale."""

    def __init__(self, hz):
        super().__init__()
        self.hz, self.at, self.silent, self.still = hz, 0, False, False

    async def recv(self):
        await while_still(self)
        frame = await super().recv()
        step = 2 * pi * self.hz / frame.sample_rate
        size = 0 if self.silent else 8_192
        pcm = array("h", (round(size * sin(step * (self.at + n))) for n in range(frame.samples)))
        self.at += frame.samples
        [plane] = frame.planes
        plane.update(pcm.tobytes().ljust(plane.buffer_size, b"\0"))
        return frame


def number(luma, stride):
    """What a picture shows."""
    y = HEIGHT - BOX // 2
    return sum((luma[y * stride + WIDTH - BOX * bit - BOX // 2] > 128) << bit for bit in range(BITS))


def decoded(file, *output):
    command = ["ffmpeg", "-nostdin", "-v", "warning", "-xerror", "-i", file, *output, "-"]
    run = subprocess.run(command, capture_output=True, check=True, timeout=LIMIT)
    said = [line for line in run.stderr.splitlines() if not any(words in line for words in HARMLESS)]
    assert said == []
    return run.stdout


def counted(file):
    gray = decoded(file, "-f", "rawvideo", "-pix_fmt", "gray", "-fps_mode", "passthrough")
    size = WIDTH * HEIGHT
    assert len(gray) % size == 0
    return [number(gray[at : at + size], WIDTH) for at in range(0, len(gray), size)]


def share_of_tone(pcm, hz):
    """How many tenths of a second of mono at 48 kHz hold just this tone; aiortc leaves gaps when time is short."""
    tenths = [pcm[at : at + 4_800] for at in range(0, len(pcm) - 4_800, 4_800)]
    rises = [sum(before < 0 <= after for before, after in zip(tenth, tenth[1:])) for tenth in tenths]
    return sum(abs(count - hz / 10) <= 1 for count in rises) / len(rises)


def heard(file):
    return array("h", decoded(file, "-f", "s16le", "-ac", "1", "-ar", "48000"))


async def both(server):
    theirs = await Theirs.joined(server, "theirs")

    def listen(event):
        for kind in (Track, StreamAdded):
            event.peer.on(kind, lambda payload, kind=kind: theirs.inbox.put(kind, payload))

    theirs.peer.on(PeerJoined, listen)
    ours = await joined(server, "ours")
    await ours.next("peer-joined")
    await theirs.next(PeerJoined)
    return theirs, ours


async def next_track(ours, theirs, kind):
    found = await ours.next_of(f"remote:{theirs.id}", "track", lambda track: track["kind"] == kind)
    return found["trackId"]


async def received(ours, track_id, frames):
    """Until so many pictures or packets came."""
    stats = {"framesReceived": 0}
    async with asyncio.timeout(2 * LIMIT):
        while stats["framesReceived"] < frames:
            stats = await ours.next_of(f"track:{track_id}", "stats")
    return stats


async def more(ours, track_id, frames=40):
    before = (await received(ours, track_id, 1))["framesReceived"]
    await received(ours, track_id, before + frames)


async def pictures(track, count=20):
    """Until it has shown so many numbers."""
    numbers = set()
    async with asyncio.timeout(LIMIT):
        while len(numbers) < count:
            frame = await track.recv()
            assert (frame.width, frame.height) == (WIDTH, HEIGHT)
            luma = frame.planes[0]
            numbers.add(number(bytes(luma), luma.line_size))
    assert max(numbers) < 100


async def loud(track):
    """Until it is."""

    async def listen():
        while True:
            frame = await track.recv()
            if max(array("h", bytes(frame.planes[0])[: frame.samples * 4])) > 6_000:
                return

    await asyncio.wait_for(listen(), LIMIT)


async def ends(track):
    """Until nothing comes for a second."""
    with pytest.raises(TimeoutError):
        for _ in range(500):
            await asyncio.wait_for(track.recv(), 1)


async def packets(theirs):
    """What left, by kind."""
    sent = {}
    for sender in theirs.remote().pc.getSenders():
        for figures in (await sender.getStats()).values():
            if figures.type == "outbound-rtp":
                sent[figures.kind] = figures.packetsSent
    return sent


async def all_sent(theirs, stream):
    """Stills the tracks, and answers how many packets left when the last of them has."""
    for track in stream.get_tracks():
        track.still = True
    before, now = None, await packets(theirs)
    while before != now:
        await asyncio.sleep(0.5)
        before, now = now, await packets(theirs)
    return now


async def test_its_counter_and_its_tone_are_recorded_whole(server, tmp_path):
    theirs, ours = await both(server)
    await ours.call("remote.record", peerId=theirs.id, dir=str(tmp_path))
    counter = Counter()
    stream = MediaStream([counter, Tone(440)])
    theirs.peer.add_stream(stream, {"from": "python"})
    video, audio = [await next_track(ours, theirs, kind) for kind in ("video", "audio")]
    await received(ours, video, 60)
    await received(ours, audio, 150)
    sent = await all_sent(theirs, stream)
    stats = await ours.call("remote.stats", peerId=theirs.id)
    theirs.peer.remove_stream(stream)
    picture = await ours.next_of(f"track:{video}", "recorded")
    sound = await ours.next_of(f"track:{audio}", "recorded")
    numbers = counted(picture["file"])
    assert len(numbers) == picture["frames"]
    # All that left is there, one packet a picture; what left before we had the keys is lost, to whoever receives. What
    # the SDK drew while its encoder was busy never left (`MediaRelay`, unbuffered), so that numbers may be skipped.
    missing = sent["video"] - len(numbers), sent["audio"] - sound["frames"]
    assert 0 <= missing[0] <= MOST_PICTURES_EARLY and 0 <= missing[1] <= MOST_PACKETS_EARLY, missing
    inbound = [track for track in stats["tracks"] if track["direction"] == "inbound"]
    assert [track["packetsLost"] for track in inbound] == [0, 0]
    # Nothing is missing after the first that is there.
    assert missing[0] <= numbers[0], (missing, numbers)
    steps = [(after - before) % 128 for before, after in pairwise(numbers)]
    assert 0 not in steps and sum(steps) < counter.made, (counter.made, numbers)
    pcm = heard(sound["file"])
    assert len(pcm) >= 2 * 48_000 and share_of_tone(pcm, 440) > 0.5
    assert 6_000 < max(pcm) < 12_000
    await end(theirs, ours)


async def test_both_mute_and_go_on(server):
    theirs, ours = await both(server)
    tone = Tone(440)
    theirs.peer.add_track(tone)
    audio = await next_track(ours, theirs, "audio")
    source = f"track:{audio}"
    for silent in (False, True, False):
        tone.silent = silent
        await ours.next_of(source, "stats", lambda stats: (stats["levelDbfs"] < -60) == silent)
    tracks = [{"kind": "video", "source": {"testPattern": {}}}, {"kind": "audio", "source": {"tone": {}}}]
    ids = (await ours.call("peer.addStream", tracks=tracks))["trackIds"]
    seen = {(await theirs.next(Track)).track for _ in ids}
    [picture] = [track for track in seen if track.kind == "video"]
    [sound] = [track for track in seen if track.kind == "audio"]
    await pictures(picture)
    await loud(sound)
    for track_id in ids:
        await ours.call("peer.muteTrack", trackId=track_id, muted=True)
    await ends(picture)
    # It ends with silence, of which aiortc keeps back what its buffer is not full with.
    await ends(sound)
    for track_id in ids:
        await ours.call("peer.muteTrack", trackId=track_id, muted=False)
    await pictures(picture)
    await loud(sound)
    await end(theirs, ours)


async def test_ours_replaces_removes_and_adds_again_and_theirs_removes(server):
    theirs, ours = await both(server)
    source = {"testPattern": {"codec": "h264"}}
    added = await ours.call("peer.addTrack", kind="video", source=source, streamId="screen")
    track = (await theirs.next(Track)).track
    await pictures(track)
    replaced = await ours.call("peer.replaceTrack", trackId=added["trackId"], source=source)
    await pictures(track)
    await ours.call("peer.removeTrack", trackId=replaced["trackId"])
    # For aiortc a track ends with its connection alone: the SDK sees no stream go.
    await ends(track)
    await ours.call("peer.addTrack", kind="video", source=source, streamId="again")
    # And what comes over the same media line comes with the same track.
    await pictures(track)

    tone = Tone(440)
    theirs.peer.add_track(tone)
    audio = await next_track(ours, theirs, "audio")
    await received(ours, audio, 50)
    # Its sender ends together with the track: aiortc sends nothing over it again, neither for a track that
    # replaces this one nor for one that is added later.
    theirs.peer.remove_track(tone)
    await ours.next_of(f"remote:{theirs.id}", "track-removed")
    await end(theirs, ours)


async def test_two_streams_at_once_and_a_third_peer_that_comes_late(server):
    theirs, ours = await both(server)
    for stream_id, codec in (("kitchen", "vp8"), ("workshop", "h264")):
        source = {"testPattern": {"codec": codec}}
        await ours.call("peer.addTrack", kind="video", source=source, streamId=stream_id)
    for _ in range(2):
        await pictures((await theirs.next(Track)).track)
    theirs.peer.add_stream(MediaStream([Counter(), Tone(440)]))
    video = await next_track(ours, theirs, "video")
    await received(ours, video, 20)
    late = await joined(server, "late")
    for remote, count in ((theirs, 1), (ours, 2)):
        for _ in range(count):
            track_id = await next_track(late, remote, "video")
            first = await late.next_of(f"track:{track_id}", "first-frame")
            print(f"the first picture of {remote.id} is there after {first['afterMs']:.0f} ms")
            # This measures the machine, too.
            assert first["keyFrame"] and first["afterMs"] < 5_000
            await received(late, track_id, 20)
    await more(ours, video)
    await late.stop()
    await end(theirs, ours)


async def told(theirs, ours, stream):
    """Each is told of the other's stream: under its id and with what was said of it, on every connection."""
    added = await theirs.next(StreamAdded)
    assert (added.stream.id, dict(added.metadata)) == ("screen", {"seat": 3})
    added = await ours.next_of(f"remote:{theirs.id}", "stream-added")
    assert (added["streamId"], added["metadata"]) == (stream.id, {"from": "python"})


@pytest.mark.parametrize("whose", ["theirs", "ours"])
async def test_a_socket_drops_in_a_call(server, whose):
    theirs, ours = await both(server)
    source = {"testPattern": {}}
    await ours.call("peer.addTrack", kind="video", source=source, streamId="screen", metadata={"seat": 3})
    await pictures((await theirs.next(Track)).track)
    stream = MediaStream([Counter()])
    theirs.peer.add_stream(stream, {"from": "python"})
    await told(theirs, ours, stream)
    await received(ours, await next_track(ours, theirs, "video"), 20)
    await server.fault("drop", peerId=whose)
    if whose == "ours":
        await theirs.next(PeerLeft)
    # aiortc's connection is made anew in both cases.
    await told(theirs, ours, stream)
    await pictures((await theirs.next(Track)).track)
    await received(ours, await next_track(ours, theirs, "video"), 20)
    await end(theirs, ours)
