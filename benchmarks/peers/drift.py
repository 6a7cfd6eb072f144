"""The same drift check, of a million logged predictions with 20 features, by Evergreen and by Evidently.

Evidently gets the rows in memory, as pandas frames: reading them from the log does not count. Ours begins at
MariaDB, with the rows counted anew by SQL, and with the counts that were kept when they were shipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import sqlalchemy as sa
from benchmarks.common.result import Field
from benchmarks.common.timing import alternate, say
from benchmarks.monitor.log_world import (
    START,
    VERSION,
    WEEK,
    LogWorld,
    declare_use_case,
    draw_columns,
    fill_log,
    open_log_world,
)
from benchmarks.peers import environment

from evergreen.model.reference_profile import load_sliced_profiles
from evergreen.monitoring.counts.recount import recount_window
from evergreen.monitoring.counts.window import read_window_counts
from evergreen.monitoring.drift.compare import compare_windows
from evergreen.store.connection.arrow import read_arrow
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.tables.declared import build_prediction_table
from evergreen.store.tables.partitions import maintain_partitions
from evergreen.store.tables.platform import PREDICTION_COUNT, SCHEMA_MIGRATION

NUMBERS = 20
REFERENCE_ROWS = 100_000
_SEED = 12


@dataclass(frozen=True)
class DriftCompared:
    """Seconds of each way, and how many rows each looked at."""

    rows: int
    seconds: dict[str, list[float]]


def compare_drift(folder: Path, python: Path, rows: int, rounds: int) -> DriftCompared:
    """Both in turns, on the same rows. Raises SystemExit when one finds drift where there is none."""
    use_case, draw = declare_use_case(NUMBERS, 0), np.random.default_rng(_SEED)
    files = folder / "evidently"
    files.mkdir()
    with open_log_world(folder, use_case, _SEED) as world:
        say(f"  filling a log of {rows:,} rows")
        maintain_partitions(world.engine, use_case, START)
        fill_log(world, rows, draw)
        _write_files(world, draw, files)
        # Rows that were not shipped have no counts yet: the first reading makes them.
        _check_counts(world, rows)
        _date_counting_back(world)
        with environment.running("evidently", python, files) as evidently:

            def ask_evidently() -> float:
                answer = evidently.ask("drift")
                if answer["rows"] != rows or answer["drifted"]:
                    raise SystemExit(f"Evidently told {answer} of {rows:,} rows without drift")
                return float(answer["seconds"])

            ways: dict[str, Callable[[], float]] = {
                "recount": lambda: _check_anew(world, rows),
                "counts": lambda: _check_counts(world, rows),
                "Evidently": ask_evidently,
            }
            return DriftCompared(rows, alternate(ways, rounds))


def build_fields(compared: DriftCompared) -> list[Field]:
    seconds = {name: median(values) for name, values in compared.seconds.items()}
    what = f"Evidently's DataDriftPreset on {compared.rows:,} rows x {NUMBERS} in memory"
    return [
        Field(
            "vs_evidently_recount", seconds["Evidently"] / seconds["recount"], f"{what} / counting anew", 15
        ),
        Field("vs_evidently_counts", seconds["Evidently"] / seconds["counts"], f"{what} / from counts", 300),
        Field("drift_s", seconds["recount"], "seconds, counting anew in MariaDB", part="recount"),
        Field("drift_s", seconds["counts"], "seconds, from the counts of the hours", part="counts"),
        Field("drift_s", seconds["Evidently"], "seconds", part="evidently"),
    ]


def _write_files(world: LogWorld, draw: np.random.Generator, folder: Path) -> None:
    names = [feature.name for feature in world.use_case.stored_features]
    log = build_prediction_table(world.use_case).name
    current = read_arrow(world.engine, [f"SELECT {', '.join(names)} FROM {log}"])  # noqa: S608
    pyarrow.parquet.write_table(current, folder / "current.parquet")
    reference = pa.table(draw_columns(world.use_case, REFERENCE_ROWS, draw))
    pyarrow.parquet.write_table(reference, folder / "reference.parquet")


def _date_counting_back(world: LogWorld) -> None:
    """Have the database count since before the log begins, as where rows are shipped.

    Rows of before, and of the day after, are looked for in the log at each check: an earlier version may have
    logged them without counting. Here that would be all of them.
    """
    c = SCHEMA_MIGRATION.c
    with world.engine.begin() as connection:
        connection.execute(
            sa.update(SCHEMA_MIGRATION)
            .where(c.name.like(f"%{PREDICTION_COUNT.name}"))
            .values(applied_at=to_naive_utc(START - WEEK))
        )


def _check_anew(world: LogWorld, rows: int) -> float:
    started = time.perf_counter()
    profiles = load_sliced_profiles(world.engine, world.use_case.name, VERSION)
    _, counts = recount_window(world.engine, world.use_case, VERSION, profiles, START, START + WEEK)
    result = compare_windows(world.use_case.drift, profiles, counts)
    seconds = time.perf_counter() - started
    _expect_quiet(result.rows, result.drifted, rows)
    return seconds


def _check_counts(world: LogWorld, rows: int) -> float:
    started = time.perf_counter()
    profiles = load_sliced_profiles(world.engine, world.use_case.name, VERSION)
    window = read_window_counts(world.engine, world.use_case, VERSION, profiles, START, START + WEEK)
    result = compare_windows(world.use_case.drift, profiles, window.counts)
    seconds = time.perf_counter() - started
    _expect_quiet(result.rows, result.drifted, rows)
    return seconds


def _expect_quiet(counted: int, drifted: bool | None, rows: int) -> None:
    if counted != rows or drifted is not False:
        raise SystemExit(f"{counted:,} rows were counted of {rows:,}, drift: {drifted}")
