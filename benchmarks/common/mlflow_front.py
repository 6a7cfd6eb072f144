"""What a service asks of an MLflow server, answered in this process from an MLflow store in SQLite.

A service that has a server, as people's have, never imports MLflow; on the store itself it would, for two
seconds of processor time at each start. The answers are MLflow's own, by its client, errors too;
tests/integration/registry/test_registry_server.py asks a real server the same.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from evergreen.registry.champion import ALIAS_PATH
from evergreen.stack.processes.ports import LOOPBACK

_VERSION_PATH = "/api/2.0/mlflow/model-versions/get"
_ARTIFACT_PATH = "/model-versions/get-artifact"


@contextmanager
def serve_store(tracking_uri: str) -> Iterator[str]:
    """Answer from that store meanwhile; the address of the server."""
    client = MlflowClient(tracking_uri, tracking_uri)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self._send(parts.path, query)

        def do_DELETE(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self._send(f"DELETE {urlsplit(self.path).path}", body)

        def _send(self, route: str, arguments: dict[str, str]) -> None:
            try:
                status, content = 200, _answer(client, route, arguments)
            except MlflowException as error:
                status, content = error.get_http_status_code(), error.serialize_as_json().encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            # A service that was stopped meanwhile does not take it.
            with suppress(ConnectionError):
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(client: MlflowClient, route: str, arguments: dict[str, str]) -> bytes:
    """The body for a route. Raises MlflowException."""
    name = arguments.get("name", "")
    if route == "/health":
        return b"OK"
    if route == ALIAS_PATH:
        return _describe(client.get_model_version_by_alias(name, arguments["alias"]))
    if route == f"DELETE {ALIAS_PATH}":
        client.delete_registered_model_alias(name, arguments["alias"])
        return b"{}"
    version = client.get_model_version(name, arguments["version"])
    if route == _VERSION_PATH:
        return _describe(version)
    assert route == _ARTIFACT_PATH, f"nobody has asked for {route} so far"
    model = client.get_logged_model((version.source or "").removeprefix("models:/"))
    return Path(model.artifact_location.removeprefix("file://"), arguments["path"]).read_bytes()


def _describe(version: ModelVersion) -> bytes:
    tags: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in version.tags.items()]
    document = {"version": str(version.version), "run_id": version.run_id, "tags": tags}
    return json.dumps({"model_version": document}).encode()
