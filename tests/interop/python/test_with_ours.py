"""The official Python SDK and our client in one room."""

from metered_realtime import Connected, Direct, Disconnected, Message, Presence, SubscribeOptions
from support import Official, Ours


async def pair(server, channel):
    official = await Official.named(server, "theirs", peerMetadata={"sdk": "python"})
    token = await server.token("ours", peerMetadata={"sdk": "rust"})
    ours = await Ours.create(url=server.url, token=token)
    await ours.call("signalling.connect")
    await official.client.subscribe(channel, SubscribeOptions(include_sender_metadata=True))
    await ours.call("signalling.subscribe", channel=channel, includeSenderMetadata=True)
    return official, ours


async def end(official, ours):
    await official.client.close()
    await ours.stop()


async def test_presence_messages_directs_and_metadata_both_ways(server):
    official, ours = await pair(server, "room")
    snapshot = await ours.next("presence")
    assert snapshot["joined"] == [{"peerId": "theirs", "metadata": {"sdk": "python"}}]
    joined = await official.next(Presence, lambda presence: presence.joined)
    assert (joined.joined[0].peer_id, joined.joined[0].metadata) == ("ours", {"sdk": "rust"})

    await official.client.publish("room", {"text": "hello ü"})
    message = await ours.next("message")
    assert (message["from"], message["data"]) == ("theirs", {"text": "hello ü"})
    assert message["fromMetadata"] == {"sdk": "python"}
    await ours.call("signalling.publish", channel="room", data={"text": "servus", "none": None})
    message = await official.next(Message)
    assert (message.data, message.sender_metadata) == ({"text": "servus", "none": None}, {"sdk": "rust"})

    await official.client.send("ours", [1])
    assert (await ours.next("direct"))["data"] == [1]
    await ours.call("signalling.send", peerId="theirs", data="psst")
    assert (await official.next(Direct)).data == "psst"
    await end(official, ours)


def ours_came(presence):
    return any(peer.peer_id == "ours" for peer in presence.joined)


async def test_a_drop_of_either_side(server):
    official, ours = await pair(server, "room")
    await ours.next("presence")
    await official.next(Presence)
    await server.fault("drop", peerId="ours")
    assert (await ours.next("disconnected"))["code"] == 1006
    await ours.next("connected", lambda connected: connected["isReconnect"])
    await ours.next("presence")
    await official.client.publish("room", 1)
    assert (await ours.next("message"))["data"] == 1

    # Ours came twice to it by now: what is waited for below is its own snapshot.
    for _ in range(2):
        await official.next(Presence, ours_came)
    await server.fault("drop", peerId="theirs")
    await official.next(Disconnected)
    await official.next(Connected, lambda connected: connected.is_reconnect)
    # Its own subscription is replayed then; what is published before that is not for it.
    await official.next(Presence, ours_came)
    await ours.call("signalling.publish", channel="room", data=2)
    assert (await official.next(Message)).data == 2
    await end(official, ours)


async def test_each_sees_the_other_leave(server):
    official, ours = await pair(server, "room")
    await official.next(Presence, lambda presence: presence.joined)
    await ours.call("signalling.close")
    left = await official.next(Presence, lambda presence: presence.left)
    assert left.left[0].peer_id == "ours"
    await end(official, ours)
