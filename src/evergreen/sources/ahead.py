"""Reading ahead: a thread runs a generator while the caller works on the items that it has yielded."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_DEPTH = 1
_END = object()


def read_ahead(make_generator: Callable[[], Generator[T, None, None]]) -> Iterator[T]:
    """The items of a generator that is made and run in a thread, at most `_DEPTH` items ahead of the caller.

    An error of the generator is raised here, after the items before it. When the caller stops early, the
    thread ends after its present item and closes the generator.
    """
    items: queue.Queue[object] = queue.Queue(_DEPTH)
    stop_requested = threading.Event()
    errors: list[BaseException] = []

    def put_item(item: object) -> bool:
        """Wait for a place in the queue; False when the caller stopped meanwhile."""
        while not stop_requested.is_set():
            with suppress(queue.Full):
                items.put(item, timeout=0.1)
                return True
        return False

    def run_generator() -> None:
        """Put the generator's items into the queue, then `_END`."""
        generator = make_generator()
        try:
            for item in generator:
                if not put_item(item):
                    break
        except BaseException as error:  # noqa: BLE001  raised in the caller's thread
            errors.append(error)
        finally:
            generator.close()
            put_item(_END)

    thread = threading.Thread(target=run_generator, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (item := items.get()) is not _END:
            yield item  # type: ignore[misc]
    finally:
        stop_requested.set()
        thread.join()
    if errors:
        raise errors[0]
