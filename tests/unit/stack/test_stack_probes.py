"""A prediction service is healthy with a model, and while the registry names no champion to wait for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from evergreen.serving.models.slot import NO_CHAMPION
from evergreen.stack.processes.ports import LOOPBACK, find_free_port
from evergreen.stack.servers import probes

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def answers() -> Iterator[dict[str, Any]]:
    """A server that answers what the test puts in: path -> (status, body). Its port is under "port"."""
    told: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = told[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    told["port"] = server.server_address[1]
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("ready", "trouble", "ailment"),
    [
        (200, "", ""),
        (200, NO_CHAMPION, ""),
        (503, NO_CHAMPION, ""),
        (503, "MLflow does not answer", "/readyz answers 503"),
        (503, "", "/readyz answers 503"),
    ],
)
def test_a_service_without_a_champion_to_load_is_not_ill(
    answers: dict[str, Any], ready: int, trouble: str, ailment: str
) -> None:
    answers["/readyz"] = (ready, {})
    answers["/metadata"] = (200, {"trouble": trouble})
    assert probes.build_service_probe(answers["port"])(datetime.now(UTC)) == ailment


@pytest.mark.parametrize("trouble", ["the model does not fit the declaration", ""])
def test_a_service_that_says_for_a_while_why_it_has_no_model_is_not_ended(
    answers: dict[str, Any], trouble: str
) -> None:
    answers["/readyz"], answers["/metadata"] = (503, {}), (200, {"trouble": trouble})
    ailment = probes.build_service_probe(answers["port"])(datetime.now(UTC) - timedelta(minutes=1))
    assert ailment == ("" if trouble else "/readyz answers 503")


def test_a_service_that_does_not_answer_is_not_healthy() -> None:
    assert probes.build_service_probe(find_free_port())(NOW) == "/readyz answers not yet"
