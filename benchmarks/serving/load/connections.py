"""The open connections of a round, without blocking, and what came over them."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from time import perf_counter

from benchmarks.serving.load.answers import Answer, AnswerReader, BadAnswer

_RECEIVE = 1 << 18
_CONNECT_SECONDS = 10.0
OK = 200


class Connection:
    """One keep-alive connection with at most one request under way, `sent_at` (seconds) or due then."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, _CONNECT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.reader = AnswerReader()
        self.is_busy = False
        self.sent_at = 0.0
        self.unsent = b""


class Connections:
    """All connections to one server. `on_answer(answer, sent_at, now)` gets each answer as it comes.

    A broken connection is counted in `errors` if a request was under way, and made anew. `unread` of them
    were reset before anything of an answer came: the system resets a connection that is closed with unread
    bytes, so the server had not read the request. `farewells` are answers after which the server closes the
    connection, as it says in them. With `may_go` the server may end: `is_gone` is set as soon as it takes no
    connection any more.
    """

    def __init__(
        self,
        address: tuple[str, int],
        count: int,
        on_answer: Callable[[Answer, float, float], None],
        *,
        may_go: bool = False,
    ) -> None:
        self._address = address
        self._may_go = may_go
        self._on_answer = on_answer
        self._poll = select.epoll()
        self._open: dict[int, Connection] = {}
        self.idle: list[Connection] = []
        self.errors = 0
        self.unread = 0
        self.farewells = 0
        self.is_gone = False
        self.fault = ""
        for _ in range(count):
            self._connect()

    @property
    def busy(self) -> int:
        """How many requests are under way."""
        return len(self._open) - len(self.idle)

    def send(self, connection: Connection, request: bytes, sent_at: float) -> None:
        """Send on a connection that was taken from `idle`; the latency counts from `sent_at`."""
        connection.is_busy, connection.sent_at = True, sent_at
        try:
            sent = connection.socket.send(request)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.unread += 1
            self._replace(connection, f"sending: {error}")
            return
        if sent < len(request):
            connection.unsent = request[sent:]
            self._poll.modify(connection.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def receive(self, timeout: float) -> None:
        """Take what has come within `timeout` seconds; connections whose answer is complete become idle."""
        opened = self._open
        for descriptor, events in self._poll.poll(timeout):
            connection = opened.get(descriptor)
            if connection is None:
                continue
            if events & select.EPOLLOUT and connection.unsent:
                self._send_rest(connection)
            if events & ~select.EPOLLOUT:
                self._receive_from(connection)

    def close(self) -> None:
        """Close all of them; requests still under way count as errors."""
        if self.busy:
            self._note(f"{self.busy} answers never came", self.busy)
        for connection in self._open.values():
            connection.socket.close()
        self._open.clear()
        self.idle.clear()
        self._poll.close()

    def _connect(self) -> None:
        connection = Connection(self._address)
        descriptor = connection.socket.fileno()
        self._open[descriptor] = connection
        self._poll.register(descriptor, select.EPOLLIN)
        self.idle.append(connection)

    def _replace(self, connection: Connection, reason: str) -> None:
        """Close a connection and open another; an error if its answer is outstanding."""
        if connection.is_busy:
            self._note(reason, 1)
        else:
            self.idle.remove(connection)
        del self._open[connection.socket.fileno()]
        connection.socket.close()
        if self.is_gone:
            return
        try:
            self._connect()
        except OSError:
            if not self._may_go:
                raise
            self.is_gone = True

    def _note(self, reason: str, errors: int) -> None:
        self.errors += errors
        self.fault = self.fault or reason

    def _send_rest(self, connection: Connection) -> None:
        try:
            sent = connection.socket.send(connection.unsent)
        except BlockingIOError:
            return
        except OSError as error:
            self._replace(connection, f"sending: {error}")
            return
        connection.unsent = connection.unsent[sent:]
        if not connection.unsent:
            self._poll.modify(connection.socket.fileno(), select.EPOLLIN)

    def _receive_from(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(_RECEIVE)
            answers = connection.reader.feed(data)
        except BlockingIOError:
            return
        except (OSError, BadAnswer) as error:
            if isinstance(error, OSError) and connection.is_busy and connection.reader.is_empty:
                self.unread += 1
            self._replace(connection, str(error))
            return
        now = perf_counter()
        for answer in answers:
            if answer.status != OK:
                self._note(f"{answer.status}: {answer.body[:300].decode(errors='replace')}", 1)
            self._on_answer(answer, connection.sent_at, now)
            connection.is_busy = False
            self.idle.append(connection)
            if answer.closes:
                self.farewells += 1
                self._replace(connection, "")
                return
        if not data:
            self._replace(connection, "the server closed a connection whose answer was outstanding")
