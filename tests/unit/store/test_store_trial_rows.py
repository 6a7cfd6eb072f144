"""How the versions of a trial compare: means and shares with their intervals, and the words for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.store.records.trial_rows import (
    Estimate,
    TrialRows,
    describe_comparison,
    estimate_difference,
    estimate_mean,
    estimate_share,
)
from evergreen.usecase import UseCase


@given(rows=st.integers(1, 10_000), part=st.floats(0, 1))
def test_a_share_lies_within_its_interval_which_more_rows_make_narrower(rows: int, part: float) -> None:
    one, more = estimate_share(rows, part), estimate_share(rows * 10, part)
    assert one.low is not None
    assert one.high is not None
    assert more.low is not None
    assert more.high is not None
    assert 0 <= one.low <= part + 1e-12
    assert part - 1e-12 <= one.high <= 1
    assert more.high - more.low < one.high - one.low


@pytest.mark.parametrize(
    ("rows", "wrong", "low", "high"), [(80, 20, 0.168, 0.355), (10, 0, 0.0, 0.278), (263, 81, 0.255, 0.366)]
)
def test_wilsons_interval_is_the_published_one(rows: int, wrong: int, low: float, high: float) -> None:
    estimate = estimate_share(rows, wrong / rows)
    assert (estimate.low, estimate.high) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))


def test_newcombes_interval_is_the_published_one() -> None:
    """Newcombe (1998), table II, example (a): 56/70 less 48/80."""
    difference = estimate_difference(estimate_share(70, 56 / 70), estimate_share(80, 48 / 80))
    assert difference.value == pytest.approx(0.2)
    assert (difference.low, difference.high) == (
        pytest.approx(0.0524, abs=5e-4),
        pytest.approx(0.3339, abs=5e-4),
    )


def test_a_mean_of_few_numbers_has_no_interval_and_its_difference_has_none() -> None:
    few, many = estimate_mean(29, 2.0, 1.0), estimate_mean(100, 3.0, 1.0)
    assert few == Estimate(29, 2.0, None, None)
    assert (many.low, many.high) == (pytest.approx(2.804), pytest.approx(3.196))
    assert estimate_difference(many, few) == Estimate(129, 1.0, None, None)
    assert few.describe() == "2"


def test_what_is_compared_is_told_in_words(parcel: UseCase) -> None:
    one = TrialRows(3, 1_200, {}, None, estimate_share(900, 0.1))
    other = TrialRows(4, 1_100, {}, None, estimate_share(800, 0.12))
    words = describe_comparison(parcel, one, other)
    assert words.startswith(
        "v3 answered 1,200 rows and v4 1,100; share of wrong answers of 1,700 outcomes: v3 0.1 (0.082"
    )
    assert "difference -0.02 (-0.05" in words
    without = describe_comparison(parcel, one, TrialRows(4, 5, {}, None))
    assert without == "v3 answered 1,200 rows and v4 5; outcomes have not arrived for both"
