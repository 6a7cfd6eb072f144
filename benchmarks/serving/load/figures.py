"""The figures of one round of load, and the arithmetic behind them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


def compute_percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of `ordered` values that at least `share` (0 to 1) of them do not exceed.

    It is the nearest rank, without interpolation; NaN where there are none.
    """
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True)
class Schedule:
    """The moments at which an open loop means to send: `rate` a second from `start` (seconds) on."""

    start: float
    rate: float

    def compute_moment(self, number: int) -> float:
        """When the request with that number, counted from 0, is due."""
        return self.start + number / self.rate

    def count_due(self, now: float) -> int:
        """How many requests are due by `now`, those that were sent included."""
        if now < self.start:
            return 0
        count = math.floor((now - self.start) * self.rate) + 1
        # The product may be rounded to the other side of a moment.
        while count > 0 and self.compute_moment(count - 1) > now:
            count -= 1
        while self.compute_moment(count) <= now:
            count += 1
        return count


@dataclass(frozen=True)
class Figures:
    """What one round gave; times in milliseconds, `rate` in answers a second.

    An open loop counts a latency from the moment at which the request was due, not from when a connection was
    free for it: a service that stalls for a second is charged for all who waited (no coordinated omission).
    `errors` are answers other than 200, broken connections and answers that never came; a round with any is
    invalid. `unread` of them were requests that the server had not read when it closed the connection. After
    `farewells` answers the server ended the connection and said so. `generator_share` is the share of the
    round that the generator itself was at work.
    """

    rate: float
    answers: int
    errors: int
    p50: float
    p90: float
    p99: float
    longest: float
    generator_share: float
    fault: str = ""
    unread: int = 0
    farewells: int = 0

    @classmethod
    def summarise(
        cls,
        latencies: Sequence[float],
        seconds: float,
        *,
        errors: int,
        busy: float,
        fault: str = "",
        unread: int = 0,
        farewells: int = 0,
    ) -> Figures:
        """From the `latencies` (seconds) of the answers that came within `seconds`; `busy` CPU seconds."""
        ordered = sorted(latencies)
        return cls(
            rate=len(ordered) / seconds,
            answers=len(ordered),
            errors=errors,
            p50=compute_percentile(ordered, 0.5) * 1e3,
            p90=compute_percentile(ordered, 0.9) * 1e3,
            p99=compute_percentile(ordered, 0.99) * 1e3,
            longest=(ordered[-1] if ordered else math.nan) * 1e3,
            generator_share=busy,
            fault=fault,
            unread=unread,
            farewells=farewells,
        )

    @classmethod
    def read(cls, file: Path) -> Figures:
        """The figures that a generator has written."""
        return cls(**json.loads(file.read_text(encoding="utf-8")))

    def to_json(self) -> dict[str, Any]:
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }
