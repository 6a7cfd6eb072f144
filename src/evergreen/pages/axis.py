"""Axes of a plot: the range they cover, their tick marks and how these are labelled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evergreen.pages.numbers import choose_tick_decimals, compute_ticks, format_number

Ends = tuple[float, float]

# Positive values whose greatest is more than so many times the smallest stand on a logarithmic scale.
_LOGARITHMIC_RATIO = 5
# Beyond this ratio a logarithmic scale has ticks at powers of ten only, otherwise also at 2 and 5 times them.
_ONLY_POWERS_RATIO = 150


@dataclass(frozen=True)
class Axis:
    """A range from `low` to `high` with ticks (value, label).

    A logarithmic axis holds positive values only. On one of `categories` the values are the places of names.
    """

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    title: str = ""
    logarithmic: bool = False
    categories: bool = False

    def locate(self, value: float) -> float:
        """The place of a value as a share of the way from `low` (0) to `high` (1)."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def build_number_axis(
    values: Iterable[float],
    title: str = "",
    *,
    ends: Ends | None = None,
    margin: float = 0.05,
    about: int = 7,
    whole: bool = False,
) -> Axis:
    """A linear axis over the finite ones of `values` with some room beside them, or over `ends` exactly.

    `about` is how many ticks it has, roughly; with `whole` they stand at whole numbers.
    """
    low, high = ends or _pad_range([value for value in values if math.isfinite(value)], margin)
    marks = [mark for mark in compute_ticks(low, high, about) if not whole or float(mark).is_integer()]
    places = choose_tick_decimals(marks) if len(marks) > 1 else None
    return Axis(low, high, [(mark, format_number(mark, places)) for mark in marks], title)


def build_logarithmic_axis(values: Sequence[float], title: str = "") -> Axis:
    """A logarithmic axis over positive values."""
    low, high = min(values), max(values)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < _ONLY_POWERS_RATIO else (1,)
    marks = [factor * 10.0**power for power in powers for factor in factors]
    room = (high / low) ** 0.06
    ends = low / room, high * room
    ticks = [(mark, f"{mark:,.4g}") for mark in marks if ends[0] <= mark <= ends[1]]
    return Axis(*ends, ticks, title, logarithmic=True)


def choose_number_axis(values: Sequence[float], title: str = "", about: int = 5) -> Axis:
    """A logarithmic axis for positive values of different magnitude, else a linear one."""
    if min(values) > 0 and max(values) / min(values) > _LOGARITHMIC_RATIO:
        return build_logarithmic_axis(values, title)
    whole = all(float(value).is_integer() for value in values)
    return build_number_axis(values, title, about=about, whole=whole, margin=0.08)


def build_category_axis(names: Sequence[str], title: str = "") -> Axis:
    """An axis with a name at each of 0, 1, 2, ..."""
    return Axis(-0.6, len(names) - 0.4, list(enumerate(names)), title, categories=True)


def _pad_range(values: Sequence[float], margin: float) -> Ends:
    """The least and the greatest value, and some room."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = (high - low) * margin or abs(low) * 0.1 or 1.0
    return low - room, high + room
