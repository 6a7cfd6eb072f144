"""How large a request's body may be, and in which time it must arrive."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from evergreen.serving.guard.routes import BodySize
from evergreen.usecase import UseCase

# A row of several hundred features has less; a batch of many rows is limited as a whole.
ROW_BYTES = 1_000_000
_BYTES_PER_ROW = 4096
_MOST_BYTES = 96_000_000


class BodyRefused(HTTPException):
    """A body that is too large (413) or too late (408); raised where the app receives it.

    After a late one the connection ends: what else comes on it would be the rest of the body.
    """

    def __init__(self, status_code: int) -> None:
        if status_code == 408:
            super().__init__(408, "the body did not arrive in time", {"Connection": "close"})
        else:
            super().__init__(status_code, "the body is too large")


def compute_body_limits(use_case: UseCase) -> dict[BodySize, int]:
    """How many bytes a body may have, by the kind of route."""
    rows = min(max(ROW_BYTES, use_case.serving.max_batch * _BYTES_PER_ROW), _MOST_BYTES)
    return {"none": ROW_BYTES, "row": ROW_BYTES, "rows": rows}


class LimitedBody:
    """A request's `receive` that raises BodyRefused for a body beyond `limit` bytes, or one that has not come
    `seconds` after it was first waited for.

    What follows the body (a disconnect) may take any time.
    """

    __slots__ = ("_deadline", "_is_complete", "_limit", "_receive", "_received", "_seconds")

    def __init__(self, receive: Receive, limit: int, seconds: float) -> None:
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._received = 0
        self._deadline = 0.0
        self._is_complete = False

    async def receive(self) -> Message:
        """The next message of the request."""
        if self._is_complete:
            return await self._receive()
        # Most bodies have arrived with their headers. A timer costs more than such a request's other checks
        # together, so there is one only where the message is waited for.
        waiting = self._receive()
        try:
            future = waiting.send(None)  # type: ignore[attr-defined]
        except StopIteration as done:
            message: Message = done.value
        else:
            message = await self._wait(waiting, future)  # type: ignore[arg-type]
        if not message.get("more_body"):
            self._is_complete = True
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            raise BodyRefused(413)
        return message

    async def _wait(self, waiting: Coroutine[Any, Any, Message], future: object) -> Message:
        if not self._deadline:
            self._deadline = asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                return await _resume(waiting, future)
        except TimeoutError:
            raise BodyRefused(408) from None


@types.coroutine
def _resume(waiting: Coroutine[Any, Any, Message], future: object) -> Generator[object, Any, Message]:
    """Await a coroutine that has been started and waits for `future`."""
    while True:
        try:
            value = yield future
        except BaseException as error:  # noqa: BLE001 - handed to the coroutine, which it was meant for
            try:
                future = waiting.throw(error)
            except StopIteration as done:
                return _read_message(done)
        else:
            try:
                future = waiting.send(value)
            except StopIteration as done:
                return _read_message(done)


def _read_message(done: StopIteration) -> Message:
    message: Message = done.value
    return message
