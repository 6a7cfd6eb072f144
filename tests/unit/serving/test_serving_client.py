"""The client: the service's answers and errors, over a real local HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from evergreen.errors import (
    EvergreenError,
    InvalidRequest,
    KeyNotFound,
    NoChampion,
    ServiceUnreachable,
    ServingError,
)
from evergreen.serving.client import ServiceClient


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


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def answer(status: int, body: Any) -> None:
    Handler.status = status
    Handler.body = body if isinstance(body, bytes) else json.dumps(body).encode()


def test_bodies_have_the_form_of_the_api(url: str) -> None:
    answer(200, {"predictions": [{"prediction": "a"}]})
    with ServiceClient(f"{url}/", channel="canary") as client:
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
        (404, KeyNotFound),
        (422, InvalidRequest),
        (400, InvalidRequest),
        (500, ServingError),
        (503, ServingError),
    ],
)
def test_the_services_own_words_reach_the_caller(url: str, status: int, kind: type[EvergreenError]) -> None:
    answer(status, {"error": {"type": "X", "message": "age is missing", "hint": "send it", "fields": []}})
    with ServiceClient(url) as client, pytest.raises(kind, match="age is missing") as caught:
        client.predict({})
    assert caught.value.hint == "send it"
    assert type(caught.value) is kind


@pytest.mark.parametrize("body", [b"Not Found", b"", b"[]", b'{"error": "odd"}'])
def test_an_answer_that_is_not_ours_is_still_a_clear_error(url: str, body: bytes) -> None:
    answer(502, body)
    with ServiceClient(url) as client:
        with pytest.raises(ServingError, match="502"):
            client.metadata()
        assert client.ready() is False


def test_nobody_there() -> None:
    with ServiceClient("http://127.0.0.1:9", timeout=2) as client:
        assert client.ready() is False
        with pytest.raises(ServiceUnreachable, match=r"127\.0\.0\.1:9") as caught:
            client.predict({})
    assert "evergreen status" in caught.value.hint
