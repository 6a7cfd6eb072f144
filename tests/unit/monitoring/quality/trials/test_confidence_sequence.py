"""Confidence sequences: they cover the truth at all looks together, and are not needlessly wide."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evergreen.monitoring.quality.trials.confidence_sequence import (
    LossSums,
    bound_paired_difference,
    bound_unpaired_difference,
    compute_boundary,
    compute_normal_half_width,
    find_rows_needed,
)

LOOKS = np.unique(np.geomspace(20, 3_000, 25).astype(int))
STREAMS = 120


def sum_prefixes(losses: np.ndarray) -> list[LossSums]:
    totals, squares = np.cumsum(losses), np.cumsum(losses**2)
    return [LossSums(int(n), float(totals[n - 1]), float(squares[n - 1])) for n in LOOKS]


def test_paired_intervals_hold_at_all_looks_together() -> None:
    rng = np.random.default_rng(3)
    missed = fixed_missed = 0
    for _ in range(STREAMS):
        one = rng.random(LOOKS[-1]) < 0.2
        other = np.where(rng.random(LOOKS[-1]) < 0.8, one, rng.random(LOOKS[-1]) < 0.2)
        prefixes = sum_prefixes(other.astype(float) - one)
        bounds = [bound_paired_difference(sums, bounded=True) for sums in prefixes]
        missed += any(
            not (b.low <= 0.0 <= b.high) for b in bounds if b.low is not None and b.high is not None
        )
        fixed_missed += any(
            abs(sums.mean) > 1.96 * math.sqrt(max(sums.variance, 1e-12) / sums.rows) for sums in prefixes
        )
    assert missed <= 0.05 * STREAMS
    # What the sequences are for: intervals of one look miss in a third of the streams.
    assert fixed_missed >= 0.2 * STREAMS


@pytest.mark.parametrize(("share", "ratio"), [(0.5, 1.0), (0.2, 0.25), (0.5, 0.25), (0.8, 4.0)])
def test_unpaired_intervals_hold_whatever_share_of_the_rows_came(share: float, ratio: float) -> None:
    rng = np.random.default_rng(4)
    missed = 0
    for _ in range(STREAMS // 2):
        is_one = rng.random(LOOKS[-1]) < share
        losses = (rng.random(LOOKS[-1]) < np.where(is_one, 0.30, 0.25)).astype(float)
        ones, others = sum_prefixes(losses * is_one), sum_prefixes(losses * ~is_one)
        counts = np.cumsum(is_one)
        for look, one, other in zip(LOOKS, ones, others, strict=True):
            rows = int(counts[look - 1])
            bounds = bound_unpaired_difference(
                LossSums(rows, one.total, one.squares),
                LossSums(int(look) - rows, other.total, other.squares),
                ratio=ratio,
                bounded=True,
            )
            if bounds.low is not None and bounds.high is not None and not bounds.low <= 0.05 <= bounds.high:
                missed += 1
                break
    assert missed <= 0.05 * STREAMS / 2


def test_unbounded_losses_are_covered_from_a_hundred_rows_on() -> None:
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(STREAMS):
        differences = rng.exponential(100.0, LOOKS[-1]) - rng.exponential(100.0, LOOKS[-1])
        bounds = [bound_paired_difference(sums, bounded=False) for sums in sum_prefixes(differences)]
        assert [b.low is None for b in bounds] == [look < 100 for look in LOOKS]
        missed += any(
            not (b.low <= 0.0 <= b.high) for b in bounds if b.low is not None and b.high is not None
        )
    assert missed <= 0.05 * STREAMS


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(6)
    one, other = rng.random(3_000) < 0.15, rng.random(3_000) < 0.25
    sums = [LossSums(3_000, float(each.sum()), float(each.sum())) for each in (one, other)]
    bounds = bound_unpaired_difference(*sums, ratio=1.0, bounded=True)
    assert bounds.high is not None
    assert bounds.high < 0.0
    # At most twice as wide as an interval of one look.
    assert bounds.low is not None
    assert bounds.high - bounds.low < 2.0 * 2.0 * 1.96 * math.sqrt(0.16 * 2 / 3_000)


def test_few_or_no_rows_decide_nothing() -> None:
    nothing, few = LossSums(0, 0.0, 0.0), LossSums(5, 5.0, 5.0)
    assert bound_paired_difference(nothing, bounded=True).low is None
    assert bound_unpaired_difference(few, nothing, ratio=1.0, bounded=True).low is None
    worst = bound_unpaired_difference(few, LossSums(5, 0.0, 0.0), ratio=1.0, bounded=True)
    assert (worst.value, worst.low, worst.high) == (1.0, -1.0, 1.0)


@given(st.integers(1, 5_000), st.integers(1, 5_000), st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 100))
def test_swapping_the_versions_mirrors_the_interval(
    rows: int, others: int, share: float, other_share: float, ratio: float
) -> None:
    one, other = (
        LossSums(rows, share * rows, share * rows),
        LossSums(others, other_share * others, other_share * others),
    )
    # Where the same number of rows was planned, the first version's rows are the measure.
    assume(abs(ratio - 1.0) > 1e-6)
    straight = bound_unpaired_difference(one, other, ratio=ratio, bounded=True)
    mirrored = bound_unpaired_difference(other, one, ratio=1.0 / ratio, bounded=True)
    assert straight.low is not None
    assert mirrored.high is not None
    assert straight.low == pytest.approx(-mirrored.high, abs=1e-9)
    assert straight.low <= straight.value <= (straight.high or 0.0) + 1e-12


@given(st.floats(0, 1e6), st.floats(1e-6, 0.5))
def test_the_boundary_grows_with_the_deviations_and_with_confidence(deviations: float, alpha: float) -> None:
    boundary = compute_boundary(deviations, alpha)
    assert boundary > 0.0
    assert compute_boundary(deviations + 1.0, alpha) > boundary
    assert compute_boundary(deviations, alpha / 2.0) > boundary
    # Never below what holds at one look: Chebyshev would do for nothing less.
    assert boundary**2 > 2.0 * deviations * math.log(1.0 / alpha) * 0.999


def test_the_rows_needed_are_those_whose_half_width_is_below_the_difference() -> None:
    def half_width(rows: int) -> float:
        return compute_normal_half_width(rows, 1.0)

    needed = find_rows_needed(0.1, half_width, 100)
    assert needed is not None
    assert half_width(needed) <= 0.1 < half_width(int(needed * 0.99))
    assert find_rows_needed(0.0, half_width, 100) is None
    assert find_rows_needed(1e-7, half_width, 100) is None
    assert find_rows_needed(-5.0, half_width, 100) == 100
