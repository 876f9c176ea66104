"""The generated module over the real library, and a dev server. Every wait is bounded."""

import asyncio
import json
import os
import pathlib
import sys
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINDINGS = os.environ.get("METERED_BINDINGS", TARGET / "ffi/test/bindings")
METERED = os.environ.get("METERED_BIN", str(TARGET / "debug/metered"))
LIMIT = 20.0

# `cargo xtask test-library` puts both there. Before site-packages: the official SDK has the same name.
sys.path.insert(0, str(pathlib.Path(BINDINGS) / "python/generated"))
import metered_realtime as sdk  # noqa: E402


def within(wait, limit=LIMIT):
    return asyncio.wait_for(wait, limit)


def kind(value):
    """The variant of an event or error: the generator names the class `SignallingEvent.MESSAGE`."""
    return type(value).__name__.rpartition(".")[2]


class Server:
    @classmethod
    async def start(cls):
        server = cls()
        server.process = await asyncio.create_subprocess_exec(
            METERED, "serve", "--json", "--port", "0", "--exit-with-stdin",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        vars(server).update(json.loads(await within(server.process.stdout.readline())))
        return server

    async def token(self, peer_id, **claims):
        def call():
            headers = {"authorization": f"Bearer {self.secretId}:{self.secret}"}
            body = json.dumps({"peerId": peer_id, **claims}).encode()
            request = urllib.request.Request(self.httpUrl + "/v1/tokens", body, headers)
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                return json.load(answer)["token"]

        return await asyncio.to_thread(call)

    async def state(self):
        def call():
            with urllib.request.urlopen(self.httpUrl + "/_dev/state", timeout=LIMIT) as answer:
                return json.load(answer)

        return await asyncio.to_thread(call)

    def options(self, **given):
        return sdk.SignallingOptions(url=self.url, **given)

    async def client(self, peer_id, **given):
        credential = sdk.Credential.TOKEN(await self.token(peer_id))
        return sdk.SignallingClient(credential, self.options(**given))

    async def peer(self, peer_id):
        credential = sdk.Credential.TOKEN(await self.token(peer_id))
        return sdk.MeteredPeer(credential, sdk.PeerOptions(signalling=self.options()))

    async def stop(self):
        self.process.stdin.close()
        assert await within(self.process.wait()) == 0


class Inbox:
    """Pulls one object's events and finds the one that is wanted."""

    def __init__(self, source):
        self.source = source
        self.waiting = []

    async def next(self, variant, fits=lambda event: True):
        async def search():
            while True:
                while self.waiting:
                    event = self.waiting.pop(0)
                    if kind(event) == variant and fits(event):
                        return event
                self.waiting = await self.source.next_events(64)
                assert self.waiting, f"the events ended before {variant}"

        return await within(search())
