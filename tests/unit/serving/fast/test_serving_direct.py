"""Predictions that a connection answers itself, on a real uvicorn: the same answers as through the ASGI apps,
whatever comes over the wire in whatever pieces."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from evergreen.errors import PredictionLogFull
from evergreen.serving.app import configure_app, create_app
from evergreen.serving.fast.direct import DirectAnswers
from evergreen.serving.fast.direct_protocol import DirectProtocol, find_protocol, list_missing_parts
from evergreen.serving.fast.fast_path import FastPath
from evergreen.serving.fast.front import Front
from evergreen.serving.guard.connections import LimitedProtocol
from evergreen.serving.service_log import JsonFormatter
from evergreen.settings import Settings
from evergreen.store.online.vectors import OnlineVector
from evergreen.usecase import UseCase
from support.answering import answering, fit
from support.guarded import TEST_HOST, build_test_guard
from support.parcel_case import declare, row
from support.uvicorn_server import own_protocols, serving_app

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Talk = Callable[[Reader, Writer, uvicorn.Server], Awaitable[Any]]
KEY = "a-key-that-is-long-enough"


def post(content: bytes, *, path: str = "/predict", more: str = "", length: bool = True) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {TEST_HOST}\r\nContent-Type: application/json\r\n{more}"
    return (
        f"{head}{f'Content-Length: {len(content)}{chr(13)}{chr(10)}' if length else ''}\r\n".encode()
        + content
    )


def body(**changes: Any) -> bytes:
    return json.dumps({"data": {**row(), **changes}}).encode()


async def read(reader: Reader) -> tuple[int, dict[str, str], Any]:
    """One answer: its status, headers and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (text.split(": ", 1) for text in lines)}
    content = await reader.readexactly(int(headers["content-length"]))
    return int(line.split()[1]), headers, json.loads(content)


