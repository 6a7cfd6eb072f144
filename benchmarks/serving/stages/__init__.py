"""The stages of the run, in its order: each starts what it compares, and ends it."""

from __future__ import annotations

from benchmarks.serving.outcome import Stage
from benchmarks.serving.stages import (
    batch,
    by_key,
    comparators,
    costs,
    framework,
    power,
    shadow,
    soak,
    workers,
)

STAGES: tuple[Stage, ...] = (
    *comparators.STAGES,
    framework.STAGE,
    *costs.STAGES,
    batch.STAGE,
    by_key.STAGE,
    shadow.STAGE,
    workers.STAGE,
    power.STAGE,
    soak.STAGE,
)
