"""What a run of locust left: figures by route and by second, out of its CSV files."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from load_tests.limits import Check, Figures, Limits

TOTAL = "Aggregated"


@dataclass(frozen=True)
class Route:
    """One line of locust's statistics; times in milliseconds."""

    name: str
    requests: int
    failures: int
    per_second: float
    p50: float
    p95: float
    p99: float
    longest: float


@dataclass(frozen=True)
class Second:
    """The whole load at a moment (seconds since the first): the last seconds' rates and response times."""

    moment: float
    users: int
    per_second: float
    failures_per_second: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Failure:
    """A way in which requests failed, and how many did."""

    name: str
    reason: str
    count: int


@dataclass(frozen=True)
class Report:
    """A whole run. `total` sums up the `routes`."""

    routes: list[Route]
    total: Route
    seconds: list[Second]
    failures: list[Failure]

    @property
    def figures(self) -> Figures:
        total = self.total
        share = total.failures / total.requests if total.requests else 0.0
        return Figures(total.requests, share, total.p95, total.p99)

    def judge(self, limits: Limits) -> list[Check]:
        return limits.judge(self.figures)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def read_report(prefix: Path) -> Report:
    """The report of a run with `--csv PREFIX --csv-full-history`. Raises OSError when it left no files."""
    routes = [_build_route(row) for row in _read_rows(prefix, "stats")]
    total = next((route for route in routes if route.name == TOTAL), Route(TOTAL, 0, 0, 0, 0, 0, 0, 0))
    history = [row for row in _read_rows(prefix, "stats_history") if row["Name"] == TOTAL]
    start = float(history[0]["Timestamp"]) if history else 0.0
    return Report(
        routes=sorted((route for route in routes if route.name != TOTAL), key=lambda route: route.name),
        total=total,
        seconds=[_build_second(row, start) for row in history],
        failures=sorted(
            (
                Failure(row["Name"], row["Error"], int(row["Occurrences"]))
                for row in _read_rows(prefix, "failures")
            ),
            key=lambda failure: -failure.count,
        ),
    )


def _read_rows(prefix: Path, kind: str) -> list[dict[str, str]]:
    path = prefix.with_name(f"{prefix.name}_{kind}.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _build_route(row: Mapping[str, str]) -> Route:
    return Route(
        name=row["Name"],
        requests=int(row["Request Count"]),
        failures=int(row["Failure Count"]),
        per_second=_read_number(row["Requests/s"]),
        p50=_read_number(row["50%"]),
        p95=_read_number(row["95%"]),
        p99=_read_number(row["99%"]),
        longest=_read_number(row["Max Response Time"]),
    )


def _build_second(row: Mapping[str, str], start: float) -> Second:
    return Second(
        moment=float(row["Timestamp"]) - start,
        users=int(row["User Count"]),
        per_second=_read_number(row["Requests/s"]),
        failures_per_second=_read_number(row["Failures/s"]),
        p50=_read_number(row["50%"]),
        p95=_read_number(row["95%"]),
        p99=_read_number(row["99%"]),
    )


def _read_number(text: str) -> float:
    """0 for what locust has no value of."""
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0
