"""The official Python SDK's peer and ours in one room, and what they say over data channels."""

import asyncio
import base64
import json
import os
import signal
import sys

from metered_realtime import (
    DataChannel,
    DataChannelOpened,
    DCClose,
    DCMessage,
    DCOpen,
    MeteredPeer,
    NegotiationError,
    PeerJoined,
    PeerLeft,
    ReconnectOptions,
    StateChange,
)
from support import LIMIT, Inbox, Ours


class Channel:
    """A data channel of the official SDK with its events in an inbox."""

    def __init__(self, raw):
        self.channel = DataChannel(raw)
        self.inbox = Inbox()
        for event in (DCOpen, DCMessage, DCClose):
            self.channel.on(event, lambda payload, kind=event: self.inbox.put(kind, payload))

    async def opened(self):
        if self.channel.ready_state != "open":
            await self.inbox.next(DCOpen)
        return self

    async def received(self):
        return (await self.inbox.next(DCMessage)).data


class Theirs:
    """The official SDK's peer with its events in an inbox."""

    def __init__(self, url, token, peer_id):
        async def provider():
            return token

        reconnect = ReconnectOptions(initial_delay=0.05, max_delay=0.5)
        self.id, self.inbox = peer_id, Inbox()
        self.peer = MeteredPeer(url=url, token_provider=provider, reconnect=reconnect)
        for event in (StateChange, PeerLeft):
            self.peer.on(event, lambda payload, kind=event: self.inbox.put(kind, payload))
        self.peer.on(PeerJoined, self._joined)

    def _joined(self, event):
        remote = event.peer
        # aiortc gives what comes first to who listens at once.
        remote.on(DataChannelOpened, lambda opened: self.inbox.put(DataChannelOpened, Channel(opened.channel)))
        remote.on(NegotiationError, lambda error: self.inbox.put(NegotiationError, error))
        remote.on(StateChange, lambda change: self.inbox.put("remote", change))
        self.inbox.put(PeerJoined, remote)

    @classmethod
    async def joined(cls, server, peer_id, room="room"):
        theirs = cls(server.url, await server.token(peer_id), peer_id)
        await theirs.peer.join(room)
        return theirs

    def next(self, kind, fits=lambda payload: True):
        return self.inbox.next(kind, fits)

    def remote(self):
        (remote,) = self.peer.remote_peers
        return remote

    def open(self, label, **options):
        return Channel(self.remote().create_data_channel(label, **options))

    async def stop(self):
        await asyncio.wait_for(self.peer.close(), LIMIT)


async def joined(server, peer_id, room="room"):
    """Our peer in the room."""
    ours = await Ours.peer(server, peer_id)
    await ours.call("peer.join", channel=room)
    return ours


async def channel_of_ours(ours, theirs, label, **options):
    """A channel that ours opens, on both sides."""
    opened = await ours.call("remote.openDataChannel", peerId=theirs.id, label=label, **options)
    return opened["channelId"], await (await theirs.next(DataChannelOpened)).opened()


async def channel_of_theirs(ours, theirs, label, **options):
    """A channel that theirs opens, on both sides."""
    channel = theirs.open(label, **options)
    opened = await ours.next_of(f"remote:{theirs.id}", "data-channel")
    return opened["channelId"], await channel.opened()


async def talk(ours, channel_id, channel, word):
    """Text and bytes, both ways."""
    source = f"channel:{channel_id}"
    await channel.channel.send(word)
    assert (await ours.next_of(source, "message"))["text"] == word
    await ours.call("channel.send", channelId=channel_id, text=word)
    assert await channel.received() == word
    data = word.encode() + b"\0\xff"
    await channel.channel.send(data)
    assert base64.b64decode((await ours.next_of(source, "message"))["base64"]) == data
    await ours.call("channel.send", channelId=channel_id, base64=base64.b64encode(data).decode())
    assert await channel.received() == data


async def pair(server, names=("theirs", "ours"), **options):
    """Both in a room, talking over a channel of ours. The lower id is the polite one."""
    theirs = await Theirs.joined(server, names[0])
    ours = await joined(server, names[1])
    await theirs.next(PeerJoined)
    await ours.next("peer-joined")
    channel_id, channel = await channel_of_ours(ours, theirs, "chat", **options)
    await talk(ours, channel_id, channel, "before")
    return theirs, ours, channel_id, channel


async def end(theirs, ours):
    await theirs.stop()
    await ours.stop()


class Process:
    """A peer of the official SDK in a process of its own, that answers on every channel with what it gets."""

    @classmethod
    async def joined(cls, server, peer_id):
        process, process.id = cls(), peer_id
        arguments = [server.url, await server.token(peer_id), peer_id]
        process.child = await asyncio.create_subprocess_exec(
            sys.executable, __file__, *arguments, stdout=asyncio.subprocess.PIPE
        )
        line = await asyncio.wait_for(process.child.stdout.readline(), LIMIT)
        assert json.loads(line) == "joined"
        return process

    async def kill(self):
        os.kill(self.child.pid, signal.SIGKILL)
        await asyncio.wait_for(self.child.wait(), LIMIT)


async def echo(url, token, peer_id):
    theirs = Theirs(url, token, peer_id)
    await theirs.peer.join("room")
    print(json.dumps("joined"), flush=True)
    while True:
        channel = await theirs.inbox.next(DataChannelOpened)
        await channel.channel.send(await channel.received())


if __name__ == "__main__":
    asyncio.run(echo(*sys.argv[1:]))
