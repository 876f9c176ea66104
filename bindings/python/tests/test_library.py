"""What the library promises beyond the scenarios: nothing lost, nothing left behind, no panic."""

import asyncio
import gc
import pathlib
import time

import pytest
from support import Inbox, kind, sdk, within


def threads():
    """The SDK's threads."""
    found = []
    for task in pathlib.Path("/proc/self/task").iterdir():
        try:
            found.append((task / "comm").read_text().strip())
        except FileNotFoundError:
            pass  # it has just ended
    return found.count("metered-sdk")


def resident_kib():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def test_a_panic_is_an_error():
    with pytest.raises(sdk.InternalError):
        sdk.panic_inside()
    with pytest.raises(sdk.SdkError.InternalError) as caught:
        await within(sdk.panic_in_a_task())
    assert caught.value.details.code == "internal"
    await within(sdk.sleep(1))


async def test_what_keeps_a_client_from_its_server_is_told(server):
    key = sdk.Credential.API_KEY("pk_live_dev")
    options = sdk.SignallingOptions(url="ws://127.0.0.1:9", reconnect=sdk.ReconnectOptions(enabled=False))
    client = sdk.SignallingClient(key, options)
    assert client.last_attempt() is None
    with pytest.raises(sdk.SdkError.SignallingConnectError):
        await within(client.connect())
    steps = [(step.step.name, step.done) for step in client.last_attempt().steps]
    assert steps == [("RESOLVING", True), ("CONNECTING", False)]
    assert await within(client.round_trip_ms()) is None
    await within(client.shutdown())
    alice = await server.client("alice")
    await within(alice.connect())
    assert await within(alice.round_trip_ms()) > 0
    await within(alice.shutdown())
    relay = sdk.IceServer(urls=["turn:127.0.0.1:9?transport=tcp"], username="user", credential="hidden")
    for limit_ms in (10_000, 2**64 - 1):
        with pytest.raises(sdk.SdkError.IceCandidateError) as caught:
            await within(sdk.ask_ice_server(sdk.PeerOptions(signalling=options), relay, limit_ms))
        assert (caught.value.details.code, caught.value.error_code) == ("turn_unreachable", 701)
        assert caught.value.details.fix


async def test_a_call_that_is_given_up_ends():
    task = asyncio.create_task(sdk.sleep(60_000))
    await asyncio.sleep(0.01)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 10


async def test_a_pull_that_is_given_up_loses_nothing(server):
    alice, bob = await server.client("alice"), await server.client("bob")
    await within(asyncio.gather(alice.connect(), bob.connect()))
    await within(alice.subscribe("room"))
    await Inbox(alice).next("PRESENCE")
    for n in range(20):
        pull = asyncio.create_task(alice.next_events(1))
        await asyncio.sleep(0)
        pull.cancel()
        await asyncio.gather(pull, return_exceptions=True)
        await within(bob.publish("room", str(n)))
        assert (await Inbox(alice).next("MESSAGE")).data_json == str(n)
    await within(asyncio.gather(alice.shutdown(), bob.shutdown()))


async def test_shutdown_ends_a_pull_that_waits(server):
    client = await server.client("alice")
    pull = asyncio.create_task(client.next_events(8))
    await asyncio.sleep(0.01)
    await within(client.shutdown())
    left = await within(pull)
    while left:
        assert {kind(event) for event in left} <= {"STATE_CHANGE"}
        left = await within(client.next_events(8))
    await within(client.shutdown())


async def test_options_that_cannot_be_are_named(server):
    key = sdk.Credential.API_KEY("pk_live_dev")
    for credential, options, code in [
        (sdk.Credential.API_KEY("sk_secret"), server.options(), "secret_key_in_client"),
        (key, server.options(token_provider_timeout_ms=0), "option_out_of_range"),
        (key, sdk.SignallingOptions(pins=["sha256/no"]), "tls_bad_pin"),
    ]:
        with pytest.raises(sdk.SdkError.InvalidArgumentError) as caught:
            sdk.SignallingClient(credential, options)
        assert caught.value.details.code == code
    options = sdk.PeerOptions(signalling=server.options(), local_addresses=["not an address"])
    with pytest.raises(sdk.SdkError.InvalidArgumentError):
        sdk.MeteredPeer(key, options)


async def connected(server):
    """Two peers and both ends of a data channel between them."""
    alice, bob = await server.peer("alice"), await server.peer("bob")
    await within(asyncio.gather(alice.join("room"), bob.join("room")))
    remote = (await Inbox(alice).next("PEER_JOINED")).remote
    other = (await Inbox(bob).next("PEER_JOINED")).remote
    ours = await within(remote.open_data_channel("bulk", sdk.DataChannelOptions()))
    theirs = (await Inbox(other).next("DATA_CHANNEL_OPENED")).channel
    return (alice, bob), ours, theirs


