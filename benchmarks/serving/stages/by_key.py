"""Predictions from the online store, beside those whose features are in the request."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.serving.outcome import Outcome, Stage, compare
from benchmarks.serving.rounds import Size, take_turns
from benchmarks.serving.variants import PLAIN, run_variant
from benchmarks.serving.world import World


def measure_by_key(world: World, size: Size) -> Outcome:
    with run_variant(world, PLAIN) as evergreen:
        by_key = replace(
            evergreen, name="evergreen_by_key", path="/predict_by_key", bodies=world.write_key_bodies()
        )
        measured = take_turns(world, [evergreen, by_key], size)
    return Outcome(
        [
            compare(
                "by_key_vs_predict",
                measured[by_key.name],
                measured[PLAIN.name],
                f"requests/s of /predict_by_key on {len(world.rows):,} keys / of /predict, 16 connections",
                target=0.5,
            )
        ],
        {f"by_key_{name}": each for name, each in measured.items()},
    )


STAGE = Stage("by key", ("by_key_vs_predict",), measure_by_key)
