"""Confidence sequences: intervals of a mean that hold at every look, however often and whenever one looks.

An interval of fixed size (Wilson's, say) holds 95 % at one look. Who looks again and again, and stops at the
first interval without zero, is wrong far more often. The intervals here contain the true value at ALL looks
together with probability 1 - alpha. They are wider: about 1.6 times at a few thousand rows.

Losses between 0 and 1 (wrong or right, Brier): the empirical-Bernstein bound with a gamma-exponential mixture
(Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals
of Statistics 49, 2021, theorem 4 and proposition 9). It holds for any number of rows, and for the average of
the means also where these change. The theorem centres each loss at a value that was known before it; here
that is a constant, so that the sums of losses and of their squares are all that is needed, and a database can
compute them.

Unbounded losses (absolute errors): the asymptotic sequence of Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas
("Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 52, 2024), from
100 rows on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy.special import gammainc, gammaln

from evergreen.store.records.trial_rows import Estimate

ALPHA = 0.05
# Below so many rows the asymptotic sequence says nothing.
LEAST_UNBOUNDED_ROWS = 100
# Losses between 0 and 1 are centred here unless a better guess was known before the first row.
CENTRE = 0.2

# The boundary is tightest where the sum of squared deviations is about so great: some hundred rows.
_TUNED_VARIANCE = 100.0
_TUNED_ROWS = 1_000.0
# The part of alpha that is spent on how far the numbers of rows of two streams are from their planned ratio.
_IMBALANCE_PART = 0.1
_MOST_ROWS = 10**9


@dataclass(frozen=True)
class LossSums:
    """Losses of so many rows, or differences of paired losses: their sum, and the sum of their squares."""

    rows: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """Their mean; 0 without rows."""
        return self.total / self.rows if self.rows else 0.0

    @property
    def variance(self) -> float:
        """Their variance around the mean."""
        return max(0.0, self.squares / self.rows - self.mean**2) if self.rows else 0.0

    def sum_squared_deviations(self, centre: float) -> float:
        """The sum of the squares of their distances from a constant."""
        return max(0.0, self.squares - 2.0 * centre * self.total + self.rows * centre**2)


def bound_paired_difference(sums: LossSums, *, bounded: bool, alpha: float = ALPHA) -> Estimate:
    """The mean of paired differences (a loss less another's on the same row) with the sequence's interval.

    `bounded`: each loss lies between 0 and 1. The ends are None where the rows are too few.
    """
    if not bounded:
        return _bound_unbounded(sums.rows, sums.mean, sums.variance, alpha)
    if not sums.rows:
        return Estimate(0, 0.0, None, None)
    # Differences lie between -1 and 1, and are centred at 0: no difference is what one expects.
    half = compute_boundary(sums.squares, alpha / 2.0) / sums.rows
    return Estimate(sums.rows, sums.mean, max(-1.0, sums.mean - half), min(1.0, sums.mean + half))


def bound_unpaired_difference(
    one: LossSums,
    other: LossSums,
    *,
    ratio: float,
    bounded: bool,
    centre: float = CENTRE,
    alpha: float = ALPHA,
) -> Estimate:
    """The mean of `one` less that of `other`, of rows of two streams, with its sequence's interval.

    `ratio`: how many rows of `one` were planned for a row of `other`; where the rows came otherwise the
    interval is wider. `centre`: a guess of both means that was known before the first row.
    """
    difference, rows = one.mean - other.mean, one.rows + other.rows
    if not one.rows or not other.rows:
        return Estimate(rows, difference, None, None)
    if not bounded:
        variance = rows * (one.variance / one.rows + other.variance / other.rows)
        fewest = min(one.rows, other.rows)
        return _bound_unbounded(rows, difference, variance, alpha, is_enough=fewest >= LEAST_UNBOUNDED_ROWS)
    if ratio > 1.0:  # the weights of the rows must not exceed 1
        mirrored = bound_unpaired_difference(
            other, one, ratio=1.0 / ratio, bounded=True, centre=centre, alpha=alpha
        )
        low, high = mirrored.low, mirrored.high
        assert low is not None
        assert high is not None
        return Estimate(rows, difference, -high, -low)
    # The sum of one's deviations less `ratio` times the other's is a martingale with increments up to 1. With
    # ratio = one.rows / other.rows it is one.rows times the difference's error; the rest is the second term.
    spent = alpha * _IMBALANCE_PART
    deviations = one.sum_squared_deviations(centre) + ratio**2 * other.sum_squared_deviations(centre)
    half = compute_boundary(deviations, (alpha - spent) / 2.0) / one.rows
    others = compute_boundary(other.sum_squared_deviations(centre), spent / 2.0) / other.rows
    half += abs(ratio * other.rows / one.rows - 1.0) * min(1.0, others)
    return Estimate(rows, difference, max(-1.0, difference - half), min(1.0, difference + half))


def compute_boundary(deviations: float, alpha: float) -> float:
    """How far a sum of centred losses may be from its expectation, upwards, at any time.

    `deviations`: the sum of the squared distances of the losses from their centre. The gamma-exponential
    mixture of scale 1.
    """
    tuning = _tune(_TUNED_VARIANCE, alpha)
    threshold = -math.log(alpha)

    def exceed(distance: float) -> float:
        return _compute_log_mixture(distance, deviations, tuning) - threshold

    # Here, because all tasks of a deployment load this module and few compare a trial's versions: 0.2 s.
    from scipy.optimize import brentq

    upper = 1.0 + math.sqrt(deviations + 1.0)
    while exceed(upper) < 0.0:
        upper *= 2.0
    return float(brentq(exceed, 0.0, upper, xtol=1e-9, rtol=1e-9))


def compute_normal_half_width(rows: int, variance: float, alpha: float = ALPHA) -> float:
    """Half the width of the asymptotic sequence's interval of a mean of so many rows of that variance."""
    tuning = _tune(_TUNED_ROWS, alpha / 2.0)
    scaled = rows + tuning
    return math.sqrt(variance * scaled * math.log(scaled / (tuning * alpha**2))) / rows


def find_rows_needed(difference: float, half_width: Callable[[int], float], rows: int) -> int | None:
    """How many rows in all it takes until a difference that stays as it is differs from 0.

    `half_width`: half the width of the interval at so many rows; `rows`: how many there are. None where it
    would take more than 10**9.
    """
    size = abs(difference)
    if not size > 0.0:
        return None
    upper = max(1, rows)
    while half_width(upper) >= size:
        upper *= 2
        if upper > _MOST_ROWS:
            return None
    lower = upper // 2
    while upper - lower > max(1, upper // 1_000):
        middle = (lower + upper) // 2
        lower, upper = (lower, middle) if half_width(middle) < size else (middle, upper)
    return max(rows, upper)


def _bound_unbounded(
    rows: int, mean: float, variance: float, alpha: float, *, is_enough: bool | None = None
) -> Estimate:
    if not (rows >= LEAST_UNBOUNDED_ROWS if is_enough is None else is_enough):
        return Estimate(rows, mean, None, None)
    half = compute_normal_half_width(rows, variance, alpha)
    return Estimate(rows, mean, mean - half, mean + half)


def _tune(variance: float, alpha: float) -> float:
    """The mixture's parameter with which the boundary is about tightest at that variance."""
    # Howard et al. (2021), section 3.5, with Lambert's W by its first terms.
    logarithm = 2.0 * math.log(1.0 / alpha)
    return variance / (logarithm + math.log(1.0 + logarithm))


def _compute_log_mixture(distance: float, deviations: float, tuning: float) -> float:
    """The logarithm of the gamma-exponential mixture martingale of scale 1 (their proposition 9)."""
    shape = deviations + tuning
    place = distance + shape
    return float(
        tuning * math.log(tuning)
        - gammaln(tuning)
        - math.log(gammainc(tuning, tuning))
        + gammaln(shape)
        + math.log(gammainc(shape, place))
        - shape * math.log(place)
        + distance
        + deviations
    )
