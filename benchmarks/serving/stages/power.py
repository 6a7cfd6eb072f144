"""The durability level `power`, which waits for the disk, beside the no-op; and how long the disk takes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

from benchmarks.common.result import Field
from benchmarks.serving.comparators.commands import run_fastapi_noop
from benchmarks.serving.outcome import Outcome, Stage, compare, skip
from benchmarks.serving.rounds import Size, take_turns
from benchmarks.serving.variants import POWER, run_variant
from benchmarks.serving.world import World

_TARGET = 1.2
_SYNCS, _SYNC_BYTES = 200, 8192


def measure_power(world: World, size: Size) -> Outcome:
    name = "power_level_vs_noop"
    sync = Field(
        "disk_sync_ms",
        measure_sync(world.folder) * 1e3,
        f"milliseconds of an fdatasync after {_SYNC_BYTES // 1024} KB where the spool is, median of {_SYNCS}",
    )
    if POWER.missing:
        return Outcome([skip(name, POWER.missing, _TARGET), sync])
    with run_fastapi_noop(world) as noop, run_variant(world, POWER) as evergreen:
        measured = take_turns(world, [evergreen, noop], size)
    meaning = "requests/s at the level `power` / FastAPI's no-op, 16 connections"
    return Outcome(
        [compare(name, measured[POWER.name], measured[noop.name], meaning, target=_TARGET), sync],
        {f"power_{each.name}": each for each in measured.values()},
    )


def measure_sync(folder: Path) -> float:
    """Seconds that an append takes until the disk has it."""
    path = folder / "sync-probe"
    taken = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(_SYNCS):
            os.write(descriptor, bytes(_SYNC_BYTES))
            started = time.perf_counter()
            os.fdatasync(descriptor)
            taken.append(time.perf_counter() - started)
    finally:
        os.close(descriptor)
        path.unlink()
    return median(taken)


STAGE = Stage("the level power", ("power_level_vs_noop", "disk_sync_ms"), measure_power)
