"""How often drift is called where there is none, and found where there is: the policy that users get.

Counts are drawn (see `streams`), and judged by the comparison that a check makes, with the number of checks
before. Windows do not overlap, as those of checks do not: a verdict closes its window.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from benchmarks.monitor.stage import Options
from benchmarks.monitor.streams import NUMBERS, REFERENCE_ROWS, WINDOW_ROWS, simulate_stream

from evergreen.monitoring.drift.compare import compare_windows
from evergreen.usecase import DriftPolicy

STREAMS, WINDOWS = 400, 300
QUICK_STREAMS, QUICK_WINDOWS = 20, 30
SHIFT, LARGE_ROWS, TRIFLE = 0.25, 1_000_000, 0.01
POLICY = DriftPolicy()


def measure(options: Options) -> Mapping[str, Any]:
    """false_alarm_rate, power_quarter_sigma and trifles, with what tells how they came about."""
    streams, windows = (QUICK_STREAMS, QUICK_WINDOWS) if options.quick else (STREAMS, WINDOWS)
    seeds = np.random.SeedSequence(options.seed).spawn(streams)
    with ProcessPoolExecutor(options.cores) as pool:
        quiet = np.array(list(pool.map(partial(run_quiet_stream, windows), seeds, chunksize=4)))
        power = np.array(list(pool.map(partial(find_shift, windows), seeds, chunksize=4)))
        trifles = np.array(list(pool.map(judge_trifle, seeds, chunksize=4)))
    return {
        "false_alarm_rate": quiet[:, 0].mean(),
        "false_warning_rate": quiet[:, 1].mean(),
        "power_quarter_sigma": (power <= 2).mean(),
        "power_first_window": (power <= 1).mean(),
        "trifles": trifles.mean(),
        "false_alarm_constants": {
            "streams": streams,
            "windows": windows,
            "window_rows": WINDOW_ROWS,
            "reference_rows": REFERENCE_ROWS,
            "shift": SHIFT,
            "shift_begins_after_windows": "0 to all of them, evenly",
            "trifle": TRIFLE,
            "trifle_rows": LARGE_ROWS,
            "policy": {name: str(value) for name, value in vars(POLICY).items()},
        },
    }


def run_quiet_stream(windows: int, seed: np.random.SeedSequence) -> tuple[bool, bool]:
    """Whether a stream in which nothing changes is ever called drift, and ever brings a warning."""
    rng = np.random.default_rng(seed)
    stream = simulate_stream(rng)
    severities = {
        compare_windows(
            POLICY, stream.reference, stream.draw_window(rng, WINDOW_ROWS), check_number=number
        ).severity
        for number in range(1, windows + 1)
    }
    return "drift" in severities, "warning" in severities


def find_shift(windows: int, seed: np.random.SeedSequence) -> int:
    """In which window after the beginning of the shift drift is called: 1, 2, or 3 for later. The shift of
    one number begins after any number of quiet checks."""
    rng = np.random.default_rng([*seed.generate_state(4), 1])
    stream = simulate_stream(rng)
    before = int(rng.integers(0, windows - 1))
    moved = stream.shift(f"number_{int(rng.integers(NUMBERS)):02}", SHIFT * rng.choice([-1, 1]))
    for place in (1, 2):
        window = moved.draw_window(rng, WINDOW_ROWS)
        if compare_windows(POLICY, stream.reference, window, check_number=before + place).drifted:
            return place
    return 3


def judge_trifle(seed: np.random.SeedSequence) -> bool:
    """Whether the first check of a million rows calls a shift of all numbers that does not matter."""
    rng = np.random.default_rng([*seed.generate_state(4), 2])
    stream = simulate_stream(rng)
    moved = stream
    for number in range(NUMBERS):
        moved = moved.shift(f"number_{number:02}", TRIFLE)
    return bool(compare_windows(POLICY, stream.reference, moved.draw_window(rng, LARGE_ROWS)).drifted)
