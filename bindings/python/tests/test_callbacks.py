"""The app's own code, called by the SDK: it may fail, throw, hang, and is freed."""

import asyncio
import gc
import weakref

import pytest
from support import Inbox, kind, sdk, within


class Provider(sdk.TokenProvider):
    def __init__(self, answer):
        self.answer, self.asked, self.cancelled = answer, 0, asyncio.Event()

    async def token(self):
        self.asked += 1
        try:
            return await self.answer()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def with_provider(server, provider, **given):
    return sdk.SignallingClient.with_token_provider(provider, server.options(**given))


async def test_a_provider_gives_the_token(server):
    token = await server.token("alice")

    async def answer():
        return token

    client = with_provider(server, Provider(answer))
    await within(client.connect())
    assert client.welcome().peer_id == "alice"
    await within(client.shutdown())


@pytest.mark.parametrize("thrown", [sdk.CallbackError.Failed("no session"), ValueError("boom")])
async def test_a_provider_that_throws_is_an_error(server, thrown):
    async def answer():
        raise thrown

    client = with_provider(server, Provider(answer))
    with pytest.raises(sdk.SdkError.TokenProviderError) as caught:
        await within(client.connect())
    assert caught.value.details.code == "token_provider_failed"
    await within(client.shutdown())


async def test_a_provider_that_hangs_is_given_up_and_cancelled(server):
    provider = Provider(asyncio.Event().wait)
    client = with_provider(server, provider, token_provider_timeout_ms=100)
    with pytest.raises(sdk.SdkError.TokenProviderError) as caught:
        await within(client.connect())
    assert caught.value.details.code == "token_provider_timeout"
    await within(provider.cancelled.wait())
    await within(client.shutdown())


class Listener(sdk.SignallingListener):
    def __init__(self, fails=False):
        self.events, self.fails, self.news = [], fails, asyncio.Event()

    async def on_events(self, events):
        self.events += events
        self.news.set()
        if self.fails:
            raise ValueError("on purpose")

    async def until(self, variant):
        async def search():
            while all(kind(event) != variant for event in self.events):
                self.news.clear()
                await self.news.wait()

        await within(search())


@pytest.mark.parametrize("fails", [False, True])
async def test_a_listener_gets_all_events_though_it_throws(server, fails):
    client, listener = await server.client("alice"), Listener(fails)
    client.set_listener(listener)
    with pytest.raises(sdk.SdkError.InvalidStateError):
        await client.next_events(1)
    await within(client.connect())
    await within(client.subscribe("room"))
    await listener.until("PRESENCE")
    await within(client.shutdown())
    names = [kind(event) for event in listener.events]
    wanted = ["STATE_CHANGE", "STATE_CHANGE", "CONNECTED", "PRESENCE", "STATE_CHANGE", "DISCONNECTED"]
    assert names == wanted


async def test_a_listener_that_hangs_holds_nothing_up(server):
    class Hanging(sdk.SignallingListener):
        async def on_events(self, events):
            await asyncio.Event().wait()

    clients = [await server.client(f"c{n}") for n in range(8)]
    for client in clients:
        client.set_listener(Hanging())
    # More listeners hang than there are threads.
    await within(asyncio.gather(*(client.connect() for client in clients)))
    clients[0].clear_listener()
    await within(clients[0].publish("room", "1"))
    await within(asyncio.gather(*(client.shutdown() for client in clients)))


async def test_a_cleared_listener_hears_nothing_and_the_next_pull_does(server):
    client, listener = await server.client("alice"), Listener()
    client.set_listener(listener)
    client.clear_listener()
    await within(client.connect())
    await Inbox(client).next("CONNECTED")
    assert not listener.events
    await within(client.shutdown())


async def freed(*references):
    async def until():
        while any(reference() is not None for reference in references):
            gc.collect()
            await asyncio.sleep(0.01)

    await within(until())


async def test_shutdown_frees_listener_and_provider_though_they_hold_the_client(server):
    token = await server.token("alice")

    async def answer():
        return token

    provider, listener = Provider(answer), Listener()
    client = with_provider(server, provider)
    provider.client = listener.client = client
    client.set_listener(listener)
    await within(client.connect())
    await within(client.shutdown())
    references = weakref.ref(provider), weakref.ref(listener), weakref.ref(client)
    del provider, listener, client
    await freed(*references)
