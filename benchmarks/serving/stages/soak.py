"""A long run at half of the service's rate: does the memory of its processes grow?"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.common.result import Field
from benchmarks.common.timing import say
from benchmarks.serving.load.figures import Figures
from benchmarks.serving.log_check import PredictionTable
from benchmarks.serving.memory import measure_tree_rss
from benchmarks.serving.outcome import Outcome, Stage, skip
from benchmarks.serving.rounds import Size, build_plan, run_generator, take_turns
from benchmarks.serving.variants import PLAIN, run_variant
from benchmarks.serving.world import World

_NAME, _TARGET = "rss_growth", 1.02
_CONNECTIONS = 64
_EVERY_SECONDS = 5.0
_ARRIVAL_SECONDS = 120.0


@dataclass(frozen=True)
class Soak:
    """How long it takes in seconds. Growth is judged from a fifth of it (minute 3 of 15) to its end."""

    seconds: float

    @property
    def since(self) -> float:
        return self.seconds / 5

    @property
    def span(self) -> float:
        """Over how long the memory of a moment is taken: a minute of 15."""
        return self.seconds / 15

    def compute_growth(self, samples: list[tuple[float, int]]) -> float:
        """The median memory of the last `span` / of that after `since`; samples are (seconds, bytes)."""
        first = [size for moment, size in samples if self.since <= moment < self.since + self.span]
        last = [size for moment, size in samples if moment >= self.seconds - self.span]
        return median(last) / median(first)


def measure_soak(world: World, size: Size) -> Outcome:
    soak = Soak(size.soak_seconds)
    if not soak.seconds:
        return Outcome(
            [skip(_NAME, "a soak takes 15 minutes: ask for it with --soak", _TARGET, at_most=True)]
        )
    table = PredictionTable(world)
    with run_variant(world, PLAIN) as evergreen:
        (closed,) = take_turns(world, [evergreen], replace(size, rounds=1)).values()
        if not closed.valid:
            reason = f"no valid round: {closed.fault}"
            return Outcome([skip(_NAME, reason, _TARGET, at_most=True)])
        rate = closed.take_median("rate") / 2
        say(f"  {soak.seconds / 60:.1f} minutes at {rate:,.0f} requests/s")
        began, started = time.time(), time.monotonic()
        plan = build_plan(
            world,
            # Millions of ids would fill the generator's memory: the rows are counted instead.
            replace(evergreen, logs=False),
            Size(1, soak.seconds, 0.0),
            _CONNECTIONS,
            rate,
        )
        samples: list[tuple[float, int]] = []
        with run_generator(world, plan) as generator:
            while generator.poll() is None:
                samples.append((time.monotonic() - started, measure_tree_rss(evergreen.process.pid)))
                time.sleep(min(_EVERY_SECONDS, soak.span / 4))
        figures = Figures.read(Path(plan.result))
        arrived = _await_rows(table, began, figures.answers)
    growth = soak.compute_growth([sample for sample in samples if sample[0] <= soak.seconds])
    meaning = (
        f"memory of all its processes at the end of {soak.seconds / 60:.1f} minutes / after"
        f" {soak.since / 60:.1f}, at {rate:,.0f} requests/s; {figures.errors} errors"
    )
    return Outcome(
        [
            Field(_NAME, growth, meaning, _TARGET, at_most=True),
            Field("soak_p99_ms", figures.p99, "99th percentile of the latency in the soak"),
            Field(
                "soak_missing", figures.answers - arrived, "acknowledged and not in MariaDB", 0, at_most=True
            ),
            Field("rss_mb", samples[-1][1] / 1e6, "memory of all its processes at the end, in MB"),
        ]
    )


def _await_rows(table: PredictionTable, began: float, expected: int) -> int:
    deadline = time.monotonic() + _ARRIVAL_SECONDS
    while (count := table.count_since(began)) < expected and time.monotonic() < deadline:
        time.sleep(1.0)
    return count


STAGE = Stage("a soak", (_NAME,), measure_soak)
