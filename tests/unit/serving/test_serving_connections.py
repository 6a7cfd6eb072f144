"""Headers that do not come, or never end, on a real uvicorn: their connection is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from evergreen.serving.guard import connections
from evergreen.serving.guard.connections import MOST_HEADER_BYTES, LimitedProtocol

GOOD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def talk(conversation: Talk, seconds: float = 0.1) -> None:
    """Serve on a free port, and talk to it over one connection."""

    async def run() -> None:
        config = uvicorn.Config(answer, port=0, lifespan="off", log_config=None)
        assert connections.limit_connections()
        config.load()
        assert config.http_protocol_class is LimitedProtocol
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.wait_for(conversation(reader, writer), 30)
        finally:
            writer.close()
            server.should_exit = True
            await serving

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", "")
        patch.setattr(LimitedProtocol, "header_seconds", seconds)
        asyncio.run(run())


def test_a_connection_that_says_nothing_is_closed() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""

    talk(conversation)


@pytest.mark.parametrize("before", [b"", GOOD], ids=["first request", "second request"])
def test_headers_that_stop_in_the_middle_are_refused(before: bytes) -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if before:
            writer.write(before)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.write(GOOD[:20])
        text = await reader.read()
        assert text.startswith(b"HTTP/1.1 408")
        assert b"in time" in text

    talk(conversation)


def test_headers_without_end_are_refused() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GOOD[:-2])
        for _ in range(3):
            writer.write(b"X: " + b"x" * (MOST_HEADER_BYTES // 2) + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)
        assert (await reader.read()).startswith(b"HTTP/1.1 431")

    talk(conversation, seconds=30)


def test_requests_and_pauses_between_them_are_answered() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            writer.write(GOOD)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            # Longer than headers may take: between requests uvicorn's own time-out counts.
            await asyncio.sleep(0.2)

    talk(conversation)


def test_a_connection_that_waits_when_the_service_ends_has_one_more_answer() -> None:
    """A request that is on its way then is read and answered; an idle connection is closed."""

    async def run(request: bytes) -> bytes:
        server = uvicorn.Server(uvicorn.Config(answer, port=0, lifespan="off", log_config=None))
        server.config.load()
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GOOD)
        assert b"connection: close" not in await reader.readuntil(b"\r\n\r\n")
        for connection in server.server_state.connections:
            connection.shutdown()
        writer.write(request)
        text = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        server.should_exit = True
        await serving
        return text

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", "")
        assert connections.limit_connections()
        last = asyncio.run(run(GOOD))
        assert last.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in last
        assert asyncio.run(run(b"")) == b""
