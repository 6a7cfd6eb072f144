"""A connection that answers single predictions where their bytes arrive, without an ASGI call for each.

An ASGI call makes a task, several coroutines and two writes of each request, and together they cost more
than the prediction. The class here derives from `LimitedProtocol`, so from uvicorn's; what it uses of uvicorn
beyond that is named in `_METHODS` and `_ATTRIBUTES`. Where an installed uvicorn lacks one of them, every
request is an ASGI call: slower, and otherwise the same.

uvicorn's way stays for every request that is not a prediction, is not let in, does not come in one read (a
long or slow body), is pipelined or of HTTP/1.0, or has a body that the models must check.
"""

from __future__ import annotations

import logging
from asyncio import Future
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, cast

from evergreen.serving.fast.direct import Admission, DirectAnswers
from evergreen.serving.guard import connections

if TYPE_CHECKING:
    from starlette.types import Scope
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

logger = logging.getLogger(__name__)

_METHODS = ("on_headers_complete", "on_message_complete", "on_response_complete", "data_received")
# Set when a connection is made.
_ATTRIBUTES = (
    *("access_log", "access_logger", "cycle", "expect_100_continue", "flow", "limit_concurrency"),
    *("parser", "root_path", "scope", "server_state", "transport"),
)
_JSON_HEAD = b"content-type: application/json\r\ncontent-length: %d\r\nx-request-id: %s\r\n"


class DirectCycle:
    """One request in progress. It stands where uvicorn keeps its own, with the attributes that uvicorn's
    protocol reads and sets."""

    __slots__ = (
        "admission",
        "began",
        "body",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
        "response_started",
    )

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.began = perf_counter()
        self.body = b""
        self.more_body = True
        self.keep_alive = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.message_event = _NO_EVENT


class _NoEvent:
    """Stands where a task of uvicorn's would wait for a part of the body."""

    def set(self) -> None:
        """Nobody waits."""


_NO_EVENT = _NoEvent()


def list_missing_parts(protocol: type) -> list[str]:
    """What is used of uvicorn's protocol class and is not in this one: methods, and attributes that its
    `__init__` does not name."""
    constructor = getattr(protocol.__init__, "__code__", None)  # type: ignore[misc]
    named = constructor.co_names if constructor is not None else ()
    return [
        *(name for name in _METHODS if not hasattr(protocol, name)),
        *(name for name in _ATTRIBUTES if name not in named),
    ]


if connections.LimitedProtocol is not None and not list_missing_parts(connections.LimitedProtocol.__mro__[1]):

    class DirectProtocol(connections.LimitedProtocol):
        """`LimitedProtocol` that answers what `answers` lets in, and leaves other requests to uvicorn."""

        answers: DirectAnswers | None = None

        def on_headers_complete(self) -> None:
            """All headers of a request were read."""
            admission = self._admit() if self.answers is not None else None
            if admission is None:
                super().on_headers_complete()
                return
            self.finish_headers()
            self.cycle = DirectCycle(admission)  # type: ignore[assignment]
            if self.is_ending:
                self.end_with_answer()

        def on_message_complete(self) -> None:
            """The whole body of a request was read."""
            cycle = self.cycle
            if not isinstance(cycle, DirectCycle):
                super().on_message_complete()
                return
            assert self.answers is not None, "it has let the request in"
            cycle.more_body = False
            answer = self.answers.start(cycle.admission, bytes(cycle.body))
            if answer is None:
                self._leave_to_uvicorn(cycle)
            else:
                answer.add_done_callback(partial(self._finish, cycle))

        def data_received(self, data: bytes) -> None:
            """Hand bytes to the parser; a body that has not come whole with them is uvicorn's to wait for."""
            super().data_received(data)
            cycle = self.cycle
            if isinstance(cycle, DirectCycle) and cycle.more_body and not self.transport.is_closing():
                self._leave_to_uvicorn(cycle)

        def _admit(self) -> Admission | None:
            parser = self.parser
            if (
                parser.get_method() != b"POST"
                or parser.get_http_version() != "1.1"
                or not parser.should_keep_alive()
                or parser.should_upgrade()
                or self.expect_100_continue
                or (self.access_log and self.access_logger.isEnabledFor(logging.INFO))
                or self.root_path
                or self.limit_concurrency is not None
                or self.flow.write_paused
                or (self.cycle is not None and not self.cycle.response_complete)
            ):
                return None
            assert self.answers is not None, "see on_headers_complete"
            self.scope["method"] = "POST"
            return self.answers.admit(self.url, cast("Scope", self.scope))

        def _leave_to_uvicorn(self, cycle: DirectCycle) -> None:
            """Have uvicorn call the app for the request that was read last."""
            self.cycle = None  # type: ignore[assignment]
            super().on_headers_complete()
            self.cycle.body += cycle.body
            self.cycle.more_body = cycle.more_body
            if cycle.body or not cycle.more_body:
                self.cycle.message_event.set()

        def _finish(self, cycle: DirectCycle, answer: Future[bytes]) -> None:
            """Write the answer, or that to the error in its place. A callback, so it has its own context."""
            assert self.answers is not None, "it has let the request in"
            error = answer.exception()
            status = 0
            if not cycle.disconnected and not self.transport.is_closing():
                if error is None:
                    status, content = 200, answer.result()
                    head = _JSON_HEAD % (len(content), cycle.admission.request_id)
                else:
                    response = self.answers.build_error_response(cycle.admission, error)
                    status, content = response.status_code, bytes(response.body)
                    head = _format_headers(
                        [*response.raw_headers, (b"x-request-id", cycle.admission.request_id)]
                    )
                self._write(cycle, status, head, content)
            self.answers.count(cycle.admission, status, perf_counter() - cycle.began)

        def _write(self, cycle: DirectCycle, status: int, head: bytes, content: bytes) -> None:
            defaults = _format_headers(self.server_state.default_headers)
            line = _OK if status == 200 else _format_status(status)
            closing = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
            # One write: head and content leave in one packet.
            self.transport.write(b"".join((line, defaults, head, closing, content)))
            cycle.response_complete = True
            if not cycle.keep_alive:
                self.transport.close()
            self.on_response_complete()

else:
    DirectProtocol = None  # type: ignore[assignment,misc]


def find_protocol() -> type[HttpToolsProtocol] | None:
    """The best protocol class that the installed uvicorn allows; None without any."""
    if DirectProtocol is None:
        logger.warning("this version of uvicorn has another protocol: single predictions take the slow path")
        return connections.LimitedProtocol
    return DirectProtocol


def answer_directly(answers: DirectAnswers) -> None:
    """Have the connections of this process answer what `answers` lets in."""
    if DirectProtocol is not None:
        DirectProtocol.answers = answers


def _format_status(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()


_OK = _format_status(200)


def _format_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%s: %s\r\n" % header for header in headers])
