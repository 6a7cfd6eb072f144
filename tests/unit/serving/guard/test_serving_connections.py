"""Headers that do not come, or never end, on a real uvicorn: their connection is closed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Receive, Scope, Send

from evergreen.serving.guard.connections import MOST_HEADER_BYTES, LimitedProtocol
from support.uvicorn_server import own_protocols, serving_app

GOOD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def talk(conversation: Talk, seconds: float = 0.1) -> None:
    """Serve on a free port, and talk to it over one connection."""

    async def run() -> None:
        async with serving_app(answer, LimitedProtocol) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await asyncio.wait_for(conversation(reader, writer), 30)
            finally:
                writer.close()

    with own_protocols() as patch:
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


def test_headers_that_come_as_one_part_have_the_same_limit() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GOOD[:-2] + b"X: " + b"x" * (MOST_HEADER_BYTES + 9) + b"\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431")
        assert b"x-request-id: " in head

    talk(conversation, seconds=30)


def test_a_body_before_headers_does_not_count_for_them() -> None:
    """Pipelined: the end of one request and the first headers of the next come as one part."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b"x" * (MOST_HEADER_BYTES * 2)
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(head + body + GOOD[:-2])
        await asyncio.sleep(0.05)
        writer.write(b"\r\n")
        for _ in range(2):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")

    talk(conversation, seconds=30)


def test_what_is_no_http_is_refused_in_the_form_of_every_error() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x16\x03\x01 this is TLS\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert json.loads(body)["error"]["type"] == "InvalidRequest"

    talk(conversation)


@pytest.mark.parametrize(
    "rest", [b"x", b"\r\n"], ids=["the rest of a body that nobody reads", "empty lines between requests"]
)
def test_what_begins_no_request_does_not_keep_a_connection_open(rest: bytes) -> None:
    """uvicorn ends its timer for idle connections with every byte that comes."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = b"Content-Length: 9999\r\n" if rest == b"x" else b""
        writer.write(GOOD[:-2] + length + b"\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(rest)
                await writer.drain()
                await asyncio.sleep(0.02)

    talk(conversation)


def test_a_request_after_such_bytes_is_answered() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GOOD[:-2] + b"Content-Length: 4\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.write(b"late")
        await asyncio.sleep(0.02)
        for _ in range(3):
            writer.write(b"\r\n" + GOOD)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.15)

    talk(conversation, seconds=0.2)


def test_a_connection_that_waits_when_the_service_ends_has_one_more_answer() -> None:
    """A request that is on its way then is read and answered; an idle connection is closed."""

    async def run(request: bytes) -> bytes:
        async with serving_app(answer, LimitedProtocol) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GOOD)
            assert b"connection: close" not in await reader.readuntil(b"\r\n\r\n")
            for connection in server.server_state.connections:
                connection.shutdown()
            writer.write(request)
            text = await asyncio.wait_for(reader.read(), 30)
            writer.close()
            return text

    with own_protocols():
        last = asyncio.run(run(GOOD))
        assert last.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in last
        assert asyncio.run(run(b"")) == b""
