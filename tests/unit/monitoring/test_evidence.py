"""Evidence for the governor from reports, outcomes and trainings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from evergreen.monitoring.evidence.drift_evidence import build_drift_evidence
from evergreen.monitoring.evidence.realised import build_quality_point, build_reference_point
from evergreen.store.records.drift import DriftReport
from evergreen.store.records.drift_course import DriftVerdict
from evergreen.store.records.training_run import TrainingRun
from support.toy_declaration import USE_CASE

NOW = datetime(2026, 7, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NUMBERS = replace(USE_CASE, label=replace(USE_CASE.label, classes=()))


def build_report(drifted: bool | None) -> DriftReport:
    return DriftReport("id", "toy", NOW, 3, NOW - DAY, NOW, 600, drifted, "why")


def build_verdicts(*drifted: bool | None) -> list[DriftVerdict]:
    return [DriftVerdict(NOW - i * DAY, 3, NOW - (i + 1) * DAY, each) for i, each in enumerate(drifted)]


@pytest.mark.parametrize(
    ("verdicts", "severity", "breaches", "began"),
    [
        ((True,), "drift", 1, 1),
        ((True, True, False, True), "drift", 2, 2),
        ((True, None, True, False), "drift", 2, 3),
        ((False, True), "none", 0, None),
        ((None, True, True), "unknown", 2, 3),
        ((None,), "unknown", 0, None),
    ],
)
def test_breaches_are_checks_in_succession(
    verdicts: tuple[bool | None, ...], severity: str, breaches: int, began: int | None
) -> None:
    evidence = build_drift_evidence(build_report(verdicts[0]), build_verdicts(*verdicts))
    assert (evidence.severity, evidence.breaches, evidence.rows) == (severity, breaches, 600)
    assert evidence.since == (NOW - began * DAY if began else None)


def test_drift_that_a_retraining_did_not_end_began_before_it() -> None:
    new, old = build_verdicts(True, True)
    evidence = build_drift_evidence(build_report(True), [new, replace(old, version=2)])
    assert (evidence.breaches, evidence.since) == (1, NOW - 2 * DAY)
    ended = build_drift_evidence(build_report(True), [new, replace(old, version=2, drifted=False)])
    assert (ended.breaches, ended.since) == (1, NOW - DAY)


def test_a_point_is_the_share_of_right_answers_or_the_mean_error() -> None:
    outcomes = pd.DataFrame({"prediction": ["a", "a", "b", "b"], "actual": ["a", "b", "b", "b"]})
    point = build_quality_point(USE_CASE, outcomes, NOW - DAY, NOW)
    assert point is not None
    assert (point.rows, point.value) == (4, 0.75)
    assert point.deviation == pytest.approx(0.1875**0.5)
    numbers = pd.DataFrame({"prediction": [1.0, 2.0], "actual": [2.0, 5.0]})
    point = build_quality_point(NUMBERS, numbers, NOW - DAY, NOW)
    assert point is not None
    assert (point.value, point.deviation) == (2.0, 1.0)
    assert build_quality_point(USE_CASE, outcomes.iloc[:0], NOW - DAY, NOW) is None


def build_run(metrics: dict[str, Any] | None) -> TrainingRun:
    fields: dict[str, Any] = dict.fromkeys(
        (
            *("dataset_digest", "dataset_rows", "dataset_query", "dataset_read_at", "params", "verdict"),
            *("mlflow_run_id", "model_version", "finished_at"),
        )
    )
    return TrainingRun(
        id="r",
        use_case="toy",
        as_of=NOW,
        reason="",
        status="promoted",
        metrics=metrics,
        started_at=NOW,
        **fields,
    )


def test_the_reference_is_what_the_candidate_was_worth_on_its_hold_out() -> None:
    point = build_reference_point(USE_CASE, build_run({"candidate": {"accuracy": 0.8}, "holdout_rows": 50}))
    assert point is not None
    assert (point.value, point.rows) == (0.8, 50)
    assert point.deviation == pytest.approx(0.4)
    numbers = {"candidate": {"mae": 3.0, "rmse": 5.0}, "holdout_rows": 9}
    point = build_reference_point(NUMBERS, build_run(numbers))
    assert point is not None
    assert (point.value, point.deviation) == (3.0, 4.0)


@pytest.mark.parametrize(
    "metrics", [None, {}, {"candidate": {"accuracy": 0.8}}, {"candidate": {}, "holdout_rows": 9}]
)
def test_a_training_without_figures_is_no_reference(metrics: dict[str, Any] | None) -> None:
    assert build_reference_point(USE_CASE, build_run(metrics)) is None
    assert build_reference_point(USE_CASE, None) is None
