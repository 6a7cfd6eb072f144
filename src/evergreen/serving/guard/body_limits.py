"""How large a request's body may be, all bodies of a worker together, and in which time one must arrive."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from evergreen.serving.guard.routes import BodySize
from evergreen.usecase import UseCase

# A row of several hundred features has less; a batch of many rows is limited as a whole.
ROW_BYTES = 1_000_000
_BYTES_PER_ROW = 4096
_MOST_BYTES = 96_000_000
# A worker holds so many of its largest bodies at the same time.
_LARGEST_BODIES = 2


_DETAILS = {
    408: "the body did not arrive in time",
    413: "the body is too large",
    503: "other large bodies leave no memory for this one",
}
_CLOSE = {"Connection": "close"}
_HEADERS = {408: _CLOSE, 503: {**_CLOSE, "Retry-After": "5"}}


class BodyRefused(HTTPException):
    """A body that is too large (413), too late (408), or for which other bodies leave no memory (503); raised
    where the app receives it.

    After the last two the connection ends: what else comes on it would be the rest of the body.
    """

    def __init__(self, status_code: int) -> None:
        super().__init__(status_code, _DETAILS[status_code], _HEADERS.get(status_code))


class BodyMemory:
    """How many bytes the large bodies of one worker hold together, at most `limit`.

    Bodies of up to `ROW_BYTES` are not counted: connections bound them.
    """

    __slots__ = ("held", "limit")

    def __init__(self, limits: Mapping[BodySize, int]) -> None:
        self.limit = _LARGEST_BODIES * max(limits.values())
        self.held = 0


def compute_body_limits(use_case: UseCase) -> dict[BodySize, int]:
    """How many bytes a body may have, by the kind of route."""
    rows = min(max(ROW_BYTES, use_case.serving.max_batch * _BYTES_PER_ROW), _MOST_BYTES)
    return {"none": ROW_BYTES, "row": ROW_BYTES, "rows": rows}


class LimitedBody:
    """A request's `receive` that raises BodyRefused for a body beyond `limit` bytes, one that `memory` has no
    room for, or one that has not come `seconds` after it was first waited for.

    What follows the body (a disconnect) may take any time. Its memory is held until `release`.
    """

    __slots__ = (
        *("_deadline", "_held", "_is_complete", "_limit", "_memory", "_receive", "_received", "_seconds"),
    )

    def __init__(self, receive: Receive, limit: int, seconds: float, memory: BodyMemory) -> None:
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._memory = memory
        self._held = 0
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
        if self._received > ROW_BYTES:
            self._hold_memory()
        return message

    def release(self) -> None:
        """Give the body's memory back, when its request is answered."""
        self._memory.held -= self._held
        self._held = 0

    def _hold_memory(self) -> None:
        more = self._received - self._held
        if self._memory.held + more > self._memory.limit:
            raise BodyRefused(503)
        self._memory.held += more
        self._held = self._received

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
