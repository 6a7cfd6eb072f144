"""Keeps garbage collections short: full ones over BentoML's large heap make single requests slow."""

from __future__ import annotations

import gc
import threading

# A full collection holds all threads up for 0.2 s, so there is one in so many calls.
_CALLS_PER_FULL_COLLECTION = 8


class FrozenHeap:
    """Exempts the objects of a moment from garbage collection. Thread-safe.

    What was exempt and became garbage since, such as parts of models that were swapped out, is found by one
    call in eight.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0

    def freeze(self) -> None:
        """Collect garbage, and exempt what is left. After the start and after each change of a model."""
        with self._lock:
            if self._calls % _CALLS_PER_FULL_COLLECTION == 0:
                gc.unfreeze()
            self._calls += 1
            gc.collect()
            gc.freeze()
