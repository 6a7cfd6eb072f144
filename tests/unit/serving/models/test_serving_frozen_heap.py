"""The frozen heap: nothing of a swapped model stays for ever, and most collections are short."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from evergreen.serving.models.frozen_heap import FrozenHeap


class Part:
    """A part of a model that refers to itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.whole = self


@pytest.fixture
def heap() -> Iterator[FrozenHeap]:
    yield FrozenHeap()
    gc.unfreeze()


def test_what_was_swapped_out_is_freed_after_some_swaps(heap: FrozenHeap) -> None:
    freed_after = []
    for _ in range(3):
        part = Part()
        reference = weakref.ref(part)
        heap.freeze()
        del part
        swaps = 0
        while reference() is not None and swaps < 20:
            heap.freeze()
            swaps += 1
        freed_after.append(swaps)
    assert max(freed_after) <= 8


def test_most_calls_leave_out_what_is_frozen(heap: FrozenHeap, monkeypatch: pytest.MonkeyPatch) -> None:
    full: list[None] = []
    monkeypatch.setattr(gc, "unfreeze", lambda: full.append(None))
    for _ in range(16):
        heap.freeze()
    assert len(full) == 2
    assert gc.get_freeze_count() > 0
