"""A drift check from the counts of a week by the hour, which stand for a million and for a billion rows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
from benchmarks.monitor.log_world import (
    CLASSES,
    START,
    VERSION,
    WEEK,
    LogWorld,
    declare_use_case,
    draw_columns,
    open_log_world,
)
from benchmarks.monitor.stage import Options

from evergreen.model.prediction_counter import ProfileBins
from evergreen.model.reference_profile import arrange_profiles, load_sliced_profiles
from evergreen.monitoring.counts.window import read_window_counts
from evergreen.monitoring.drift.compare import compare_windows
from evergreen.store.predictions.channels import ONLINE
from evergreen.store.predictions.hour_counts import BinnedRows, HourKey, lock_hour, write_hour

NUMBERS, CATEGORIES = 18, 4
HOURS = 168
ROWS = {"drift_check_ms": 1_000_000, "drift_check_ms_billion": 1_000_000_000}
REPEATS, QUICK_REPEATS = 25, 5
# Rows that are drawn for an hour; its counts are multiples of theirs.
_DRAWN_ROWS = 124


def measure(options: Options) -> Mapping[str, Any]:
    """drift_check_ms and drift_check_ms_billion (medians), and the parts of the former."""
    use_case = declare_use_case(NUMBERS, CATEGORIES)
    repeats = QUICK_REPEATS if options.quick else REPEATS
    with open_log_world(options.folder, use_case, options.seed) as world:
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ROWS}
        versions = {name: VERSION + place for place, name in enumerate(ROWS)}
        for name, rows in ROWS.items():
            write_week(world, versions[name], rows, np.random.default_rng(options.seed))
        for _ in range(repeats):
            for name, some in times.items():
                some.append(check(world, versions[name], ROWS[name]))
        medians = {name: statistics.median(sum(pair) for pair in some) for name, some in times.items()}
    return {
        **medians,
        "drift_check_parts_ms": {
            "read": statistics.median(pair[0] for pair in times["drift_check_ms"]),
            "compare": statistics.median(pair[1] for pair in times["drift_check_ms"]),
        },
    }


def write_week(world: LogWorld, version: int, rows: int, draw: np.random.Generator) -> None:
    """Counts of that many rows of a week, by the hour, as if they had been shipped."""
    bins = ProfileBins(world.use_case, arrange_profiles(world.profiles))
    factor = rows // HOURS // _DRAWN_ROWS
    with world.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT IGNORE INTO reference_profile (use_case, model_version, slice, feature, kind, bins,"
            " counts) SELECT use_case, %s, slice, feature, kind, bins, counts FROM reference_profile"
            " WHERE model_version = %s",
            (version, VERSION),
        )
        for hour in range(HOURS):
            columns = {
                name: values.tolist()
                for name, values in draw_columns(world.use_case, _DRAWN_ROWS, draw).items()
            }
            columns["channel"] = [ONLINE] * _DRAWN_ROWS
            columns["prediction"] = draw.choice(CLASSES, _DRAWN_ROWS).tolist()
            binned = bins.count_rows(columns)
            counts = {key: [factor * count for count in some] for key, some in binned.counts.items()}
            moment = (START + timedelta(hours=hour)).replace(tzinfo=None)
            key = HourKey(version, ONLINE, moment)
            lock_hour(connection, world.use_case.name, key)
            write_hour(
                connection,
                world.use_case.name,
                key,
                factor * _DRAWN_ROWS,
                BinnedRows(binned.profile, counts),
            )


def check(world: LogWorld, version: int, rows: int) -> tuple[float, float]:
    """Read and compare, as a check does; the milliseconds of each."""
    started = time.perf_counter()
    profiles = load_sliced_profiles(world.engine, world.use_case.name, version)
    window = read_window_counts(world.engine, world.use_case, version, profiles, START, START + WEEK)
    read = time.perf_counter()
    result = compare_windows(world.use_case.drift, profiles, window.counts)
    compared = time.perf_counter()
    if not rows * 0.99 < result.rows <= rows or len(window.hourly.hours) != HOURS:
        raise SystemExit(f"the check looked at {result.rows:,} rows instead of {rows:,}")
    return (read - started) * 1e3, (compared - read) * 1e3
