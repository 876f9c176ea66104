import asyncio

import pytest_asyncio
from support import Server, sdk


@pytest_asyncio.fixture(autouse=True)
async def event_loop_of_callbacks():
    # The app's code is called from threads of the SDK, which have no loop of their own.
    sdk.uniffi_set_event_loop(asyncio.get_running_loop())
    yield
    await sdk.shutdown_all()


@pytest_asyncio.fixture
async def server():
    server = await Server.start()
    yield server
    await server.stop()