async def test_ten_thousand_messages_arrive_in_order(server):
    peers, ours, theirs = await connected(server)
    count = 10_000

    async def send():
        for start in range(0, count, 100):
            await asyncio.gather(*(ours.send_text(str(n)) for n in range(start, start + 100)))

    async def receive():
        expected = 0
        while expected < count:
            for event in await theirs.next_events(256):
                if kind(event) == "TEXT":
                    assert event.text == str(expected)
                    expected += 1

    await within(asyncio.gather(send(), receive()), 120)
    stats = await within(peers[0].remote_peer("bob").stats())
    assert stats.channels[0].messages_sent == count and stats.selected_pair is not None
    await within(asyncio.gather(*(peer.shutdown() for peer in peers)))


async def test_large_messages_arrive_whole_and_a_larger_one_is_refused(server):
    peers, ours, theirs = await connected(server)
    data = bytes(range(256)) * 256
    inbox = Inbox(theirs)
    await within(ours.send_bytes(data))
    assert (await inbox.next("BINARY")).data == data
    with pytest.raises(sdk.SdkError.OversizedPayloadError) as caught:
        await within(ours.send_bytes(bytes(8 << 20)))
    assert caught.value.size == 8 << 20 and caught.value.cap < 8 << 20
    await within(asyncio.gather(*(peer.shutdown() for peer in peers)))


async def test_three_clients_at_once(server):
    clients = [await server.client(name) for name in ("a", "b", "c")]
    await within(asyncio.gather(*(client.connect() for client in clients)))
    await within(asyncio.gather(*(client.subscribe("room") for client in clients)))
    await within(asyncio.gather(*(client.publish("room", "1") for client in clients)))
    for client in clients:
        inbox = Inbox(client)
        await inbox.next("MESSAGE")
        await inbox.next("MESSAGE")
    await within(asyncio.gather(*(client.shutdown() for client in clients)))


async def test_the_log_tells_no_token(server):
    sdk.start_logging(sdk.LogLevel.TRACE)
    token = await server.token("alice")
    client = sdk.SignallingClient(sdk.Credential.TOKEN(token), server.options())
    await within(client.connect())
    await within(client.shutdown())
    sdk.start_logging(sdk.LogLevel.ERROR)
    lines = await within(sdk.next_log_records(4_096))
    assert lines and all(line.target.startswith("metered_realtime") for line in lines)
    assert token not in "".join(line.message for line in lines)


async def until_threads(count):
    """A thread names itself when it has begun, and is listed until the kernel has let go of it."""

    async def search():
        while threads() != count:
            await asyncio.sleep(0.01)

    await within(search())


async def test_one_thread_serves_all_and_ends():
    await until_threads(0)
    await within(sdk.sleep(1))
    await until_threads(1)
    await within(asyncio.gather(*(sdk.sleep(5) for _ in range(50))))
    assert threads() == 1
    await within(sdk.shutdown_all())
    await until_threads(0)
    await within(sdk.shutdown_all())
    await within(sdk.sleep(1))


async def test_shutdown_all_ends_clients_and_calls(server):
    client = await server.client("alice")
    await within(client.connect())
    call = asyncio.create_task(sdk.sleep(60_000))
    while not any(kind(event) == "CONNECTED" for event in await within(client.next_events(8))):
        pass
    pull = asyncio.create_task(client.next_events(8))
    await asyncio.sleep(0.01)
    await within(sdk.shutdown_all())
    assert client.state() is sdk.SignallingState.CLOSED
    with pytest.raises(sdk.SdkError.InternalError):
        await within(call)
    assert {kind(event) for event in await within(pull)} <= {"STATE_CHANGE", "DISCONNECTED"}


async def test_a_client_that_is_forgotten_ends(server):
    class Listener(sdk.SignallingListener):
        async def on_events(self, events):
            pass

    client, peer = await server.client("alice"), await server.peer("bob")
    client.set_listener(Listener())
    await within(asyncio.gather(client.connect(), peer.join("room")))
    assert len((await server.state())["connections"]) == 2
    del client, peer

    async def until_gone():
        while (await server.state())["connections"]:
            gc.collect()
            await asyncio.sleep(0.01)

    await within(until_gone())


async def test_a_thousand_clients_leave_nothing(server):
    class Listener(sdk.SignallingListener):
        async def on_events(self, events):
            pass

    token = await server.token("alice")

    async def cycle(n):
        client = sdk.SignallingClient(sdk.Credential.TOKEN(token), server.options())
        client.set_listener(Listener())
        if n % 10 == 0:
            await within(client.connect())
        await within(client.shutdown())

    async def cycles(count):
        for n in range(count):
            await cycle(n)
        gc.collect()
        return threads(), resident_kib(), len(list(pathlib.Path("/proc/self/fd").iterdir()))

    await cycles(200)
    before = await cycles(100)
    after = await cycles(1_000)
    assert after[0] == before[0], "threads"
    assert after[2] == before[2], "handles"
    assert after[1] - before[1] < 2_048, f"KiB: {before[1]} before, {after[1]} after"
    connections = (await server.state())["connections"]
    assert not connections