class World:
    """A service of the parcels without store and registry; `calls` are the ASGI calls that were made."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.use_case: UseCase = declare(Settings(home=home, use_cases=str(home / "usecases")))
        self.logged: list[Any] = []
        self.runtime = answering(Settings(home=home / "home"), self.use_case, fit(self.use_case), self.logged)
        self.runtime.read_vectors = self.read_vectors  # type: ignore[method-assign]
        self.calls: list[str] = []
        self.registry = CollectorRegistry()
        self.options: dict[str, Any] = {}

    def read_vectors(self, keys: Any) -> dict[Any, OnlineVector]:
        values = {name: value for name, value in row().items() if name != "parcel_id"}
        return {key: OnlineVector(values, stale_views=("shipment",)) for key in keys if key[0] > 0}

    def talk(self, conversation: Talk, *, direct: bool = True) -> None:
        """Serve on a free port, and talk to it over one connection."""
        self.registry = CollectorRegistry()

        async def run() -> None:
            front = Front()
            front.fast_path = FastPath(self.runtime)
            inner = front.wrap_app(configure_app(create_app(), self.runtime))

            async def app(scope: Any, receive: Any, send: Any) -> None:
                self.calls.append(scope["path"])
                await inner(scope, receive, send)

            guard = build_test_guard(app, self.use_case, self.home, registry=self.registry, **self.options)
            DirectProtocol.answers = DirectAnswers(guard, front)
            async with serving_app(guard, find_protocol() if direct else LimitedProtocol) as (server, port):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    await asyncio.wait_for(conversation(reader, writer, server), 60)
                finally:
                    writer.close()
            guard._metrics.flush()

        with own_protocols() as patch:
            patch.setattr(DirectProtocol, "answers", None)
            asyncio.run(run())

    def ask(
        self, *requests: bytes, direct: bool = True, pause: float = 0.0
    ) -> tuple[int, dict[str, str], Any]:
        """The answer to a request, sent in those pieces."""
        answers: list[Any] = []

        async def conversation(reader: Reader, writer: Writer, _: uvicorn.Server) -> None:
            for piece in requests:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            answers.append(await read(reader))

        self.calls.clear()
        self.talk(conversation, direct=direct)
        answer: tuple[int, dict[str, str], Any] = answers[0]
        return answer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("direct"))


def strip(answer: tuple[int, dict[str, str], Any]) -> Any:
    status, headers, content = answer
    for part in (content, *content.get("predictions", ())):
        part.pop("prediction_id", None)
    changing = ("date", "x-request-id", "content-length")
    return status, {name: value for name, value in headers.items() if name not in changing}, content


def test_the_most_headers_make_no_asgi_call_and_one_more_is_refused(world: World) -> None:
    """Three are there already."""
    assert world.ask(post(body(), more="X-More: 1\r\n" * 61))[0] == 200
    assert world.calls == []
    assert world.ask(post(body(), more="X-More: 1\r\n" * 62))[0] == 431


def test_a_prediction_makes_no_asgi_call(world: World) -> None:
    status, headers, content = world.ask(post(body(), more="X-Request-ID: mine\r\n"))
    assert (status, headers["x-request-id"], world.calls) == (200, "mine", [])
    assert content["prediction_id"] == world.logged[-1].prediction_id
    count = re.search(
        r'evergreen_requests_total{method="POST",route="/predict",status="2xx".*} (\S+)', read_metrics(world)
    )
    assert count
    assert float(count[1]) == 1


def read_metrics(world: World) -> str:
    return generate_latest(world.registry).decode()


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(body()),
        post(body(weight=12)),
        post(body(), more="X-Evergreen-Channel: probe\r\n"),
        post(b'{"data": {"parcel_id": 3}}', path="/predict_by_key"),
        post(b'{"data": {"parcel_id": -3}}', path="/predict_by_key"),
    ],
)
def test_answers_are_those_of_the_asgi_apps(world: World, request_bytes: bytes) -> None:
    assert strip(world.ask(request_bytes)) == strip(world.ask(request_bytes, direct=False))


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(body(weight="heavy")),
        post(b"{"),
        post(body(stops=3.0)),
        post(body(), more="Origin: http://elsewhere\r\n"),
        post(body(), more="Expect: 100-continue\r\n").replace(b"Expect", b"X-Expect"),
        post(body()).replace(TEST_HOST.encode(), b"elsewhere.example"),
        post(body()).replace(b"application/json", b"text/plain"),
        post(body(), more="X-Evergreen-Channel: sideways\r\n"),
        post(body(), path="/predict?x=1"),
        post(body(), path="/elsewhere"),
        post(body()).replace(b"POST", b"PUT"),
        post(body()).replace(b"HTTP/1.1", b"HTTP/1.0"),
        post(body(), more="Connection: close\r\n"),
        post(b'{"data": [{"parcel_id": 3}]}', path="/predict_by_key"),
        post(body(), more="X-More: 1\r\n" * 200),
        post(b'{"data": {"parcel_id": 3}}', path="/predict_by_key", more="X-More: 1\r\n" * 200),
    ],
)
def test_other_requests_are_answered_as_before(world: World, request_bytes: bytes) -> None:
    assert strip(world.ask(request_bytes)) == strip(world.ask(request_bytes, direct=False))


@pytest.mark.parametrize(("key", "status"), [(KEY, 200), ("wrong", 401), ("", 401)])
def test_a_key_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch, key: str, status: int) -> None:
    monkeypatch.setattr(world, "options", {"api_keys": KEY})
    assert world.ask(post(body(), more=f"X-API-Key: {key}\r\n"))[0] == status


@pytest.mark.parametrize("cut", [1, 40, -1, -20])
def test_a_request_in_two_pieces(world: World, cut: int) -> None:
    whole = post(body())
    status, _, content = world.ask(whole[:cut], whole[cut:], pause=0.05)
    assert (status, content["model_version"]) == (200, 1)


def test_a_body_in_chunks(world: World) -> None:
    content = body()
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
    request_bytes = post(chunked, more="Transfer-Encoding: chunked\r\n", length=False)
    assert world.ask(request_bytes)[0] == 200
    assert world.ask(request_bytes[:-9], request_bytes[-9:], pause=0.05)[0] == 200


def test_many_requests_on_one_connection(world: World) -> None:
    async def conversation(reader: Reader, writer: Writer, _: uvicorn.Server) -> None:
        wanted = []
        for number in range(30):
            good = number % 3 > 0
            writer.write(post(body() if good else body(weight="heavy")))
            status, headers, content = await read(reader)
            wanted.append((status == 200) == good and "connection" not in headers and bool(content))
        assert all(wanted)

    world.talk(conversation)


def test_requests_that_do_not_wait_for_answers_are_answered_in_order(world: World) -> None:
    async def conversation(reader: Reader, writer: Writer, _: uvicorn.Server) -> None:
        writer.write(b"".join(post(body(parcel_id=number)) for number in range(1, 9)))
        answers = [await read(reader) for _ in range(8)]
        assert [content["parcel_id"] for _, _, content in answers] == list(range(1, 9))

    world.talk(conversation)


def test_an_error_is_answered_and_the_connection_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conversation(reader: Reader, writer: Writer, _: uvicorn.Server) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(world.runtime.spool, "append", refuse)
            writer.write(post(body(), more="X-Request-ID: mine\r\n"))
            status, headers, content = await read(reader)
        assert (status, headers["x-request-id"]) == (503, "mine")
        assert content["error"]["type"] == "PredictionLogFull"
        writer.write(post(body()))
        assert (await read(reader))[0] == 200

    def refuse(*_: Any) -> None:
        raise PredictionLogFull("the spool is full", hint="wait")

    world.talk(conversation)
    assert 'status="5xx"' in read_metrics(world)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    ("path", "content"), [("/predict", body()), ("/predict_by_key", b'{"data": {"parcel_id": 3}}')]
)
def test_the_log_of_a_failed_request_names_its_id(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    path: str,
    content: bytes,
    direct: bool,
) -> None:
    """The next record of the same connection is of no request."""
    monkeypatch.setattr(world.runtime.spool, "append", fail)
    caplog.handler.setFormatter(JsonFormatter("parcel"))

    async def conversation(reader: Reader, writer: Writer, _: uvicorn.Server) -> None:
        for request_id in ("first", "second"):
            writer.write(post(content, path=path, more=f"X-Request-ID: {request_id}\r\n"))
            assert (await read(reader))[0] == 500
        logging.getLogger("of-no-request").error("idle")

    world.talk(conversation, direct=direct)
    records = [json.loads(line) for line in caplog.text.splitlines()]
    assert [(record["message"].split(":")[0], record.get("request_id")) for record in records] == [
        (f"{path} failed", "first"),
        (f"{path} failed", "second"),
        ("idle", None),
    ]


def fail(*_: Any) -> None:
    raise ValueError("a fault of the service")


def test_an_end_of_the_server_lets_a_request_in_progress_finish(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conversation(reader: Reader, writer: Writer, server: uvicorn.Server) -> None:
        let_go = asyncio.Event()

        async def wait(self: FastPath, key: Any, labels: Any) -> bytes:
            await let_go.wait()
            return b"{}"

        monkeypatch.setattr(FastPath, "_predict_by_key", wait)
        writer.write(post(b'{"data": {"parcel_id": 3}}', path="/predict_by_key"))
        await asyncio.sleep(0.2)
        server.should_exit = True
        await asyncio.sleep(0.4)
        let_go.set()
        status, headers, content = await read(reader)
        assert (status, headers["connection"], content) == (200, "close", {})
        assert await reader.read() == b""

    world.talk(conversation)


def test_a_client_that_goes_away_harms_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def conversation(reader: Reader, writer: Writer, server: uvicorn.Server) -> None:
        port = server.servers[0].sockets[0].getsockname()[1]
        for _ in range(5):
            _, other = await asyncio.open_connection("127.0.0.1", port)
            other.write(post(body()))
            other.transport.abort()
        writer.write(post(body()))
        assert (await read(reader))[0] == 200

    world.talk(conversation)


def test_the_installed_uvicorn_has_what_is_used_of_it() -> None:
    assert list_missing_parts(HttpToolsProtocol) == []


def test_a_uvicorn_that_names_its_state_otherwise_is_noticed() -> None:
    class Other:
        def __init__(self) -> None:
            self.flow = self.parser = None

    missing = list_missing_parts(Other)
    assert {"cycle", "server_state", "on_response_complete"} <= set(missing)
    assert not {"flow", "parser"} & set(missing)


def test_without_uvicorns_class_there_is_the_slower_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evergreen.serving.fast.direct_protocol.DirectProtocol", None)
    assert find_protocol() is LimitedProtocol
