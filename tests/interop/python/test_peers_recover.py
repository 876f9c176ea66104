"""What breaks between the official Python SDK's peer and ours mends itself."""

import pytest
from metered_realtime import DataChannelOpened, PeerJoined, PeerLeft, StateChange
from peers import Process, Theirs, channel_of_ours, channel_of_theirs, end, joined, pair, talk

NAMES = pytest.mark.parametrize("names", [("a-theirs", "b-ours"), ("b-theirs", "a-ours")])


def is_state(wanted):
    return lambda change: change["to"] == wanted


@NAMES
async def test_theirs_rebuilds_its_connection(server, names):
    theirs, ours, channel_id, _ = await pair(server, names, durable=True)
    # In place of an ICE restart aiortc's user makes a new connection, with another key.
    connection = theirs.remote()._connection
    await connection.rebuild()
    await ours.next_of(f"remote:{theirs.id}", "connection-reset")
    channel = await theirs.next(DataChannelOpened)
    await talk(ours, channel_id, await channel.opened(), "after")
    await end(theirs, ours)


@NAMES
async def test_theirs_rebuilds_and_opens_a_channel_of_its_own(server, names):
    theirs, ours, channel_id, _ = await pair(server, names)
    await theirs.remote()._connection.rebuild()
    channel = theirs.open("again")
    await ours.next_of(f"channel:{channel_id}", "close")
    opened = await ours.next_of(f"remote:{theirs.id}", "data-channel")
    await talk(ours, opened["channelId"], await channel.opened(), "after")
    await end(theirs, ours)


@NAMES
async def test_ours_changes_the_network(server, names):
    theirs, ours, channel_id, _ = await pair(server, names, durable=True)
    await ours.call("peer.networkChanged")
    # aiortc cannot restart a path: the SDK answers with a new connection.
    channel = await theirs.next(DataChannelOpened)
    await talk(ours, channel_id, await channel.opened(), "after")
    await end(theirs, ours)


@NAMES
async def test_our_socket_drops(server, names):
    theirs, ours, channel_id, _ = await pair(server, names, durable=True)
    await server.fault("drop", peerId=ours.id)
    await ours.next_of("peer", "state-change", is_state("reconnecting"))
    await ours.next_of("peer", "state-change", is_state("joined"))
    await theirs.next(PeerLeft)
    await theirs.next(PeerJoined)
    channel = await theirs.next(DataChannelOpened)
    await talk(ours, channel_id, await channel.opened(), "after")
    await end(theirs, ours)


@NAMES
async def test_their_socket_drops(server, names):
    theirs, ours, channel_id, _ = await pair(server, names)
    await server.fault("drop", peerId=theirs.id)
    await theirs.next(StateChange, lambda change: change.to == "reconnecting")
    await theirs.next(StateChange, lambda change: change.from_ == "reconnecting" and change.to == "joined")
    # It keeps its remote and makes its connection anew. Whether it left and came back to us, or was there all the
    # time, is a matter of which comes first: the end of its connection or its return.
    await ours.next_of(f"channel:{channel_id}", "close")
    await talk(ours, *await channel_of_theirs(ours, theirs, "theirs"), "after")
    await talk(ours, *await channel_of_ours(ours, theirs, "ours"), "after")
    await end(theirs, ours)


async def test_their_process_is_killed_without_goodbye(server):
    process = await Process.joined(server, "theirs")
    ours = await joined(server, "ours")
    await ours.next("peer-joined")
    opened = await ours.call("remote.openDataChannel", peerId="theirs", label="chat")
    source = f"channel:{opened['channelId']}"
    await ours.call("channel.send", channelId=opened["channelId"], text="echo")
    assert (await ours.next_of(source, "message"))["text"] == "echo"
    await process.kill()
    assert (await ours.next("peer-left"))["peer"]["id"] == "theirs"
    await ours.next_of(source, "close")
    assert await ours.call("peer.remotePeers") == []
    await ours.stop()


async def test_ours_is_killed_without_goodbye(server):
    theirs, ours, *_ = await pair(server)
    await ours.kill()
    assert (await theirs.next(PeerLeft)).peer.id == ours.id
    await end(theirs, ours)


async def test_a_peer_under_the_id_of_one_that_was_killed_is_met_anew(server):
    process = await Process.joined(server, "theirs")
    ours = await joined(server, "ours")
    await ours.next("peer-joined")
    await ours.call("remote.openDataChannel", peerId="theirs", label="chat")
    await process.kill()
    await ours.next("peer-left")
    theirs = await Theirs.joined(server, "theirs")
    await ours.next("peer-joined")
    await theirs.next(PeerJoined)
    await talk(ours, *await channel_of_theirs(ours, theirs, "again"), "after")
    await end(theirs, ours)
