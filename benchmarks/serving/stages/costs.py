"""What the log costs, and what metrics, keys, trace ids and drift counts cost: with them / without."""

from __future__ import annotations

from functools import partial

from benchmarks.serving.outcome import Outcome, Stage, compare, skip
from benchmarks.serving.rounds import Size, take_turns
from benchmarks.serving.variants import BARE, FULL, PLAIN, WITHOUT_LOG, Variant, run_variant
from benchmarks.serving.world import World


def measure_cost(
    name: str, target: float, meaning: str, having: Variant, lacking: Variant, world: World, size: Size
) -> Outcome:
    """Requests a second of the service with something / without it."""
    if reason := having.missing or lacking.missing:
        return Outcome([skip(name, reason, target)])
    with run_variant(world, having) as first, run_variant(world, lacking) as second:
        measured = take_turns(world, [first, second], size)
    return Outcome(
        [compare(name, measured[having.name], measured[lacking.name], meaning, target=target)],
        {f"{name}_{each.name}": each for each in measured.values()},
    )


STAGES = (
    Stage(
        "what the durable log costs",
        ("logging_cost",),
        partial(
            measure_cost, "logging_cost", 0.9, "requests/s with the durable log / without", PLAIN, WITHOUT_LOG
        ),
    ),
    Stage(
        "what the full service costs",
        ("full_service_cost",),
        partial(
            measure_cost,
            "full_service_cost",
            0.8,
            "requests/s with metrics, keys, trace ids and drift counts / the bare fast path",
            FULL,
            BARE,
        ),
    ),
)
