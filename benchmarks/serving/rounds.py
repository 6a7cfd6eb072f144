"""Contenders take turns under load; the medians of their valid rounds are compared."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common.timing import say
from benchmarks.serving.champion import ROOT
from benchmarks.serving.contender import Contender
from benchmarks.serving.load.figures import Figures
from benchmarks.serving.load.plan import Plan
from benchmarks.serving.log_check import Arrival, PredictionTable
from benchmarks.serving.world import World

from evergreen.stack.processes.ports import LOOPBACK

_SLOW_TIMES = 2


@dataclass(frozen=True)
class Size:
    """How often and how long each contender is measured; `warm_seconds` before each round are not counted.
    Without `soak_seconds` there is no soak."""

    rounds: int = 5
    seconds: float = 6.0
    warm_seconds: float = 1.0
    soak_seconds: float = 0.0


@dataclass(frozen=True)
class Measured:
    """One contender's rounds under one load."""

    name: str
    rounds: list[Figures] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)

    @property
    def valid(self) -> list[Figures]:
        """Rounds without an error; the others are told, and count for nothing."""
        return [figures for figures in self.rounds if not figures.errors]

    @property
    def fault(self) -> str:
        """What went wrong first; "" when nothing did."""
        return next((figures.fault for figures in self.rounds if figures.errors), "")

    def take_median(self, name: str) -> float:
        """The median of one of the figures over the valid rounds; NaN without any."""
        values = [float(getattr(figures, name)) for figures in self.valid]
        return median(values) if values else math.nan

    def measure_delivered_rate(self) -> float:
        """Acknowledged predictions a second until MariaDB had them all: the median of the rounds, each with
        its warm-up; NaN without any."""
        rates = [each.acknowledged / (each.seconds + each.late_seconds) for each in self.arrivals]
        return median(rates) if rates else math.nan

    def to_json(self) -> dict[str, Any]:
        return {
            "rounds": [figures.to_json() for figures in self.rounds],
            "arrivals": [asdict(arrival) for arrival in self.arrivals],
        }


def take_turns(
    world: World, contenders: Sequence[Contender], size: Size, *, connections: int = 16, rate: float = 0.0
) -> dict[str, Measured]:
    """Put each contender under the same load, a round at a time, the order turned round every time.

    A `rate` (requests a second) makes the loop an open one.
    """
    measured = {contender.name: Measured(contender.name) for contender in contenders}
    for number in range(size.rounds):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            _run_round(world, contender, size, measured[contender.name], connections, rate)
    return measured


def build_plan(world: World, contender: Contender, size: Size, connections: int, rate: float) -> Plan:
    """The load of one round on that contender, with its result and ids in files of the world's folder."""
    times = _SLOW_TIMES if contender.slow else 1
    return Plan(
        host=LOOPBACK,
        port=contender.port,
        path=contender.path,
        bodies=str(contender.bodies),
        connections=connections,
        seconds=size.seconds * times,
        warm_seconds=size.warm_seconds * times,
        result=str(world.folder / "figures.json"),
        ids=str(world.folder / "ids.txt") if contender.logs else "",
        rate=rate,
        headers=contender.headers,
    )


@contextmanager
def run_generator(world: World, plan: Plan) -> Iterator[subprocess.Popen[bytes]]:
    """The generator at work on the plan; it says a line when the last answer has come. Its end is waited for.

    Raises SystemExit when it does not end well.
    """
    file = Path(plan.result).with_suffix(".plan.json")
    plan.write(file)
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.serving.load", str(file)], cwd=ROOT, stdout=subprocess.PIPE
    ) as generator:
        yield generator
    if generator.returncode != 0:
        raise SystemExit(f"the load generator ended with {generator.returncode} on port {plan.port}")


def _run_round(
    world: World, contender: Contender, size: Size, measured: Measured, connections: int, rate: float
) -> None:
    plan = build_plan(world, contender, size, connections, rate)
    began = time.time()
    table = PredictionTable(world)
    with run_generator(world, plan) as generator:
        assert generator.stdout is not None
        generator.stdout.readline()
        arrived = table.count_since(began) if contender.logs else 0
    figures = Figures.read(Path(plan.result))
    measured.rounds.append(figures)
    if contender.logs:
        ids = Path(plan.ids).read_text("ascii").split()
        seconds = plan.warm_seconds + plan.seconds
        measured.arrivals.append(table.check_arrival(ids, arrived, seconds, began=began))
    say(
        f"    {contender.name}, {connections} connections{f' at {rate:,.0f}/s' if rate else ''}:"
        f" {figures.rate:,.0f}/s, p50 {figures.p50:.2f} ms, p99 {figures.p99:.2f} ms"
        f"{f', {figures.errors} ERRORS: {figures.fault[:200]}' if figures.errors else ''}"
    )
