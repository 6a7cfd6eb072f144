"""MLflow's REST answers about one registered model, from memory: a registry that can go away and come back.

For what a service reads of MLflow. Everything else is tested on MLflow itself.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from evergreen.stack.processes.ports import LOOPBACK, find_free_port


@dataclass
class RegisteredFile:
    """A version: its run, and the bytes of its model's file."""

    run_id: str
    content: bytes


@dataclass
class MlflowStandIn:
    """One registered model. `champion` is a version or None; `downloads` lists the versions of fetched
    files."""

    port: int = field(default_factory=find_free_port)
    versions: dict[int, RegisteredFile] = field(default_factory=dict)
    champion: int | None = None
    downloads: list[int] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Meanwhile it answers on its port."""
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, content = stand_in.answer(self.path)
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer((LOOPBACK, self.port), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, url: str) -> tuple[int, bytes]:
        """Status and body of a GET."""
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/health":
            return 200, b"OK"
        if parts.path.endswith("/registered-models/alias"):
            return self._describe(self.champion)
        if parts.path.endswith("/model-versions/get"):
            return self._describe(int(query["version"]))
        if parts.path == "/model-versions/get-artifact" and int(query["version"]) in self.versions:
            self.downloads.append(int(query["version"]))
            return 200, self.versions[int(query["version"])].content
        return 404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such thing"}'

    def _describe(self, version: int | None) -> tuple[int, bytes]:
        if version is None or version not in self.versions:
            return 404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such version"}'
        run_id = self.versions[version].run_id
        document = {"model_version": {"version": str(version), "run_id": run_id, "tags": []}}
        return 200, json.dumps(document).encode()
