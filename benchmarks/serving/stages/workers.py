"""Two workers beside one."""

from __future__ import annotations

from benchmarks.serving.outcome import Outcome, Stage, compare, skip
from benchmarks.serving.rounds import Size, take_turns
from benchmarks.serving.variants import PLAIN, TWO_WORKERS, run_variant
from benchmarks.serving.world import World

# A generator that is busy for more of the time than this limits what two workers can show.
_BUSY_GENERATOR = 0.7


def measure_workers(world: World, size: Size) -> Outcome:
    name = "workers_2_vs_1"
    if TWO_WORKERS.missing:
        return Outcome([skip(name, TWO_WORKERS.missing)])
    with run_variant(world, PLAIN) as one, run_variant(world, TWO_WORKERS) as two:
        measured = take_turns(world, [one, two], size)
    share = measured[TWO_WORKERS.name].take_median("generator_share")
    meaning = f"requests/s with two workers / one; the generator was at work {share:.0%} of the time"
    if share > _BUSY_GENERATOR:
        meaning += ", so that it may be the limit"
    return Outcome(
        [compare(name, measured[TWO_WORKERS.name], measured[PLAIN.name], meaning)],
        {f"workers_{each.name}": each for each in measured.values()},
    )


STAGE = Stage("two workers", ("workers_2_vs_1",), measure_workers)
