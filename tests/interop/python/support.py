"""A dev server, the official Python SDK, and our client as child processes. Every wait is bounded."""

import asyncio
import json
import os
import pathlib
import urllib.error
import urllib.request

from metered_realtime import (
    Connected,
    Direct,
    Disconnected,
    Message,
    Presence,
    ReconnectOptions,
    ServerError,
    SignallingClient,
)

LIMIT = 20.0
METERED = os.environ.get(
    "METERED_BIN", str(pathlib.Path(__file__).resolve().parents[3] / "target/debug/metered")
)


async def start(*args):
    return await asyncio.create_subprocess_exec(
        METERED, *args, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**22
    )


class Inbox:
    """Events in order until somebody waits for them; one that is waited for is taken out."""

    def __init__(self):
        self.waiting = []
        self.news = asyncio.Event()

    def put(self, kind, payload):
        self.waiting.append((kind, payload))
        self.news.set()

    async def next(self, kind, fits=lambda payload: True):
        async def search():
            while True:
                for at, (known, payload) in enumerate(self.waiting):
                    if known == kind and fits(payload):
                        del self.waiting[at]
                        return payload
                self.news.clear()
                await self.news.wait()

        try:
            return await asyncio.wait_for(search(), LIMIT)
        except TimeoutError:
            raise TimeoutError(f"no {kind} among\n" + "\n".join(map(str, self.waiting))) from None


class Server:
    @classmethod
    async def start(cls):
        server = cls()
        server.process = await start("serve", "--json", "--port", "0", "--exit-with-stdin", "--record")
        line = await asyncio.wait_for(server.process.stdout.readline(), LIMIT)
        vars(server).update(json.loads(line))
        return server

    async def _http(self, method, path, body, headers):
        def call():
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(self.httpUrl + path, data, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as refusal:
                return refusal.code, json.load(refusal)

        return await asyncio.to_thread(call)

    async def fault(self, name, **fields):
        status, answer = await self._http("POST", f"/_dev/{name}", fields, {})
        assert status == 200, answer
        return answer["connections"]

    async def rest(self, method, path, body=None):
        bearer = {"authorization": f"Bearer {self.secretId}:{self.secret}"}
        return await self._http(method, path, body, bearer)

    async def token(self, peer_id, **claims):
        status, answer = await self.rest("POST", "/v1/tokens", {"peerId": peer_id, **claims})
        assert status == 200, answer
        return answer["token"]

    async def stop(self):
        self.process.stdin.close()
        assert await asyncio.wait_for(self.process.wait(), LIMIT) == 0


class Official:
    """The official SDK with its events in an inbox."""

    def __init__(self, server, **options):
        reconnect = ReconnectOptions(initial_delay=0.05, max_delay=0.5)
        self.client = SignallingClient(url=server.url, reconnect=reconnect, **options)
        self.inbox = Inbox()
        for event in (Connected, Disconnected, Message, Direct, Presence, ServerError):
            self.client.on(event, lambda payload, kind=event: self.inbox.put(kind, payload))

    @classmethod
    async def named(cls, server, peer_id, **claims):
        token = await server.token(peer_id, **claims)

        async def provider():
            return token

        official = cls(server, token_provider=provider)
        await official.client.connect()
        return official

    def next(self, kind, fits=lambda payload: True):
        return self.inbox.next(kind, fits)


class RpcError(Exception):
    pass


class Ours:
    """Our client, by `metered rpc`."""

    @classmethod
    async def create(cls, **options):
        """A signalling client."""
        return await cls._start("signalling.create", options)

    @classmethod
    async def peer(cls, server, peer_id, **options):
        """A peer."""
        token = await server.token(peer_id)
        ours = await cls._start("peer.create", {"url": server.url, "token": token, **options})
        ours.id = peer_id
        return ours

    @classmethod
    async def _start(cls, method, options):
        ours = cls()
        ours.inbox, ours.pending, ours.last_id = Inbox(), {}, 0
        ours.process = await start("rpc")
        ours.reader = asyncio.create_task(ours._read())
        reconnect = {"initialDelayMs": 50, "maxDelayMs": 500}
        await ours.call(method, reconnect=reconnect, **options)
        return ours

    async def _read(self):
        async for line in self.process.stdout:
            message = json.loads(line)
            if message.get("method") == "event":
                event = message["params"]
                self.inbox.put(event["type"], event["payload"] | {"source": event["source"]})
                continue
            answer = self.pending.pop(message["id"])
            if "error" in message:
                answer.set_exception(RpcError(message["error"]))
            else:
                answer.set_result(message["result"])

    async def call(self, method, **params):
        self.last_id += 1
        self.pending[self.last_id] = answer = asyncio.get_running_loop().create_future()
        request = {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        return await asyncio.wait_for(answer, LIMIT)

    def next(self, kind, fits=lambda payload: True):
        return self.inbox.next(kind, fits)

    def next_of(self, source, kind, fits=lambda payload: True):
        """The next event of one source."""
        return self.inbox.next(kind, lambda payload: payload["source"] == source and fits(payload))

    async def kill(self):
        """Without goodbye."""
        self.process.kill()
        await asyncio.wait_for(self.process.wait(), LIMIT)

    async def stop(self):
        """Ends it, unless it has ended."""
        if self.process.returncode is None:
            self.process.stdin.close()
            assert await asyncio.wait_for(self.process.wait(), LIMIT) == 0
        await self.reader
