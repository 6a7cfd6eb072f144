"""The rows that are measured: monthly-facts-like histories of customers, the same for every contender.

Made from a seed, in the order of their time, as an export of such facts is. Two per cent of the rows are
corrected later (same event time, ingested later), and half a per cent after the moment that is asked about,
so that a join which looks at one clock only gives other rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from evergreen.usecase import Entity, Feature, FeatureView, FileSource, Key, Label, UseCase

START = datetime(2024, 1, 1, tzinfo=UTC)
STEP = timedelta(days=1)
# Moments of ingests: the history, its corrections, and corrections that `ASKED` must not see.
LOADED = datetime(2025, 1, 1, tzinfo=UTC)
CORRECTED = datetime(2025, 1, 2, tzinfo=UTC)
ASKED = CORRECTED
TOO_LATE = datetime(2025, 1, 3, tzinfo=UTC)

KEY, TIME, TARGET = "customer_id", "event_time", "target"
FLOATS = tuple(f"amount_{number:02}" for number in range(1, 13))
INTS = tuple(f"count_{number:02}" for number in range(1, 9))
NUMBERS = FLOATS + INTS
CATEGORIES = {
    "region": ("north", "east", "south", "west"),
    "plan": ("basic", "plus", "family", "business", "student"),
    "contact": ("shop", "web", "phone", "partner"),
}
# The shares of missing values; the other columns have none.
MISSING = {"amount_03": 0.05, "amount_07": 0.05, "count_05": 0.02}
WIDE, JOIN = "bench_wide", "bench_join"
VIEW = "facts"
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Size:
    """`customers` x `steps` rows of history, one row per customer and day, and `labels` to join them to."""

    customers: int
    steps: int
    labels: int
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", self.customers * self.steps)

    def times(self, share: float) -> Size:
        """The same labels and days with `share` times the customers."""
        return Size(max(1, round(self.customers * share)), self.steps, self.labels)


def declare(name: str, folder: Path) -> UseCase:
    """`bench_wide`: key, event time and 23 features (25 columns). `bench_join`: the 20 numbers only."""
    numbers = tuple(
        Feature(
            column,
            "float" if column in FLOATS else "int",
            "A number of the customer's day",
            minimum=-1e6 if column in FLOATS else 0,
            maximum=1e6,
            max_null_share=0.2 if column in MISSING else 0.0,
        )
        for column in NUMBERS
    )
    categories = tuple(
        Feature(column, "category", "A choice of the customer's", allowed=allowed)
        for column, allowed in CATEGORIES.items()
    )
    return UseCase(
        name=name,
        title="Benchmark",
        meaning="What the benchmarks measure.",
        entity=Entity("customer", (Key(KEY, "int", "The customer's number"),)),
        views=(
            FeatureView(
                VIEW,
                FileSource(str(folder / "facts.csv")),
                numbers + (categories if name == WIDE else ()),
                "What a customer did in a day.",
                event_time=TIME,
            ),
        ),
        label=Label(
            TARGET,
            FileSource(str(folder / "labels.csv")),
            "Did it happen?",
            classes=("0", "1"),
            event_time=TIME,
        ),
    )


def write_use_case(root: Path, name: str, folder: Path) -> None:
    """Declare the use case in the folder `root`, reading its files from `folder`."""
    (root / name).mkdir(parents=True, exist_ok=True)
    (root / name / "__init__.py").write_text(
        "from pathlib import Path\n\nfrom benchmarks.store.data import declare\n\n"
        f"USE_CASE = declare({name!r}, Path({str(folder)!r}))\n",
        encoding="utf-8",
    )


def columns_of(name: str) -> list[str]:
    """The columns of the use case's facts, keys and event time first."""
    return [KEY, TIME, *NUMBERS, *(CATEGORIES if name == WIDE else ())]


def snapshots(size: Size) -> Iterator[pa.Table]:
    """The history day by day: every customer once a day, in the order of time."""
    for step in range(size.steps):
        customers = np.arange(1, size.customers + 1)
        yield _facts(np.random.default_rng([1, step]), customers, _times(size, customers, step))


def corrections(size: Size, share: float, seed: int) -> pa.Table:
    """Other values for `share` of the history's rows, with the same keys and event times."""
    rng = np.random.default_rng([2, seed])
    chosen = np.sort(rng.choice(size.rows, max(1, round(size.rows * share)), replace=False))
    step, customers = np.divmod(chosen, size.customers)
    return _facts(rng, customers + 1, _times(size, customers + 1, step))


def labels(size: Size) -> pa.Table:
    """`size.labels` labels of random customers and times, every tenth exactly at an event time.

    Some lie before anything is known of their customer; in one of (customer, time) there is one label.
    """
    rng = np.random.default_rng(3)
    customers = rng.integers(1, size.customers + 1, size.labels)
    step = rng.integers(0, size.steps, size.labels)
    times = _times(size, customers, step)
    loose = np.arange(size.labels) % 10 != 0
    times[loose] = _microseconds(START) + rng.integers(0, size.steps * (STEP // _MICROSECOND), loose.sum())
    _, first = np.unique(np.stack([customers, times]), axis=1, return_index=True)
    order = first[np.argsort(times[first], kind="stable")]
    return pa.table(
        {
            KEY: customers[order],
            TIME: pa.array(times[order], pa.timestamp("us")),
            TARGET: pa.array(rng.integers(0, 2, len(order)).astype(str)),
        }
    )


def write_csv(path: Path, tables: Iterator[pa.Table], columns: list[str]) -> None:
    """One CSV file of the tables' columns; complete before it bears its name."""
    unfinished = path.with_suffix(".part")
    first = next(tables).select(columns)
    with pyarrow.csv.CSVWriter(unfinished, first.schema) as writer:
        writer.write(first)
        for table in tables:
            writer.write(table.select(columns))
    unfinished.rename(path)


def _facts(rng: np.random.Generator, customers: np.ndarray, times: np.ndarray) -> pa.Table:
    rows = len(customers)
    columns: dict[str, object] = {KEY: customers, TIME: pa.array(times, pa.timestamp("us"))}
    for name in FLOATS:
        columns[name] = _array(rng, name, np.round(rng.gamma(2.0, 150.0, rows), 2))
    for name in INTS:
        columns[name] = _array(rng, name, rng.integers(0, 10_000, rows))
    for name, allowed in CATEGORIES.items():
        columns[name] = pa.array(np.array(allowed)[rng.integers(0, len(allowed), rows)])
    return pa.table(columns)


def _array(rng: np.random.Generator, name: str, values: np.ndarray) -> pa.Array:
    share = MISSING.get(name, 0.0)
    return pa.array(values, mask=rng.random(len(values)) < share if share else None)


def _times(size: Size, customers: np.ndarray, step: int | np.ndarray) -> np.ndarray:
    """Microseconds since 1970: each customer has its own moment of every day."""
    day = STEP // _MICROSECOND
    return np.asarray(_microseconds(START) + step * day + (customers - 1) * (day // size.customers))


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND
