"""How MLflow's REST answers are read. A small HTTP server gives them, because faults must be arranged."""

from __future__ import annotations

import json
import socket
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from evergreen.errors import NoChampion, RegistryError, RegistryUnreachable
from evergreen.registry.champion import Champion, read_champion, require_champion
from evergreen.registry.connection import uses_http
from evergreen.registry.versions import has_version
from evergreen.settings import Settings
from evergreen.training.tracking.training_runs import read_run_tags


@pytest.fixture
def mlflow_says():
    """A function: a server that answers with a status and a body, as settings that point at it."""
    servers = []

    def start(status, body):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return Settings(mlflow_tracking_uri=f"http://127.0.0.1:{server.server_port}")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_champion_with_and_without_its_time(mlflow_says):
    version = {"version": "3", "run_id": "abc"}
    assert read_champion(mlflow_says(200, {"model_version": version}), "toy") == Champion(3, "abc", None)
    tagged = {**version, "tags": [{"key": "evergreen.promoted_at", "value": "2026-07-01T00:00:00+00:00"}]}
    champion = read_champion(mlflow_says(200, {"model_version": tagged}), "toy")
    assert champion == Champion(3, "abc", datetime(2026, 7, 1, tzinfo=UTC))


def test_only_what_mlflow_does_not_have_counts_as_deleted(mlflow_says):
    absent = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not found"}
    assert has_version(mlflow_says(404, absent), "toy", 3) is False
    for status, body in ((403, {"error_code": "PERMISSION_DENIED"}), (200, b"<html>please sign in")):
        with pytest.raises(RegistryError, match=f"MLflow answered {status}"):
            has_version(mlflow_says(status, body), "toy", 3)


@pytest.mark.parametrize(
    ("status", "code"), [(404, "RESOURCE_DOES_NOT_EXIST"), (400, "INVALID_PARAMETER_VALUE")]
)
def test_no_model_and_no_alias_are_no_champion(mlflow_says, status, code):
    settings = mlflow_says(status, {"error_code": code, "message": "not found"})
    assert read_champion(settings, "toy") is None
    with pytest.raises(NoChampion, match="toy has no champion") as caught:
        require_champion(settings, "toy")
    assert "evergreen train toy" in caught.value.hint


def test_an_error_of_the_server_is_not_taken_for_no_champion(mlflow_says):
    with pytest.raises(RegistryError, match=r"500.*out of memory"):
        read_champion(mlflow_says(500, {"error_code": "INTERNAL_ERROR", "message": "out of memory"}), "toy")
    with pytest.raises(RegistryUnreachable, match="503"):
        read_champion(mlflow_says(503, b"starting"), "toy")


def test_another_kind_of_server_is_recognised(mlflow_says):
    for status in (200, 404):
        with pytest.raises(RegistryError) as caught:
            read_champion(mlflow_says(status, b"<html>hello</html>"), "toy")
        assert "EVERGREEN_MLFLOW_TRACKING_URI" in caught.value.hint


def test_nobody_there_is_said_in_words():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = Settings(mlflow_tracking_uri=f"http://127.0.0.1:{probe.getsockname()[1]}")
        with pytest.raises(RegistryUnreachable, match="does not answer at http") as caught:
            read_champion(settings, "toy")
    assert "evergreen up" in caught.value.hint


def test_a_server_that_is_silent_is_waited_for_only_seconds(monkeypatch):
    limits = []

    def silent(transport, request):
        limits.append(request.extensions["timeout"])
        raise httpx.ConnectTimeout("timed out", request=request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", silent)
    with pytest.raises(RegistryUnreachable, match="timed out"):
        read_champion(Settings(mlflow_tracking_uri="http://silent.example"), "toy")
    (limit,) = limits
    assert limit["connect"] <= 3
    assert limit["read"] <= 10


def test_only_http_is_asked_over_http():
    assert uses_http(Settings(mlflow_tracking_uri="https://mlflow.example"))
    assert not uses_http(Settings(mlflow_tracking_uri="sqlite:///mlflow.db"))


def test_a_server_that_answers_but_fails_is_not_called_away(mlflow_says, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    with pytest.raises(RegistryUnreachable, match="fails: too many 500 error responses") as caught:
        read_run_tags(mlflow_says(500, b"no space left, but the server does not say so"), "a-run")
    assert "full disk" in caught.value.hint
