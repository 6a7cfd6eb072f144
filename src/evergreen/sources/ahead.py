"""Reading ahead: the next batches are made by another thread while this one works on the last."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_DEPTH = 1
_END = object()


def read_ahead(make: Callable[[], Generator[T, None, None]]) -> Iterator[T]:
    """What the generator yields, made in a thread, at most `_DEPTH` items ahead.

    Errors are raised here, after what came before them. When the taker stops early, the thread ends with its
    present item, and the generator is closed in it.
    """
    waiting: queue.Queue[object] = queue.Queue(_DEPTH)
    stopped = threading.Event()
    faults: list[BaseException] = []

    def give(item: object) -> bool:
        while not stopped.is_set():
            with suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return True
        return False

    def work() -> None:
        generator = make()
        try:
            for item in generator:
                if not give(item):
                    break
        except BaseException as error:  # noqa: BLE001  raised in the taker's thread
            faults.append(error)
        finally:
            generator.close()
            give(_END)

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
    if faults:
        raise faults[0]
