"""Counting a million logged predictions anew in MariaDB, and the check of every feature; beside it, reading
the same rows into NumPy by the fastest reader there is, and scipy's Kolmogorov-Smirnov test per feature."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.common.server import environment
from benchmarks.common.timing import say
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
from benchmarks.monitor.stage import Options
from benchmarks.store.memory import peak_mb
from scipy.stats import ks_2samp

from evergreen.model.reference_profile import load_sliced_profiles
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.counts.recount import recount_window
from evergreen.monitoring.drift.compare import compare_windows
from evergreen.settings import load_settings
from evergreen.store.connection.arrow import read_arrow
from evergreen.store.connection.database import get_engine
from evergreen.store.tables.declared import build_prediction_table
from evergreen.store.tables.partitions import maintain_partitions
from evergreen.usecase import UseCase

NUMBERS = 20
ROWS, QUICK_ROWS = 1_000_000, 100_000
REFERENCE_ROWS = 100_000
ROUNDS = 3
_ROOT = Path(__file__).resolve().parents[2]


def measure(options: Options) -> Mapping[str, Any]:
    """drift_1m_s, vs_scipy_ks, drift_peak_rss_mb and drift_growth."""
    rows = QUICK_ROWS if options.quick else ROWS
    draw = np.random.default_rng(options.seed)
    use_case = declare_use_case(NUMBERS, 0)
    reference = draw_columns(use_case, REFERENCE_ROWS, draw)
    figures: dict[str, Any] = {}
    seconds: dict[int, float] = {}
    for some in (rows // 10, rows):
        folder = options.folder / str(some)
        folder.mkdir()
        with open_log_world(folder, use_case, options.seed) as world:
            say(f"    filling a log of {some:,} rows")
            maintain_partitions(world.engine, use_case, START)
            fill_log(world, some, draw)
            checks = [_check_in_process(world, some) for _ in range(ROUNDS)]
            seconds[some] = statistics.median(each["seconds"] for each in checks)
            if some == rows:
                peer = statistics.median(run_scipy(world, reference, some) for _ in range(ROUNDS))
                figures = {
                    "drift_1m_s": seconds[rows] * ROWS / rows,
                    "vs_scipy_ks": peer / seconds[rows],
                    "drift_peak_rss_mb": max(each["peak_mb"] for each in checks),
                    "scipy_ks_s": peer,
                }
    return {**figures, "drift_growth": seconds[rows] / seconds[rows // 10]}


def check_anew(use_case: UseCase, rows: int) -> dict[str, float]:
    """Count the week of the store of these settings anew and compare it; seconds, and the memory above the
    start in 10**6 bytes."""
    engine = get_engine(load_settings())
    before = _read_resident_mb()
    started = time.perf_counter()
    profiles = {ALL_ROWS: load_sliced_profiles(engine, use_case.name, VERSION)[ALL_ROWS]}
    counted, counts = recount_window(engine, use_case, VERSION, profiles, START, START + WEEK)
    result = compare_windows(use_case.drift, profiles, counts)
    seconds = time.perf_counter() - started
    if counted != rows or result.rows != rows:
        raise SystemExit(f"{counted:,} rows were counted, and {result.rows:,} compared, of {rows:,}")
    return {"seconds": seconds, "peak_mb": peak_mb() - before}


def run_scipy(world: LogWorld, reference: Mapping[str, np.ndarray], rows: int) -> float:
    """Seconds of reading all features of the week and testing each against the reference."""
    log = build_prediction_table(world.use_case).name
    names = [feature.name for feature in world.use_case.stored_features]
    middle, end = START + WEEK / 2, START + WEEK
    started = time.perf_counter()
    # Two halves at the same time, as the counting has two connections.
    table = read_arrow(
        world.engine,
        [
            f"SELECT {', '.join(names)} FROM {log} WHERE model_version = {VERSION} AND channel = 'online'"  # noqa: S608
            f" AND predicted_at >= '{since:%Y-%m-%d %H:%M}' AND predicted_at < '{until:%Y-%m-%d %H:%M}'"
            for since, until in ((START, middle), (middle, end))
        ],
    )
    for name in names:
        current = table.column(name).to_numpy()
        ks_2samp(reference[name][~np.isnan(reference[name])], current[~np.isnan(current)])
    seconds = time.perf_counter() - started
    if table.num_rows != rows:
        raise SystemExit(f"{table.num_rows:,} of {rows:,} rows were read")
    return seconds


def _check_in_process(world: LogWorld, rows: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.monitor.stage_recount", str(rows)],
        cwd=_ROOT,
        env={**os.environ, **environment(world.settings)},
        stdout=subprocess.PIPE,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _read_resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.stdout.write(json.dumps(check_anew(declare_use_case(NUMBERS, 0), int(sys.argv[1]))) + "\n")
