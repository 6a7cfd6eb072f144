"""Beside the textbook's way and MLflow's own server."""

from __future__ import annotations

from benchmarks.serving.comparators.commands import run_mlflow, run_textbook
from benchmarks.serving.outcome import Outcome, Stage, compare, tell
from benchmarks.serving.rounds import Size, take_turns
from benchmarks.serving.variants import PLAIN, run_variant
from benchmarks.serving.world import World


def measure_comparators(world: World, size: Size) -> Outcome:
    with (
        run_textbook(world) as textbook,
        run_mlflow(world) as mlflow,
        run_variant(world, PLAIN) as evergreen,
    ):
        measured = take_turns(world, [evergreen, textbook, mlflow], size)
    ours, theirs, mlflows = measured[PLAIN.name], measured["textbook"], measured["mlflow"]
    return Outcome(
        [
            compare(
                "vs_textbook",
                ours,
                theirs,
                "requests/s with the durable log / BentoML with a frame, scalers, two predicts and a COMMIT"
                " for each request",
                target=400,
            ),
            compare(
                "vs_mlflow", ours, mlflows, "requests/s / `mlflow models serve` of the same model", target=60
            ),
            *tell(theirs),
            *tell(mlflows),
        ],
        {f"comparators_{name}": each for name, each in measured.items()},
    )


STAGE = Stage("beside the textbook and MLflow", ("vs_textbook", "vs_mlflow"), measure_comparators)
