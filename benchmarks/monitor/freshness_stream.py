"""Simulated streams whose truth changes as real ones do: suddenly, gradually, with a season, and for a short
time; and the work of a replay on them.

A stream has `ROWS_PER_DAY` rows a day, whose labels are known `LABEL_DELAY` later. Features are normal with
mean m(t) and variance 1, labels are drawn from the logistic model with weights w(t). Before the first of its
24 months lie `WARM_UP_DAYS` days of the same truth as in the first phase, which the first champion learns
from. Phases in months: 4 stable, a sudden change, 4 stable, 5 gradual, 4 with a season that comes twice and
goes again, 4 stable, a shock of `SHOCK_DAYS` days that reverts, the rest stable. Every change turns the
weights by 45 to 75 degrees into a random direction. Sudden change, season and shock also move the mean of two
features by half a standard deviation; the gradual change moves none, so that inputs do not show it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ROWS_PER_DAY = 300
LABEL_DELAY = timedelta(days=7)
MONTH = 365 * 2 / 24
DAYS = 730
WARM_UP_DAYS = 90
SHOCK_DAYS = 10
FEATURES = 8
# The norm of the weights: the best possible accuracy is then about 0.84.
STRENGTH = 3.0
MEAN_SHIFT = 0.5
ORIGIN = datetime(2024, 1, 1, tzinfo=UTC)
START = ORIGIN + timedelta(days=WARM_UP_DAYS)


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows in the order of their event times, `ROWS_PER_DAY` a day from `ORIGIN` on: features of shape
    (n, FEATURES + 1), the last of them 1, and labels 0 or 1 of shape (n,)."""

    features: Floats
    labels: Floats

    def find_row(self, moment: datetime) -> int:
        """The number of rows with event times up to the moment."""
        days = (moment - ORIGIN) / timedelta(days=1)
        return min(max(0, math.floor(days * ROWS_PER_DAY + 1e-6)), len(self.labels))


def draw_stream(seed: int) -> Stream:
    """The stream of that seed."""
    generator = np.random.default_rng(seed)
    weights, means = _draw_course(generator)
    weights, means = np.repeat(weights, ROWS_PER_DAY, axis=0), np.repeat(means, ROWS_PER_DAY, axis=0)
    features = generator.standard_normal(means.shape) + means
    chances = 1.0 / (1.0 + np.exp(-np.einsum("ij,ij->i", features - means / 2, weights)))
    features = np.column_stack([features, np.ones(len(features))])
    return Stream(features, (generator.random(len(chances)) < chances).astype(np.float64))


def _draw_course(generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Weights and means of every day, each of shape (WARM_UP_DAYS + DAYS, FEATURES)."""
    first = generator.standard_normal(FEATURES)
    first /= np.linalg.norm(first)
    second, third = _turn(generator, first), None
    third = _turn(generator, second)
    season, shock = _turn(generator, third), _turn(generator, third)
    shifts = [_draw_shift(generator) for _ in range(3)]
    weights = np.empty((WARM_UP_DAYS + DAYS, FEATURES))
    means = np.zeros_like(weights)
    for day in range(WARM_UP_DAYS + DAYS):
        month = (day - WARM_UP_DAYS) / MONTH
        if month < 4:
            weights[day] = first
        elif month < 8:
            weights[day], means[day] = second, shifts[0]
        elif month < 13:
            weights[day], means[day] = _mix(second, third, (month - 8) / 5), shifts[0]
        elif month < 17:
            # The share of the season: 0 at first, 1 after one and three months, 0 after two and four.
            share = (1 - math.cos(math.pi * (month - 13))) / 2
            weights[day] = _mix(third, season, share)
            means[day] = shifts[0] + share * shifts[1]
        elif 21 <= month < 21 + SHOCK_DAYS / MONTH:
            weights[day], means[day] = shock, shifts[0] + shifts[2]
        else:
            weights[day], means[day] = third, shifts[0]
    return STRENGTH * weights, means


def _turn(generator: np.random.Generator, direction: Floats) -> Floats:
    """A unit vector at 45 to 75 degrees to the given one."""
    other = generator.standard_normal(FEATURES)
    other -= direction * (other @ direction)
    other /= np.linalg.norm(other)
    angle = math.radians(generator.uniform(45, 75))
    return math.cos(angle) * direction + math.sin(angle) * other


def _mix(before: Floats, after: Floats, share: float) -> Floats:
    """A unit vector between two."""
    mixed = (1 - share) * before + share * after
    return mixed / float(np.linalg.norm(mixed))


def _draw_shift(generator: np.random.Generator) -> Floats:
    shift = np.zeros(FEATURES)
    shift[generator.choice(FEATURES, 2, replace=False)] = MEAN_SHIFT * generator.choice([-1, 1], 2)
    return shift
