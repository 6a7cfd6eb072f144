"""The online store: one key, and a hundred keys in one call."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from benchmarks.common.timing import say
from benchmarks.store.data import JOIN, Size
from benchmarks.store.join import World

from evergreen.store.online.vectors import read_online_features
from evergreen.usecases import load_use_case

MANY = 100
_WARM_UP = 20


def measure(made: World, size: Size, calls: int) -> dict[str, list[float]]:
    """Milliseconds of each call with 1 key and with 100, in turns, of random known keys."""
    say(f"  {calls} online reads of 1 and of {MANY} of {size.customers:,} keys")
    use_case, database = load_use_case(JOIN, made.settings), made.database
    rng = np.random.default_rng(4)
    many = min(MANY, size.customers)
    taken: dict[str, list[float]] = {"1": [], "100": []}
    for number in range(calls + _WARM_UP):
        for name, count in (("1", 1), ("100", many)):
            keys = [(int(key),) for key in rng.choice(size.customers, count, replace=False) + 1]
            started = time.perf_counter()
            found = read_online_features(database, use_case, keys)
            milliseconds = (time.perf_counter() - started) * 1000
            if set(found) != set(keys):
                raise SystemExit(f"{len(found)} of {count} keys were found")
            if number >= _WARM_UP:
                taken[name].append(milliseconds)
    return taken


def percentile(values: Sequence[float], share: float) -> float:
    return float(np.percentile(values, share))
