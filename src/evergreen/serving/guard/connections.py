"""A limit on the time and the size of a request's headers, which reach no ASGI app before they are complete;
and the last answer of a connection, when the service ends.

uvicorn waits for headers without end. The class here derives from uvicorn's protocol class, and overrides
methods that asyncio, httptools and uvicorn's server call. Where uvicorn has no such class, requests are
served without these limits, and the log says so.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from evergreen.serving.http.error_bodies import encode_error

logger = logging.getLogger(__name__)

# What other servers take for all headers together.
MOST_HEADER_BYTES = 65_536
_PROTOCOL = "evergreen.serving.guard.connections:LimitedProtocol"
# So long a connection without a request is kept for one that is on its way, when the service ends.
_FAREWELL_SECONDS = 0.5

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as _Protocol
except ImportError:
    _Protocol = None  # type: ignore[assignment,misc]


def limit_connections() -> bool:
    """Have uvicorn use `LimitedProtocol` in this process; False where it has no such protocol.

    Called before uvicorn's server is made.
    """
    if _Protocol is None:
        logger.warning("uvicorn has no httptools protocol: the time of headers is not limited")
        return False
    from uvicorn.config import HTTP_PROTOCOLS

    protocols: dict[str, Any] = HTTP_PROTOCOLS
    protocols["auto"] = _PROTOCOL
    return True


def set_header_seconds(seconds: float) -> None:
    """Set in which time the headers of a request must come."""
    if _Protocol is not None:
        LimitedProtocol.header_seconds = seconds


if _Protocol is not None:

    class LimitedProtocol(_Protocol):
        """uvicorn's protocol, closing connections whose headers do not come within `header_seconds`.

        A timer runs only while headers are waited for: on a new connection, and when a part of them came.

        When the service ends, uvicorn closes connections that have no request, also while one is on its way.
        Here they stay for a moment; a request that comes is answered with `Connection: close`.
        """

        header_seconds = 30.0
        is_ending = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Begin to wait for the first headers."""
            super().connection_made(transport)
            self._is_waiting = True
            self._header_bytes = 0
            self._timer: asyncio.TimerHandle | None = None
            self._start_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            """Stop waiting."""
            self._stop_timer()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            """The first byte of a request was read."""
            super().on_message_begin()
            self._is_waiting = True
            self._header_bytes = 0

        def on_headers_complete(self) -> None:
            """All headers of a request were read."""
            self._is_waiting = False
            self._stop_timer()
            super().on_headers_complete()
            if self.is_ending:
                self.end_with_answer()

        def end_with_answer(self) -> None:
            """End the connection with the answer under way, unless a part of it was sent already."""
            if self.cycle is not None and not self.cycle.response_started:
                self.cycle.keep_alive = False

        def data_received(self, data: bytes) -> None:
            """Hand bytes to uvicorn's parser, and see whether they were the last of the headers."""
            super().data_received(data)
            if self._is_waiting and not self.transport.is_closing():
                self._header_bytes += len(data)
                if self._header_bytes > MOST_HEADER_BYTES:
                    self._refuse(431, "the headers are too large")
                else:
                    self._start_timer()

        def _start_timer(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(self.header_seconds, self._end_waiting)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _end_waiting(self) -> None:
            self._timer = None
            if self.transport.is_closing():
                return
            if self._header_bytes:
                self._refuse(408, "the headers did not arrive in time")
            else:
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
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            self.transport.close()
