"""Contenders take turns in one run; medians are compared."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping
from statistics import median

# Who has worked longer than this sits out the remaining rounds.
ENOUGH_SECONDS = 60.0


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes, without the garbage of what was before."""
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def alternate(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each contender runs once a round and tells its seconds; the order is turned round every time."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders)
        for name in names if number % 2 == 0 else reversed(names):
            if sum(taken[name]) < ENOUGH_SECONDS:
                taken[name].append(contenders[name]())
                say(f"    {name}: {taken[name][-1]:.3f} s")
    return taken


def medians(taken: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: median(values) for name, values in taken.items()}


def say(line: str) -> None:
    """Progress; the result alone goes to stdout."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
