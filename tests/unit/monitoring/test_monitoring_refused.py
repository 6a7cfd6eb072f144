"""Refused rows as evidence in a drift report: shares and words."""

from __future__ import annotations

from evergreen.monitoring.refused import compute_refused_shares, describe_refused_shares
from evergreen.store.predictions.refused import RefusedSum
from evergreen.store.records.drift import RefusedShare


def test_a_share_is_of_the_rows_answered_or_refused_for_that_fault() -> None:
    sums = [RefusedSum("age", "less_than_equal", 25), RefusedSum("", "extra_forbidden", 5)]
    assert compute_refused_shares([*sums, RefusedSum("age", "missing", 0)], 75) == (
        RefusedShare("age", "less_than_equal", 25, 0.25),
        RefusedShare("", "extra_forbidden", 5, 0.0625),
    )
    assert compute_refused_shares(sums[:1], 0)[0].share == 1.0
    assert compute_refused_shares([], 0) == ()


def test_the_greatest_are_told_and_nothing_where_nothing_was_refused() -> None:
    shares = compute_refused_shares([RefusedSum(name, "missing", 1000) for name in ("a", "", "c", "d")], 3000)
    assert describe_refused_shares(shares) == (
        "; rows refused meanwhile: 1,000 for a (missing, 25.0%), 1,000 for the whole row (missing, 25.0%),"
        " 1,000 for c (missing, 25.0%), and for other faults"
    )
    assert describe_refused_shares(shares[:1]) == "; rows refused meanwhile: 1,000 for a (missing, 25.0%)"
    assert describe_refused_shares(()) == ""
