"""Trust in estimates: only where they have been right, and not before enough days are known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from evergreen.monitoring.quality.trust import PastEstimate, judge_trust, pair_estimates
from evergreen.store.records.checks.quality_metric import QualityMetric

FIRST = date(2026, 3, 1)


def past(*right: bool, rows: int = 500) -> list[PastEstimate]:
    return [
        PastEstimate(
            FIRST + timedelta(days=n),
            0.80,
            0.77,
            0.83,
            realised := 0.81 if is_right else 0.60,
            realised - 0.03,
            realised + 0.03,
            rows,
        )
        for n, is_right in enumerate(right)
    ]


def test_without_outcomes_it_is_not_yet_known() -> None:
    for days in ([], past(True, True, True, True, True, rows=49)):
        trust = judge_trust("accuracy", days)
        assert (trust.trusted, trust.days, trust.coverage) == (None, 0, None)
        assert trust.reason == "not yet known: no day has 50 outcomes to compare its estimate with"


def test_few_days_are_not_enough() -> None:
    trust = judge_trust("accuracy", past(True, True, True, False))
    assert trust.trusted is None
    assert trust.reason == (
        "not yet known: the estimated accuracy was right on 3 of 4 days with outcomes, and it takes 5"
    )


def test_estimates_that_were_right_are_trusted() -> None:
    trust = judge_trust("accuracy", past(True, False, True, True, True))
    assert (trust.trusted, trust.coverage) == (True, 0.8)
    assert trust.reason == "trusted: the estimated accuracy was right on 4 of 5 days with outcomes"


def test_estimates_that_were_wrong_are_not() -> None:
    trust = judge_trust("accuracy", past(True, False, True, False, True))
    assert trust.trusted is False
    assert trust.reason.startswith("not trusted: the estimated accuracy was right on 3 of 5 days")


def test_three_wrong_days_at_the_end_end_the_trust_whatever_was_before() -> None:
    trust = judge_trust("accuracy", past(*[True] * 27, False, False, False))
    assert (trust.trusted, trust.coverage) == (False, 0.9)
    assert trust.reason.endswith("and wrong on the newest 3, up to 2026-03-30")


def test_only_the_newest_thirty_days_count_in_whatever_order() -> None:
    days = past(*[False] * 40, *[True] * 30)
    trust = judge_trust("accuracy", days[::-1])
    assert (trust.trusted, trust.days) == (True, 30)


def test_the_intervals_of_both_are_allowed_for() -> None:
    def is_right(realised: float) -> bool:
        return PastEstimate(FIRST, 0.8, 0.77, 0.84, realised, realised - 0.03, realised + 0.04, 9).is_right

    # Upwards hypot(0.04, 0.03) = 0.05 is allowed, downwards hypot(0.03, 0.04) = 0.05.
    assert is_right(0.849)
    assert is_right(0.751)
    assert not is_right(0.851)
    assert not is_right(0.749)


def test_estimates_are_paired_with_outcomes_of_the_same_day_and_version() -> None:
    def row(kind: str, **changes: object) -> QualityMetric:
        fields = {
            "model_version": 1,
            "day": FIRST,
            "slice_name": "",
            "metric": "accuracy",
            "value": 0.8,
            "low": 0.7,
            "high": 0.9,
            "rows": 100,
            "as_of": datetime(2026, 3, 2, tzinfo=UTC),
        }
        return QualityMetric(**{**fields, "kind": kind, **changes})  # type: ignore[arg-type]

    rows = [
        row("estimated"),
        row("realised", value=0.75, rows=60),
        row("estimated", model_version=2),  # no outcomes
        row("realised", day=FIRST + timedelta(days=1)),  # no estimate
        row("estimated", slice_name="age=old"),
        row("realised", slice_name="age=old"),
        row("estimated", metric="roc_auc"),
        row("realised", metric="roc_auc", low=None, high=None),
    ]
    assert pair_estimates("accuracy", rows) == [PastEstimate(FIRST, 0.8, 0.7, 0.9, 0.75, 0.7, 0.9, 60)]
    assert pair_estimates("roc_auc", rows) == []
