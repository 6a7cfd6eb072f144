"""HTTP by hand: requests that no client library sends."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_SECONDS = 60.0


class RawAnswer(NamedTuple):
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


class Connection:
    """One connection to a server. Every wait ends with a time-out."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        self.socket = socket.create_connection((address.hostname, address.port or 80), timeout=_SECONDS)
        self._reader = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def flood(self, parts: Iterable[bytes]) -> int:
        """Send parts until they end, an answer comes, or the connection does; how many bytes went out."""
        count = 0
        for part in parts:
            if select.select([self.socket], [], [], 0)[0]:
                break
            try:
                self.socket.sendall(part)
            except (ConnectionError, TimeoutError):
                break
            count += len(part)
        return count

    def read(self, method: str = "POST") -> RawAnswer | None:
        """The next answer; None where the connection has ended."""
        with suppress(ConnectionError):
            line = self._reader.readline()
            if not line:
                return None
            status = int(line.split()[1])
            headers = {}
            while (line := self._reader.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                headers[name.decode().lower()] = value.strip().decode("latin-1")
            has_body = method != "HEAD" and status >= 200 and status != 204
            return RawAnswer(
                status, headers, self._reader.read(int(headers["content-length"])) if has_body else b""
            )
        return None

    def close(self) -> None:
        self._reader.close()
        self.socket.close()


@contextmanager
def connect(url: str) -> Iterator[Connection]:
    """An open connection, closed at the end."""
    connection = Connection(url)
    try:
        yield connection
    finally:
        connection.close()


def exchange(url: str, request: bytes) -> RawAnswer | None:
    """The answer to bytes on a connection of their own."""
    with connect(url) as connection:
        connection.send(request)
        return connection.read(request.split(b" ", 1)[0].decode("latin-1"))


def build_head(method: str, path: str, *headers: str, host: str = "localhost") -> bytes:
    """The head of a request, up to the empty line."""
    lines = [f"{method} {path} HTTP/1.1", *([f"Host: {host}"] if host else []), *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
