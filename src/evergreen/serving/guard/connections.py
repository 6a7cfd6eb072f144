"""A limit on the time and the size of a request's headers, which reach no ASGI app before they are complete,
and on the time of what begins no request; and the last answer of a connection, when the service ends.

uvicorn waits for both without end. The class here derives from uvicorn's protocol class, and overrides
methods that asyncio, httptools and uvicorn's server call. Where uvicorn has no such class, requests are
served without these limits, and the log says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from evergreen.serving.guard.request_ids import choose_request_id
from evergreen.serving.http.error_bodies import encode_error

logger = logging.getLogger(__name__)

# What other servers take for all headers together.
MOST_HEADER_BYTES = 65_536
_TOO_LARGE = "the headers are too large"
# So long a connection without a request is kept for one that is on its way, when the service ends.
_FAREWELL_SECONDS = 0.5

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as _Protocol
except ImportError:
    _Protocol = None  # type: ignore[assignment,misc]


class _HeadersTooLarge(Exception):
    """Headers beyond the limit that came as one part."""


def use_protocol(protocol: type | None) -> bool:
    """Have uvicorn use a protocol class, one that derives from `LimitedProtocol`, in this process.

    False with None, where uvicorn has no class to derive from. Called before uvicorn's server is made.
    """
    if protocol is None:
        logger.warning("uvicorn has no httptools protocol: the time of headers is not limited")
        return False
    from uvicorn.config import HTTP_PROTOCOLS

    protocols: dict[str, Any] = HTTP_PROTOCOLS
    protocols["auto"] = f"{protocol.__module__}:{protocol.__qualname__}"
    return True


def set_header_seconds(seconds: float) -> None:
    """Set in which time the headers of a request must come."""
    if _Protocol is not None:
        LimitedProtocol.header_seconds = seconds


def announce_end(connections: Iterable[object]) -> None:
    """Have `connections`, and those that this process gets later, end with their next answer, which says so
    (`Connection: close`)."""
    if _Protocol is None:
        return
    LimitedProtocol.is_ending = True
    for connection in connections:
        if isinstance(connection, LimitedProtocol):
            connection.end_with_answer()


if _Protocol is not None:

    class LimitedProtocol(_Protocol):
        """uvicorn's protocol, closing connections whose headers do not come within `header_seconds`.

        A timer runs only while headers are waited for (on a new connection, and when a part of them came),
        and when something comes after an answer that begins no request.

        When the service ends, uvicorn closes connections that have no request, also while one is on its way.
        Here they stay for a moment; a request that comes is answered with `Connection: close`.
        """

        header_seconds = 30.0
        is_ending = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Begin to wait for the first headers."""
            super().connection_made(transport)
            self._is_waiting = True
            self._has_begun = False
            self._is_too_large = False
            # The parts that came since the headers began, and the first of them, in which other bytes may be.
            self._header_bytes = 0
            self._first_bytes = 0
            self._part_bytes = 0
            self._timer: asyncio.TimerHandle | None = None
            self._start_timer(self._end_waiting)

        def connection_lost(self, exc: Exception | None) -> None:
            """Stop waiting."""
            self._stop_timer()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            """The first byte of a request was read."""
            super().on_message_begin()
            self._is_waiting = self._has_begun = True
            self._header_bytes = self._first_bytes = self._part_bytes
            self._stop_timer()

        def on_headers_complete(self) -> None:
            """All headers of a request were read. Raises what `finish_headers` raises."""
            self.finish_headers()
            super().on_headers_complete()
            if self.is_ending:
                self.end_with_answer()

        def finish_headers(self) -> None:
            """The headers are there: what comes next may take longer. Raises _HeadersTooLarge, which ends the
            parsing."""
            self._is_waiting = self._has_begun = False
            self._stop_timer()
            if self._header_bytes > MOST_HEADER_BYTES and self._measure_headers() > MOST_HEADER_BYTES:
                self._is_too_large = True
                raise _HeadersTooLarge

        def end_with_answer(self) -> None:
            """End the connection with the answer under way, unless a part of it was sent already."""
            if self.cycle is not None and not self.cycle.response_started:
                self.cycle.keep_alive = False

        def data_received(self, data: bytes) -> None:
            """Hand bytes to uvicorn's parser, and see what is still waited for."""
            self._part_bytes = len(data)
            if self._has_begun:
                self._header_bytes += len(data)
            super().data_received(data)
            if self._is_waiting:
                if self.transport.is_closing():
                    return
                later_bytes = self._header_bytes - self._first_bytes
                if later_bytes > MOST_HEADER_BYTES or (
                    self._header_bytes > MOST_HEADER_BYTES and self._measure_headers() > MOST_HEADER_BYTES
                ):
                    self._refuse(431, _TOO_LARGE)
                else:
                    self._start_timer(self._end_waiting)
            elif self.cycle.response_complete and not self.transport.is_closing():
                # The rest of a body that nobody has read, or empty lines: uvicorn has just ended its own
                # timer for idle connections.
                self._start_timer(self._end_draining)

        def send_400_response(self, msg: str) -> None:
            """Refuse what the parser does not take, in the form of every error."""
            if self._is_too_large:
                self._refuse(431, _TOO_LARGE)
            else:
                self._refuse(400, "what came is no HTTP request")

        def _measure_headers(self) -> int:
            """The bytes of URL and headers that were parsed, with the colons and ends of lines."""
            return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

        def _start_timer(self, end: Callable[[], None]) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(self.header_seconds, end)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _end_waiting(self) -> None:
            self._timer = None
            if self.transport.is_closing():
                return
            if self._has_begun:
                self._refuse(408, "the headers did not arrive in time")
            else:
                self.transport.close()

        def _end_draining(self) -> None:
            self._timer = None
            self.transport.close()

        def shutdown(self) -> None:
            """The service ends: the request of now, or one that comes at once, is the connection's last."""
            self.is_ending = True
            if self._has_request():
                super().shutdown()
            else:
                self.loop.call_later(_FAREWELL_SECONDS, self._close_idle)

        def _has_request(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _close_idle(self) -> None:
            if not self._has_request() and not self.transport.is_closing():
                self.transport.close()

        def _refuse(self, status: int, message: str) -> None:
            body = encode_error("InvalidRequest", message)
            head = (
                f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nx-request-id: {choose_request_id(None, None).decode()}\r\n"
                "connection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            self.transport.close()

else:
    LimitedProtocol = None  # type: ignore[assignment,misc]
