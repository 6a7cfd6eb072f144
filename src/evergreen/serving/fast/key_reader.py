"""Reads the stored features of keys: of those that are asked for together with one query, and of lists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from evergreen.errors import KeyNotFound, StoreUnreachable
from evergreen.serving.processor_turns import take_short_turns
from evergreen.usecase import UseCase

if TYPE_CHECKING:
    from evergreen.store.connection.values import KeyTuple
    from evergreen.store.online.vectors import OnlineVector

_Read = Callable[[Sequence["KeyTuple"]], Mapping["KeyTuple", "OnlineVector"]]

_Pending = tuple["KeyTuple", "asyncio.Future[OnlineVector | None]"]

_READ_SECONDS = 10.0
# So many keys are one query at most.
_MOST_KEYS = 256
# So many lists of keys are read at a time. A MariaDB that hangs keeps no other thread of the service.
_LIST_THREADS = 4


class KeyReader:
    """Collects keys of one event loop, and reads them in a thread; keys that come meanwhile are read next.

    `read` returns the vectors of the keys that are known. What it raises is raised for each key of the query.
    One that takes longer than `seconds` is given up: the keys that wait, and all until it has ended, get
    StoreUnreachable, so that a MariaDB that hangs makes no queue.
    """

    def __init__(self, read: _Read, seconds: float = _READ_SECONDS) -> None:
        self._read = read
        self._seconds = seconds
        self._hanging: asyncio.Future[Mapping[KeyTuple, OnlineVector]] | None = None
        self._pending: list[_Pending] = []
        self._thread = ThreadPoolExecutor(1, "key-reader", initializer=take_short_turns)
        self._task: asyncio.Task[None] | None = None

    def submit(self, key: KeyTuple) -> asyncio.Future[OnlineVector | None]:
        """The future vector of a key; None for one that no view has."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[OnlineVector | None] = loop.create_future()
        if self._hanging is not None and not self._hanging.done():
            future.set_exception(_build_hanging_error())
            return future
        self._pending.append((key, future))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run())
        return future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            pending, self._pending = self._pending[:_MOST_KEYS], self._pending[_MOST_KEYS:]
            reading = loop.run_in_executor(self._thread, self._read, [key for key, _ in pending])
            await asyncio.wait([reading], timeout=self._seconds)
            if not reading.done():
                self._hanging = reading
                reading.add_done_callback(_forget_outcome)
                pending, self._pending = [*pending, *self._pending], []
                _fail(pending, _build_hanging_error())
                return
            try:
                vectors = reading.result()
            except Exception as error:  # noqa: BLE001  each request is answered with it
                _fail(pending, error)
                continue
            for key, future in pending:
                if not future.done():  # cancelled: its client has gone away
                    future.set_result(vectors.get(key))


class KeyListReader:
    """Reads lists of keys in a few threads of its own; further lists wait for one of them.

    What `read` raises is raised. A list that has not been read after `seconds`, its waiting included, is
    given up with StoreUnreachable.
    """

    def __init__(self, read: _Read, seconds: float = _READ_SECONDS) -> None:
        self._read = read
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(_LIST_THREADS, "key-lists", initializer=take_short_turns)

    async def read(self, keys: Sequence[KeyTuple]) -> Mapping[KeyTuple, OnlineVector]:
        """The vectors of those keys that are known."""
        reading = asyncio.get_running_loop().run_in_executor(self._threads, self._read, keys)
        await asyncio.wait([reading], timeout=self._seconds)
        if reading.done():
            return reading.result()
        reading.cancel()  # one that waits for a thread is never begun
        raise _build_hanging_error()


def _fail(pending: Sequence[_Pending], error: Exception) -> None:
    for _, future in pending:
        if not future.done():
            future.set_exception(error)


def _forget_outcome(reading: asyncio.Future[Mapping[KeyTuple, OnlineVector]]) -> None:
    # asyncio logs an exception that nobody has asked for.
    if not reading.cancelled():
        reading.exception()


def _build_hanging_error() -> StoreUnreachable:
    return StoreUnreachable(
        "the online store does not answer", hint="try again in some seconds, or send the features to /predict"
    )


def build_unknown_keys_error(use_case: UseCase, unknown: Sequence[KeyTuple]) -> KeyNotFound:
    """The error for keys that no view has."""
    names = use_case.entity.key_names
    listing = ", ".join(
        " ".join(f"{name}={value!r}" for name, value in zip(names, key, strict=True)) for key in unknown[:5]
    )
    return KeyNotFound(
        f"the online store has no {use_case.entity.name} {listing}"
        f"{f' and {len(unknown) - 5} more' if len(unknown) > 5 else ''}",
        hint="run the ingest for its rows, or send the features themselves to /predict",
    )
