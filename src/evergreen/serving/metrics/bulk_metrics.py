"""Counters and histograms that are added to in this process and written to Prometheus' files now and then.

A write to a file that several processes share costs a few microseconds, which each request would pay twice.
Adding to a number costs a tenth of that. What was not written yet when a process is killed, half a second's
counts, is lost; at an orderly end nothing is.

A histogram offers no way to add several observations at once, so its values are added to by names that
prometheus_client does not document. Where it has no such names, every observation is written at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from prometheus_client import Counter, Histogram


class BulkCounter:
    """A counter (one with its labels chosen), and what has to be added to it."""

    __slots__ = ("_counter", "_number")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._number = 0

    def add(self) -> None:
        """Count one."""
        self._number += 1

    def flush(self) -> None:
        """Write what was counted."""
        if self._number:
            self._counter.inc(self._number)
            self._number = 0


class BulkHistogram:
    """A histogram (one with its labels chosen) of these upper bounds, and what has to be added to it."""

    __slots__ = ("_bounds", "_buckets", "_histogram", "_numbers", "_sum", "_total")

    def __init__(self, histogram: Histogram, bounds: Sequence[float]) -> None:
        self._histogram = histogram
        self._bounds = tuple(bounds)
        # One for each bound, and one for what is above them all.
        self._numbers = [0] * (len(self._bounds) + 1)
        self._total = 0.0
        buckets: Any = getattr(histogram, "_buckets", None)
        self._sum: Any = getattr(histogram, "_sum", None)
        has_values = buckets is not None and self._sum is not None
        self._buckets: Any = buckets if has_values and len(buckets) == len(self._numbers) else None

    def observe(self, value: float) -> None:
        """Add one observation."""
        if self._buckets is None:
            self._histogram.observe(value)
            return
        self._numbers[bisect_left(self._bounds, value)] += 1
        self._total += value

    def flush(self) -> None:
        """Write what was observed."""
        for position, number in enumerate(self._numbers):
            if number:
                self._buckets[position].inc(number)
                self._numbers[position] = 0
        if self._total:
            self._sum.inc(self._total)
            self._total = 0.0
