"""How much of an evaluation's time goes into fitting models."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class FitTimer:
    """Wall time since its creation, and of the fits since then; fits side by side count once. Thread-safe."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._fits: list[tuple[float, float]] = []

    def fit(self, work: Callable[[], Result]) -> Result:
        """Call `work`, count its time as fitting, and return its result."""
        start = time.monotonic()
        try:
            return work()
        finally:
            self._fits.append((start, time.monotonic()))

    def to_json(self) -> dict[str, float]:
        """{"fitting", "all"} in seconds."""
        fitting, last_end = 0.0, 0.0
        for start, end in sorted(self._fits):
            fitting += max(0.0, end - max(start, last_end))
            last_end = max(last_end, end)
        return {"fitting": round(fitting, 3), "all": round(time.monotonic() - self._start, 3)}
