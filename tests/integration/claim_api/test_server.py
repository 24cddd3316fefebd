"""What the API rests on in its HTTP server: back pressure on streams, and an end that waits for nobody idle."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from claim_api.config import ApiConfig
from claim_api.server import GranianServer, listen

CHUNK = b"x" * 65_536
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Endless:
    """An application that sends without end until sending takes too long."""

    def __init__(self) -> None:
        self.config = ApiConfig(dsn="", port=0)
        self.sent_bytes = 0
        self.held_back = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                async with asyncio.timeout(0.5):
                    await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
                self.sent_bytes += len(CHUNK)
        except TimeoutError:
            self.held_back.set()


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[int]:
    listening = listen(app.config)
    server: Any = GranianServer(app, listening)
    serving = asyncio.create_task(server.serve())
    try:
        yield listening.getsockname()[1]
    finally:
        server.stop()
        async with asyncio.timeout(10):
            await serving
        listening.close()


async def test_sending_waits_for_a_client_that_reads_nothing_and_the_connection_ends_with_the_application() -> None:
    app = Endless()
    async with served(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(REQUEST)
        async with asyncio.timeout(20):
            await app.held_back.wait()
        # What lies in the two sockets' buffers, and a chunk or two.
        assert app.sent_bytes < 32 << 20
        received = 0
        async with asyncio.timeout(20):
            while chunk := await reader.read(1 << 20):
                received += len(chunk)
        assert received >= app.sent_bytes
        writer.close()


class Ok:
    """Answers at once."""

    def __init__(self) -> None:
        self.config = ApiConfig(dsn="", port=0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def test_an_idle_connection_does_not_hold_the_server_up() -> None:
    async with served(Ok()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    assert await reader.read() == b""
    writer.close()
