"""The official Python SDK's peer and ours find each other and talk over data channels."""

import asyncio
import base64

import pytest
from aiortc import AudioStreamTrack
from metered_realtime import DataChannelOpened, DCClose, PeerJoined, PeerLeft
from peers import Theirs, channel_of_ours, channel_of_theirs, end, joined, pair, talk

NAMES = pytest.mark.parametrize("names", [("a-theirs", "b-ours"), ("b-theirs", "a-ours")])


@NAMES
async def test_theirs_joins_first_and_opens_the_channel(server, names):
    theirs = await Theirs.joined(server, names[0])
    ours = await joined(server, names[1])
    assert (await theirs.next(PeerJoined)).id == ours.id
    assert (await ours.next("peer-joined"))["peer"]["id"] == theirs.id
    await talk(ours, *await channel_of_theirs(ours, theirs, "chat"), "grüß dich")
    # A channel may be open before either side has said that the connection is.
    await theirs.next("remote", lambda change: change.to == "connected")
    await ours.next_of(f"remote:{theirs.id}", "state-change", lambda change: change["to"] == "connected")
    assert theirs.remote().state == "connected"
    (remote,) = await ours.call("peer.remotePeers")
    assert remote["state"] == "connected"
    await end(theirs, ours)


@NAMES
async def test_ours_joins_first_and_opens_the_channel(server, names):
    ours = await joined(server, names[1])
    theirs = await Theirs.joined(server, names[0])
    await ours.next("peer-joined")
    await theirs.next(PeerJoined)
    await talk(ours, *await channel_of_ours(ours, theirs, "chat"), "grüß dich")
    await end(theirs, ours)


@NAMES
async def test_both_open_a_channel_at_the_same_moment(server, names):
    theirs = await Theirs.joined(server, names[0])
    ours = await joined(server, names[1])
    await theirs.next(PeerJoined)
    await ours.next("peer-joined")
    # Both offers are under way before either has arrived.
    await server.fault("delay-frames", ms=400)
    channel = theirs.open("theirs")
    opened = await ours.call("remote.openDataChannel", peerId=theirs.id, label="ours")
    await server.fault("delay-frames", ms=0)
    other = await theirs.next(DataChannelOpened)
    await talk(ours, opened["channelId"], await other.opened(), "one")
    seen = await ours.next_of(f"remote:{theirs.id}", "data-channel")
    await talk(ours, seen["channelId"], await channel.opened(), "two")
    await end(theirs, ours)


@NAMES
async def test_each_opens_a_channel_once_they_are_connected(server, names):
    theirs, ours, channel_id, channel = await pair(server, names)
    await talk(ours, *await channel_of_theirs(ours, theirs, "theirs"), "one")
    await talk(ours, *await channel_of_ours(ours, theirs, "ours"), "two")
    await talk(ours, channel_id, channel, "three")
    await end(theirs, ours)


@pytest.mark.parametrize("size", [1, 1_200, 65_536])
async def test_a_message_of_so_many_bytes_both_ways(server, size):
    theirs, ours, channel_id, channel = await pair(server)
    data = bytes(n % 251 for n in range(size))
    await ours.call("channel.send", channelId=channel_id, base64=base64.b64encode(data).decode())
    assert await channel.received() == data
    await channel.channel.send(data)
    message = await ours.next_of(f"channel:{channel_id}", "message")
    assert base64.b64decode(message["base64"]) == data
    await end(theirs, ours)


async def test_the_properties_of_a_channel_arrive(server):
    theirs, ours, *_ = await pair(server)
    options = {"ordered": False, "maxRetransmits": 0, "protocol": "moves"}
    _, channel = await channel_of_ours(ours, theirs, "game", **options)
    raw = channel.channel._channel
    assert (raw.label, raw.ordered, raw.maxRetransmits, raw.protocol) == ("game", False, 0, "moves")
    await channel_of_theirs(ours, theirs, "back", ordered=False, maxRetransmits=0, protocol="moves")
    await end(theirs, ours)


async def test_a_channel_closed_by_either_side_closes_on_the_other(server):
    theirs, ours, channel_id, channel = await pair(server)
    one_id, one = await channel_of_ours(ours, theirs, "one")
    one.channel.close()
    await ours.next_of(f"channel:{one_id}", "close")
    two_id, two = await channel_of_theirs(ours, theirs, "two")
    await ours.call("channel.close", channelId=two_id)
    await two.inbox.next(DCClose)
    await talk(ours, channel_id, channel, "still here")
    await end(theirs, ours)


@NAMES
async def test_ours_leaves(server, names):
    theirs, ours, *_ = await pair(server, names)
    await ours.call("peer.close")
    assert (await theirs.next(PeerLeft)).peer.id == ours.id
    assert theirs.peer.remote_peers == []
    await end(theirs, ours)


@NAMES
async def test_theirs_leaves(server, names):
    theirs, ours, channel_id, _ = await pair(server, names)
    await asyncio.gather(theirs.stop(), ours.next("peer-left"))
    await ours.next_of(f"channel:{channel_id}", "close")
    assert await ours.call("peer.remotePeers") == []
    await ours.stop()


@pytest.mark.parametrize("caller", ["ours", "theirs"])
@NAMES
async def test_channels_open_on_a_call_that_began_with_tracks_alone(server, names, caller):
    theirs = await Theirs.joined(server, names[0])
    ours = await joined(server, names[1])
    await ours.next("peer-joined")
    await theirs.next(PeerJoined)
    if caller == "theirs":
        theirs.peer.add_track(AudioStreamTrack(), None, None)
    else:
        await ours.call("peer.addTrack", kind="audio", source={"tone": {"hz": 440}}, streamId="call")
    await ours.next_of(f"remote:{theirs.id}", "state-change", lambda change: change["to"] == "connected")
    await talk(ours, *await channel_of_ours(ours, theirs, "ours"), "from ours")
    await talk(ours, *await channel_of_theirs(ours, theirs, "theirs"), "from theirs")
    await end(theirs, ours)
