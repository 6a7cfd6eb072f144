"""The whole run, stage by stage, on one server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.common.server import Bench
from benchmarks.common.timing import say
from benchmarks.store import ingest, join, memory, migration, online
from benchmarks.store.data import Size

STEPS = 20
CALLS = 500
# To 1,000,000 rows of history belong 200,000 labels and a file of 5,000,000 rows.
_LABELS_SHARE, MEMORY_TIMES = 0.2, 5
_GROWTH = 10
_WARM_UP = Size(customers=100, steps=STEPS, labels=1000)


@dataclass(frozen=True)
class Measured:
    """Seconds of every run, by contender; `small`: of a tenth of the history, with as many labels."""

    size: Size
    small: Size
    written: dict[str, list[float]]
    written_small: list[float]
    memory: dict[str, Any]
    read: dict[str, list[float]]
    read_small: dict[str, list[float]]
    online: dict[str, list[float]]
    migration: dict[str, Any]


def size_of(rows: int) -> Size:
    """About that many rows: 20 for each customer, and a fifth of it as labels."""
    return Size(max(_GROWTH, rows // STEPS), STEPS, max(1, round(rows * _LABELS_SHARE)))


def measure(bench: Bench, rows: int, rounds: int) -> Measured:
    """Everything, for a history of `rows` rows. Raises SystemExit when two ways give other rows."""
    size = size_of(rows)
    small = size.times(1 / _GROWTH)
    say("warming up: imports, connections, compiled expressions")
    ingest.measure_ours(bench, _WARM_UP, 1)
    say("writing")
    written = ingest.measure(bench, size, rounds)
    written_small = ingest.measure_ours(bench, small, rounds)
    say("memory")
    peak = memory.measure(bench, size.times(MEMORY_TIMES))
    say("reading")
    with join.world(bench, small) as made:
        read_small = join.measure_ours(bench, made, rounds)
    with join.world(bench, size) as made:
        read = join.measure(bench, made, rounds)
        calls = online.measure(made, size, CALLS)
    say("migrating a log under a writer")
    migrated = migration.measure(bench, rows)
    return Measured(size, small, written, written_small, peak, read, read_small, calls, migrated)
