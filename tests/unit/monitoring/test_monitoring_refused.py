"""Refused rows as evidence in a drift report: shares and words."""

from __future__ import annotations

import pytest

from evergreen.monitoring.refused import (
    build_refused_metrics,
    compute_refused_shares,
    describe_refused_shares,
    describe_refused_warnings,
)
from evergreen.store.predictions.refused import RefusedSum
from evergreen.store.records.checks.drift_evidence import RefusedShare
from evergreen.store.records.checks.drift_metric import DriftMetric
from evergreen.usecase import DriftPolicy

POLICY = DriftPolicy(min_rows=100, refused_threshold=0.25, warning_share=0.4)


def test_a_share_is_of_the_rows_answered_or_refused_for_that_fault() -> None:
    sums = [RefusedSum("age", "less_than_equal", 25), RefusedSum("", "extra_forbidden", 5)]
    assert compute_refused_shares(POLICY, [*sums, RefusedSum("age", "missing", 0)], 75) == (
        RefusedShare("age", "less_than_equal", 25, 0.25, "drift"),
        RefusedShare("", "extra_forbidden", 5, 0.0625, "unknown"),
    )
    assert compute_refused_shares(POLICY, sums[:1], 0)[0].share == 1.0
    assert compute_refused_shares(POLICY, [], 0) == ()


def test_the_greatest_are_told_and_nothing_where_nothing_was_refused() -> None:
    shares = compute_refused_shares(
        POLICY, [RefusedSum(name, "missing", 1000) for name in ("a", "", "c", "d")], 3000
    )
    assert describe_refused_shares(shares) == (
        "; rows refused meanwhile: 1,000 for a (missing, 25.0%), 1,000 for the whole row (missing, 25.0%),"
        " 1,000 for c (missing, 25.0%), and for other faults"
    )
    assert describe_refused_shares(shares[:1]) == "; rows refused meanwhile: 1,000 for a (missing, 25.0%)"
    assert describe_refused_shares(()) == ""


@pytest.mark.parametrize(
    ("answered", "refused", "severity"),
    [
        (75, 25, "drift"),  # a quarter of a hundred rows
        (76, 24, "warning"),
        (90, 10, "warning"),
        (91, 9, "none"),
        (74, 25, "unknown"),  # of 99 rows
        (0, 100, "drift"),  # nothing was answered at all
    ],
)
def test_a_share_has_a_severity_by_the_limits(answered: int, refused: int, severity: str) -> None:
    (share,) = compute_refused_shares(POLICY, [RefusedSum("age", "missing", refused)], answered)
    assert share.severity == severity
    assert bool(describe_refused_warnings([share])) == (severity in ("warning", "drift"))


def test_a_field_is_a_row_by_its_most_frequent_fault() -> None:
    sums = [RefusedSum("age", "missing", 25), RefusedSum("age", "int_type", 30), RefusedSum("", "extra", 1)]
    shares = compute_refused_shares(POLICY, sums, 75)
    assert build_refused_metrics(POLICY, shares) == (
        DriftMetric("", "age", "refused_share", round(30 / 105, 6), 0.25, "drift"),
        DriftMetric("", "", "refused_share", round(1 / 76, 6), 0.25, "unknown"),
    )
    assert describe_refused_warnings(shares)[0] == "25.0% refused for age (missing)"
