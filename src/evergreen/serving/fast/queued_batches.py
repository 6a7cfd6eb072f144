"""Collects requests for versions on trial, which are asked beside the event loop, one batch after another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from evergreen.serving.fast.micro_batch import MOST_REQUESTS

_Key = TypeVar("_Key", bound=Hashable)
_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")


class QueuedBatches(Generic[_Key, _Request, _Answer]):
    """Collects the requests of one event loop by a key, such as the version to ask.

    While the batch of a key is answered, its further requests queue up and become the next batch.
    `answer_batch` takes a key and one request or more, and returns an answer for each, in their order, or
    None where there are none. What it raises, each request of the batch raises.
    """

    def __init__(
        self, answer_batch: Callable[[_Key, Sequence[_Request]], Awaitable[Sequence[_Answer] | None]]
    ) -> None:
        self._answer_batch = answer_batch
        self._waiting: dict[_Key, list[tuple[_Request, asyncio.Future[_Answer | None]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, key: _Key, request: _Request) -> asyncio.Future[_Answer | None]:
        """The future answer to a request; None where `answer_batch` gives none."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Answer | None] = loop.create_future()
        if key in self._waiting:
            self._waiting[key].append((request, future))
        else:
            self._waiting[key] = [(request, future)]
            task = loop.create_task(self._work(key))
            self._tasks.add(task)  # the loop itself keeps no reference
            task.add_done_callback(self._tasks.discard)
        return future

    async def _work(self, key: _Key) -> None:
        """Answer the requests of a key until none waits."""
        # After the turn in which the loop reads the sockets that are ready: their requests are one batch.
        await asyncio.sleep(0)
        waiting = self._waiting[key]
        while waiting:
            batch = waiting[:MOST_REQUESTS]
            del waiting[:MOST_REQUESTS]
            futures = [future for _, future in batch]
            try:
                answers = await self._answer_batch(key, [request for request, _ in batch])
            except Exception as error:  # noqa: BLE001  each request's own handler deals with it
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
                continue
            for position, future in enumerate(futures):
                if not future.done():  # cancelled: its client has gone away
                    future.set_result(None if answers is None else answers[position])
        del self._waiting[key]
