"""The official Python SDK against the dev server alone."""

import pytest
from metered_realtime import (
    Connected,
    Direct,
    Disconnected,
    DisconnectedError,
    Message,
    Presence,
    PresencePeer,
    ServerRequestError,
    SignallingConnectError,
    SubscribeOptions,
)
from support import Official


async def test_a_key_connects(server):
    official = Official(server, api_key=server.apiKey)
    await official.client.connect()
    connected = await official.next(Connected)
    assert connected.expires_at is None and connected.max_message_size == 65536
    await official.client.close()


async def test_messages_directs_presence_and_metadata(server):
    alice = await Official.named(server, "alice", peerMetadata={"name": "Alice"})
    bob = await Official.named(server, "bob")
    await alice.client.subscribe("room")
    await bob.client.subscribe("room", SubscribeOptions(include_sender_metadata=True))
    snapshot = await bob.next(Presence)
    assert [(peer.peer_id, dict(peer.metadata)) for peer in snapshot.joined] == [("alice", {"name": "Alice"})]
    joined = await alice.next(Presence, lambda presence: presence.joined)
    assert joined.joined[0].peer_id == "bob"

    await alice.client.publish("room", {"x": [1, None, "ü"]})
    message = await bob.next(Message)
    assert (message.sender_peer_id, message.data) == ("alice", {"x": [1, None, "ü"]})
    assert message.sender_metadata == {"name": "Alice"}
    await alice.client.send("bob", "psst")
    assert (await bob.next(Direct)).data == "psst"
    with pytest.raises(ServerRequestError) as refused:
        await alice.client.send("nobody", 1)
    assert refused.value.code == "peer_not_found"

    await bob.client.unsubscribe("room")
    left = await alice.next(Presence, lambda presence: presence.left)
    assert left.left[0].peer_id == "bob"
    assert isinstance(left.left[0], PresencePeer)
    await alice.client.close()
    await bob.client.close()


async def test_a_drop_is_survived_with_its_subscriptions(server):
    alice = await Official.named(server, "alice")
    bob = await Official.named(server, "bob")
    await alice.client.subscribe("room")
    await alice.next(Presence)
    assert await server.fault("drop", peerId="alice") == 1
    assert (await alice.next(Disconnected)).will_reconnect
    await alice.next(Connected, lambda connected: connected.is_reconnect)
    await alice.next(Presence)
    await bob.client.publish("room", "again")
    assert (await alice.next(Message)).data == "again"
    await alice.client.close()
    await bob.client.close()


@pytest.mark.parametrize(
    ("code", "again"), [(4001, False), (4003, False), (4012, False), (4020, False), (4002, True), (4011, True)]
)
async def test_close_codes(server, code, again):
    alice = await Official.named(server, "alice")
    await server.fault("close", code=code, reason="test", peerId="alice")
    lost = await alice.next(Disconnected)
    assert (lost.code, lost.will_reconnect) == (code, again)
    if again:
        await alice.next(Connected, lambda connected: connected.is_reconnect)
    await alice.client.close()


async def test_refusals(server):
    wrong = Official(server, api_key="pk_live_wrong")
    with pytest.raises(SignallingConnectError) as refused:
        await wrong.client.connect()
    assert refused.value.close_code == 4001
    await server.fault("refuse-upgrades", count=1, status=429, retryAfterSeconds=1)
    limited = Official(server, api_key=server.apiKey)
    with pytest.raises(SignallingConnectError) as refused:
        await limited.client.connect()
    assert refused.value.close_code == 429


async def test_a_frame_beyond_the_limit_closes_with_1009(server):
    alice = await Official.named(server, "alice")
    with pytest.raises(DisconnectedError):
        await alice.client.publish("room", "x" * 70_000)
    assert (await alice.next(Disconnected)).code == 1009
    await alice.client.close()
