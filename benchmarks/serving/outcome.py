"""What a stage of the run gives: its figures, and every round behind them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.common.result import Field
from benchmarks.serving.rounds import Measured, Size
from benchmarks.serving.world import World


@dataclass(frozen=True)
class Outcome:
    """Figures in the table's order, and the rounds of each contender by a name of their own."""

    fields: list[Field]
    runs: Mapping[str, Measured] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A part of the run that can be asked for by each of the figures that it `gives`."""

    title: str
    gives: tuple[str, ...]
    measure: Callable[[World, Size], Outcome]


def compare(
    name: str,
    ours: Measured,
    theirs: Measured,
    meaning: str,
    *,
    figure: str = "rate",
    target: float | None = None,
    at_most: bool = False,
    part: str = "",
    aim: float | None = None,
) -> Field:
    """The quotient of the medians of one figure: `ours` / `theirs`.

    Where we have no valid round the target is missed by all; where they have none nothing can be said.
    """
    if not ours.valid:
        value = math.inf if at_most else 0.0
        meaning = f"{meaning}; NO VALID ROUND of {ours.name}: {ours.fault}"
    elif not theirs.valid:
        value, meaning = math.nan, f"{meaning}; no valid round of {theirs.name}: {theirs.fault}"
    else:
        value = ours.take_median(figure) / theirs.take_median(figure)
    return Field(name, value, meaning, target, at_most=at_most, part=part, aim=aim)


def skip(
    name: str, reason: str, target: float | None = None, *, at_most: bool = False, part: str = ""
) -> Field:
    """A figure that was not measured, and why."""
    return Field(name, math.nan, f"not measured: {reason}", target, at_most=at_most, part=part)


def tell(measured: Measured) -> list[Field]:
    """Requests a second and the latencies of one contender, for comparison."""
    return [
        Field("requests_per_s", measured.take_median("rate"), "16 connections", part=measured.name),
        Field("p50_ms", measured.take_median("p50"), "of the same rounds", part=measured.name),
        Field("p99_ms", measured.take_median("p99"), "of the same rounds", part=measured.name),
    ]
