"""The client: the service's answers and errors, over a real local HTTP server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evergreen
from evergreen.errors import (
    AccessDenied,
    EvergreenError,
    InvalidRequest,
    KeyNotFound,
    NoChampion,
    ServiceUnreachable,
    ServingError,
)
from evergreen.serving.calls import exchange
from evergreen.serving.calls.async_client import AsyncClient
from evergreen.serving.calls.client import Client
from evergreen.serving.calls.exchange import NO_RETRIES, Retries, read_retry_after


class Handler(BaseHTTPRequestHandler):
    """Answers every request with what the test put into `status` and `body`, and keeps the last request."""

    status: ClassVar[int] = 200
    body: ClassVar[bytes] = b"{}"
    last: ClassVar[dict[str, Any]] = {}

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        Handler.last = {
            "path": self.path,
            "channel": self.headers.get("X-Evergreen-Channel"),
            "body": json.loads(self.rfile.read(length) or b"null"),
        }
        self.send_response(Handler.status)
        self.end_headers()
        self.wfile.write(Handler.body)

    do_GET = do_POST

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def url() -> Iterator[str]:
    with serving(Handler) as started:
        yield started


def answer(status: int, body: Any) -> None:
    Handler.status = status
    Handler.body = body if isinstance(body, bytes) else json.dumps(body).encode()


def test_bodies_have_the_form_of_the_api(url: str) -> None:
    answer(200, {"predictions": [{"prediction": "a"}]})
    with Client(f"{url}/", channel="canary") as client:
        client.predict({"x": 1})
        assert Handler.last == {"path": "/predict", "channel": "canary", "body": {"data": {"x": 1}}}
        assert client.predict_batch([{"x": 1}]) == [{"prediction": "a"}]
        assert Handler.last["body"] == {"data": [{"x": 1}]}
        client.predict_by_key({"k": 1})
        assert Handler.last["path"] == "/predict_by_key"
        client.feedback("id", "a")
        assert Handler.last["body"] == {"prediction_id": "id", "actual": "a"}
        assert client.ready() is True


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (409, NoChampion),
        (401, AccessDenied),
        (404, KeyNotFound),
        (422, InvalidRequest),
        (400, InvalidRequest),
        (500, ServingError),
        (503, ServingError),
    ],
)
def test_the_services_own_words_reach_the_caller(url: str, status: int, kind: type[EvergreenError]) -> None:
    answer(status, {"error": {"type": "X", "message": "age is missing", "hint": "send it", "fields": []}})
    with Client(url, retries=NO_RETRIES) as client, pytest.raises(kind, match="age is missing") as caught:
        client.predict({})
    assert caught.value.hint == "send it"
    assert type(caught.value) is kind


@pytest.mark.parametrize("body", [b"Not Found", b"", b"[]", b'{"error": "odd"}'])
def test_an_answer_that_is_not_ours_is_still_a_clear_error(url: str, body: bytes) -> None:
    answer(502, body)
    with Client(url, retries=NO_RETRIES) as client:
        with pytest.raises(ServingError, match="502"):
            client.metadata()
        assert client.ready() is False


def test_nobody_there() -> None:
    with Client("http://127.0.0.1:9", timeout=2, retries=NO_RETRIES) as client:
        assert client.ready() is False
        with pytest.raises(ServiceUnreachable, match=r"127\.0\.0\.1:9") as caught:
            client.predict({})
    assert "evergreen status" in caught.value.hint


Handle = Callable[[httpx.Request], httpx.Response]
ANSWER = {"prediction_id": "x", "prediction": "a"}
QUICK = Retries(count=3, first_seconds=0.0)


class Script:
    """Answers one attempt after the other with what the test wrote down, and keeps the requests."""

    def __init__(self, *steps: int | httpx.Response | Exception) -> None:
        self.steps = list(steps)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, httpx.Response) else httpx.Response(step, json=ANSWER)


def predict(script: Script, kind: str, **options: Any) -> Any:
    """One prediction by the client of that kind."""
    transport = httpx.MockTransport(script)
    options = {"retries": QUICK, **options}
    if kind == "sync":
        with Client("http://service", transport=transport, **options) as client:
            return client.predict({"x": 1})

    async def run() -> Any:
        async with AsyncClient("http://service", transport=transport, **options) as client:
            return await client.predict({"x": 1})

    return asyncio.run(run())


KINDS = pytest.mark.parametrize("kind", ["sync", "async"])
LOST = httpx.ReadError("connection lost")


@KINDS
def test_what_broke_off_is_sent_again_as_the_same_request(kind: str) -> None:
    script = Script(httpx.ConnectError("refused"), 503, LOST, 200)
    assert predict(script, kind) == ANSWER
    keys = {request.headers["Idempotency-Key"] for request in script.requests}
    assert len(script.requests) == 4
    assert len(keys) == 1
    again = Script(200)
    predict(again, kind)
    assert again.requests[0].headers["Idempotency-Key"] not in keys


@KINDS
@pytest.mark.parametrize(
    ("step", "error"),
    [(LOST, ServiceUnreachable), (503, ServingError), (429, ServingError)],
)
def test_it_is_not_tried_for_ever(kind: str, step: Any, error: type[Exception]) -> None:
    script = Script(*[step] * 9)
    with pytest.raises(error):
        predict(script, kind)
    assert len(script.requests) == 1 + QUICK.count


@KINDS
@pytest.mark.parametrize("step", [400, 401, 404, 409, 422, 500, httpx.ReadTimeout("slow")])
def test_what_would_fail_again_is_sent_once(kind: str, step: Any) -> None:
    script = Script(step, 200)
    with pytest.raises(EvergreenError):
        predict(script, kind)
    assert len(script.requests) == 1


def call(script: Script, kind: str, method: str, *arguments: Any) -> Any:
    """One call of any method by the client of that kind, which sends it once."""
    transport = httpx.MockTransport(script)
    if kind == "sync":
        with Client("http://service", transport=transport, retries=NO_RETRIES) as client:
            return getattr(client, method)(*arguments)

    async def run() -> Any:
        async with AsyncClient("http://service", transport=transport, retries=NO_RETRIES) as client:
            return await getattr(client, method)(*arguments)

    return asyncio.run(run())


@KINDS
@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        *[("predict", ({},)), ("predict_batch", ([{}],)), ("predict_by_keys", ([{}],)), ("explain", ({},))],
        *[("feedback", ("x", "yes")), ("feedback_batch", ([("x", "yes")],)), ("metadata", ())],
    ],
)
@pytest.mark.parametrize(
    "content",
    [
        *[b"", b"<html>sign in</html>", b"[]", b"null", b'"yes"', b"7", b'{"predictions": [', b"\xff\xfe"],
        *[b"[" * 100_000, b"9" * 5000],
    ],
    ids=lambda content: content[:12].decode("latin-1"),
)
def test_a_200_that_is_no_answer_is_told_in_words(
    kind: str, method: str, arguments: tuple[Any, ...], content: bytes
) -> None:
    script = Script(httpx.Response(200, content=content))
    with pytest.raises(ServingError, match=r"^http://service: 200 ") as caught:
        call(script, kind, method, *arguments)
    assert "proxy" in caught.value.hint


@KINDS
@pytest.mark.parametrize(
    ("method", "arguments", "body"),
    [
        ("predict_batch", ([{}],), {}),
        ("predict_by_keys", ([{}],), {"predictions": None}),
        ("feedback_batch", ([("x", "yes")],), {"recorded": "x"}),
    ],
)
def test_a_200_without_its_values_is_told_in_words(
    kind: str, method: str, arguments: tuple[Any, ...], body: dict[str, Any]
) -> None:
    with pytest.raises(ServingError, match="200"):
        call(Script(httpx.Response(200, json=body)), kind, method, *arguments)


@pytest.mark.parametrize("body", [b"[1]", b'{"error": []}', b'{"error": {"hint": "x"}}', b"[" * 100_000])
@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_an_error_of_somebody_else_keeps_its_status(status: int, body: bytes) -> None:
    with pytest.raises(EvergreenError, match=str(status)):
        call(Script(httpx.Response(status, content=body)), "sync", "predict", {})


class OddServer(BaseHTTPRequestHandler):
    """Answers with the bytes `answer`, and then with nothing more; the connection ends when it says so."""

    answer: ClassVar[bytes] = b""
    ends: ClassVar[bool] = True

    def handle(self) -> None:
        self.connection.recv(65_536)
        self.connection.sendall(OddServer.answer)
        if not OddServer.ends:
            self.connection.settimeout(10)
            self.connection.recv(1)

    def log_message(self, *args: Any) -> None:
        pass


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@KINDS
@pytest.mark.parametrize(
    ("answer", "ends", "error"),
    [
        (b"", True, ServiceUnreachable),
        (b"SSH-2.0-OpenSSH\r\n", True, ServiceUnreachable),
        (HEAD + b"Content-Length: 100\r\n\r\n{", True, ServiceUnreachable),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", True, ServiceUnreachable),
        (HEAD + b"Content-Length: 100\r\n\r\n{", False, ServiceUnreachable),
        (HEAD + b"Content-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}", True, ServingError),
    ],
    ids=["nothing", "another protocol", "cut", "cut chunk", "stuck", "encoded otherwise"],
)
def test_odd_servers_end_in_one_of_our_errors(
    kind: str, answer: bytes, ends: bool, error: type[EvergreenError]
) -> None:
    OddServer.answer, OddServer.ends = answer, ends
    options: Any = {"timeout": 0.2, "retries": NO_RETRIES}

    def ask(url: str) -> None:
        with Client(url, **options) as client:
            assert client.ready() is False
            client.predict({})

    async def ask_async(url: str) -> None:
        async with AsyncClient(url, **options) as client:
            assert await client.ready() is False
            await client.predict({})

    with serving(OddServer) as url, pytest.raises(error):
        ask(url) if kind == "sync" else asyncio.run(ask_async(url))


@KINDS
def test_the_key_and_the_channel_are_sent(kind: str) -> None:
    script = Script(200)
    predict(script, kind, api_key="secret", channel="probe")
    assert script.requests[0].headers["Authorization"] == "Bearer secret"
    assert script.requests[0].headers["X-Evergreen-Channel"] == "probe"
    without = Script(200)
    predict(without, kind)
    assert "Authorization" not in without.requests[0].headers


def test_the_service_says_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("evergreen.serving.calls.client.time.sleep", pauses.append)
    busy = httpx.Response(503, headers={"Retry-After": "2"}, json={})
    script = Script(busy, 200)
    assert predict(script, "sync") == ANSWER
    assert pauses == [2.0]
    # Later than anybody wants to wait: its own words are the answer.
    text = {"error": {"type": "X", "message": "the spool is full", "hint": ""}}
    with pytest.raises(ServingError, match="the spool is full"):
        predict(Script(httpx.Response(503, headers={"Retry-After": "3600"}, json=text), 200), "sync")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("soon", None),
        ("7", 7.0),
        ("Mon, 01 Jun 2026 00:00:30 GMT", 30.0),
        ("²", None),
        ("9" * 400, float("inf")),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("-1", None),
    ],
)
def test_retry_after_is_seconds_or_a_moment(header: str, seconds: float | None) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    response = httpx.Response(503, headers={"Retry-After": header.encode()})
    assert read_retry_after(response, now) == seconds
    if seconds:
        late = read_retry_after(response, now + timedelta(hours=1))
        assert late in (seconds, 0.0)


@given(st.integers(0, 40), st.floats(0, 1, exclude_max=True))
def test_pauses_grow_and_are_bounded(attempt: int, drawn: float) -> None:
    retries = Retries(count=41, draw=lambda: drawn)
    pause = retries.choose_pause(attempt)
    assert pause is not None
    assert 0.05 <= pause <= retries.longest_seconds


@KINDS
def test_both_clients_have_every_route(kind: str) -> None:
    methods = [name for name in vars(Client if kind == "sync" else AsyncClient) if not name.startswith("_")]
    assert {*methods} == {
        *("close", "predict", "predict_batch", "predict_by_key", "predict_by_keys"),
        *("explain", "feedback", "feedback_batch", "metadata", "ready"),
    }


def test_several_outcomes_are_sent_at_once() -> None:
    script = Script(httpx.Response(200, json={"recorded": 2}))
    with Client("http://service", transport=httpx.MockTransport(script)) as client:
        assert client.feedback_batch([("a", "yes"), ("b", 1.5)]) == 2
    assert json.loads(script.requests[0].content) == {
        "data": [{"prediction_id": "a", "actual": "yes"}, {"prediction_id": "b", "actual": 1.5}]
    }


def test_the_package_offers_the_clients() -> None:
    assert evergreen.Client is Client
    assert evergreen.AsyncClient is AsyncClient
    assert evergreen.Retries is exchange.Retries
    with pytest.raises(AttributeError, match="Klient"):
        evergreen.Klient  # noqa: B018
