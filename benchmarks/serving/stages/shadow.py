"""A challenger that answers off the path, beside no trial."""

from __future__ import annotations

from benchmarks.serving.outcome import Outcome, Stage, skip
from benchmarks.serving.rounds import Size
from benchmarks.serving.world import World

_TARGET = 0.6


def measure_shadow(world: World, size: Size) -> Outcome:
    return Outcome([skip("shadow_cost", "the service has no trials yet", _TARGET)])


STAGE = Stage("a shadow trial", ("shadow_cost",), measure_shadow)
