"""Predicts requests together that arrive together.

There is no waiting for more requests: while a batch is predicted, the requests that come in queue up, and
become the next batch. With one client each request is a batch of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")

# So many requests are one batch at most, so that a burst does not make one request wait for all the others.
MOST_REQUESTS = 256


class MicroBatch(Generic[_Request, _Answer]):
    """Collects requests of one event loop and answers them in batches.

    `answer_batch` takes one request or more and returns an answer for each, in their order. It runs on the
    event loop. When it raises, each request of the batch is answered alone, so that a request at fault fails
    alone.
    """

    def __init__(self, answer_batch: Callable[[Sequence[_Request]], Sequence[_Answer]]) -> None:
        self._answer_batch = answer_batch
        self._requests: list[_Request] = []
        self._futures: list[asyncio.Future[_Answer]] = []

    @property
    def size(self) -> int:
        """How many requests wait for the next batch."""
        return len(self._requests)

    def submit(self, request: _Request) -> asyncio.Future[_Answer]:
        """The future answer to a request; it raises what `answer_batch` raises for the request alone."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Answer] = loop.create_future()
        if not self._requests:
            # In the turn after the next: the loop reads every socket that is ready in one turn, so that all
            # requests that are there belong to the batch.
            loop.call_soon(loop.call_soon, self._flush)
        self._requests.append(request)
        self._futures.append(future)
        return future

    def _flush(self) -> None:
        requests, futures = self._requests[:MOST_REQUESTS], self._futures[:MOST_REQUESTS]
        del self._requests[:MOST_REQUESTS], self._futures[:MOST_REQUESTS]
        if self._requests:
            asyncio.get_running_loop().call_soon(self._flush)
        try:
            answers = self._answer_batch(requests)
        except Exception as error:  # noqa: BLE001  each request is answered with what it raises itself
            if len(requests) == 1:
                _fail(futures[0], error)
            else:
                for request, future in zip(requests, futures, strict=True):
                    self._answer_alone(request, future)
            return
        for future, answer in zip(futures, answers, strict=True):
            if not future.done():  # cancelled: its client has gone away
                future.set_result(answer)

    def _answer_alone(self, request: _Request, future: asyncio.Future[_Answer]) -> None:
        try:
            (answer,) = self._answer_batch([request])
        except Exception as error:  # noqa: BLE001  the request's own handler deals with it
            _fail(future, error)
        else:
            if not future.done():
                future.set_result(answer)


def _fail(future: asyncio.Future[_Answer], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
