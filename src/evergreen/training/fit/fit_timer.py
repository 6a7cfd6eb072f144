"""How much of a training goes into fitting models."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class FitTimer:
    """Wall time of a step, and of the fits in it; fits that run side by side count once. Thread-safe."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._fits: list[tuple[float, float]] = []

    def fit(self, work: Callable[[], Result]) -> Result:
        """Do that work and count its time as fitting."""
        began = time.monotonic()
        try:
            return work()
        finally:
            self._fits.append((began, time.monotonic()))

    def to_json(self) -> dict[str, float]:
        """{"fitting", "all"} in seconds."""
        fitting, reached = 0.0, 0.0
        for began, ended in sorted(self._fits):
            fitting += max(0.0, ended - max(began, reached))
            reached = max(reached, ended)
        return {"fitting": round(fitting, 3), "all": round(time.monotonic() - self._began, 3)}
