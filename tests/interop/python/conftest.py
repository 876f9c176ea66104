import pytest_asyncio
from support import Server


@pytest_asyncio.fixture
async def server():
    server = await Server.start()
    yield server
    await server.stop()
