"""Beside the textbook's way and MLflow's own server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from benchmarks.serving.comparators.commands import run_mlflow, run_textbook
from benchmarks.serving.contender import Contender
from benchmarks.serving.outcome import Outcome, Stage, compare, tell
from benchmarks.serving.rounds import Size, take_turns
from benchmarks.serving.variants import PLAIN, run_variant
from benchmarks.serving.world import World

Run = Callable[[World], AbstractContextManager[Contender]]


def measure_beside(name: str, target: float, meaning: str, run: Run, world: World, size: Size) -> Outcome:
    """Requests a second of the service, with its log, / of another server."""
    with run(world) as rival, run_variant(world, PLAIN) as evergreen:
        measured = take_turns(world, [evergreen, rival], size)
    theirs = measured[rival.name]
    return Outcome(
        [compare(name, measured[PLAIN.name], theirs, meaning, target=target), *tell(theirs)],
        {f"{name}_{each.name}": each for each in measured.values()},
    )


STAGES = (
    Stage(
        "beside the textbook",
        ("vs_textbook",),
        partial(
            measure_beside,
            "vs_textbook",
            400,
            "requests/s with the durable log / BentoML with a frame, scalers, two predicts and a COMMIT"
            " for each request",
            run_textbook,
        ),
    ),
    Stage(
        "beside MLflow's server",
        ("vs_mlflow",),
        partial(
            measure_beside,
            "vs_mlflow",
            60,
            "requests/s with the durable log / `mlflow models serve` of the same model",
            run_mlflow,
        ),
    ),
)
