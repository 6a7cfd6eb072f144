"""Evidence for the governor from reports, outcomes and trainings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evergreen.monitoring.evidence.drift_evidence import build_drift_evidence
from evergreen.monitoring.evidence.estimated import build_estimated_evidence
from evergreen.monitoring.evidence.realised import build_reference_point, compute_expected_value
from evergreen.monitoring.evidence.wording import describe_inputs
from evergreen.monitoring.governor.inputs import DriftEvidence, GovernorInputs, LabelCounts, PastRetrain
from evergreen.monitoring.quality.learned import LearnedQuality
from evergreen.store.records.checks.drift import DriftReport
from evergreen.store.records.checks.drift_course import DriftVerdict
from evergreen.store.records.checks.quality_metric import EstimatedQuality, QualityEstimate
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
    hour = NOW - timedelta(hours=5)
    estimated = replace(build_report(True), since=hour)
    assert build_drift_evidence(estimated, [new], NOW - 9 * DAY).since == hour
    assert build_drift_evidence(estimated, [new, old], NOW - 9 * DAY).since == NOW - 9 * DAY


def learn(**changes: Any) -> LearnedQuality:
    values: dict[str, Any] = {
        "metric": "accuracy",
        "less_is_better": False,
        "rows": 10,
        "value": 0.7,
        "deviation": 0.46,
        "reference": 0.8,
        "reference_rows": 50,
        "reference_deviation": 0.4,
        **changes,
    }
    return LearnedQuality(**values)


def test_the_reference_is_what_the_version_was_worth_on_its_hold_out() -> None:
    point = build_reference_point(learn(), 0.82, 1.0, NOW)
    assert point is not None
    assert (point.value, point.rows, point.deviation, point.expected) == (0.8, 50, 0.4, 0.82)
    scaled = build_reference_point(
        learn(metric="mae", reference=30.0, reference_deviation=5.0), None, 10.0, NOW
    )
    assert scaled is not None
    assert (scaled.value, scaled.deviation, scaled.expected) == (3.0, 0.5, None)
    for nothing in ({"reference": None}, {"reference_rows": None}, {"reference_rows": 0}):
        assert build_reference_point(learn(**nothing), None, 1.0, NOW) is None


def test_a_model_expects_of_itself_what_its_confidence_says() -> None:
    bins = [{"confidence": 0.6, "rows": 1, "accuracy": 0.0}, {"confidence": 0.9, "rows": 3, "accuracy": 1.0}]
    assert compute_expected_value("accuracy", bins) == pytest.approx(0.825)
    assert compute_expected_value("brier", bins) == pytest.approx((0.24 + 3 * 0.09) / 4)
    assert compute_expected_value("mae", bins) is None
    assert compute_expected_value("accuracy", []) is None


def estimate(low: float, high: float, metric: str = "accuracy", **changes: Any) -> EstimatedQuality:
    middle = (low + high) / 2
    return EstimatedQuality((QualityEstimate(metric, middle, low, high, 500, 0.8),), "valid", **changes)


def test_an_estimate_breaches_when_its_whole_band_is_beyond_the_drop_that_counts() -> None:
    def build(estimated: EstimatedQuality | None, previous: GovernorInputs | None = None) -> Any:
        return build_estimated_evidence(USE_CASE, 3, estimated, 1.0, previous)

    beyond = build(estimate(0.7, 0.78, trusted=True))
    assert (beyond.breaches, beyond.trusted, beyond.less_is_better) == (1, True, False)
    previous = GovernorInputs(as_of=NOW, champion=3, estimated=beyond)
    assert build(estimate(0.7, 0.78), previous).breaches == 2
    assert build(estimate(0.7, 0.78), replace(previous, champion=2)).breaches == 1
    within = build(estimate(0.7, 0.795), previous)
    assert (within.breaches, within.trusted) == (0, False)
    assert within.trust_reason
    assert build(None) is None
    assert build(EstimatedQuality((), "a profile is missing")) is None
    unknown = QualityEstimate("accuracy", 0.7, 0.6, 0.8, 500, None)
    assert build(EstimatedQuality((unknown,), "valid")) is None


def test_losses_of_numbers_are_in_units_of_the_label() -> None:
    case = replace(NUMBERS, gate=replace(USE_CASE.gate, metric="mae"))
    estimates = (QualityEstimate("mae", 25.0, 20.0, 30.0, 500, 10.0),)
    evidence = build_estimated_evidence(case, 3, EstimatedQuality(estimates, "valid"), 100.0, None)
    assert evidence is not None
    assert (evidence.value, evidence.low, evidence.reference) == (0.25, 0.2, 0.1)
    assert (evidence.less_is_better, evidence.breaches) == (True, 1)


def test_what_was_known_is_told_in_a_line() -> None:
    assert describe_inputs(GovernorInputs(as_of=NOW, champion=0)) == "no champion; 0 earlier retrains"
    inputs = GovernorInputs(
        as_of=NOW,
        champion=3,
        trained_at=NOW,
        drift=DriftEvidence("drift", "", 1600, 2),
        labels=LabelCounts(known=4500, new=300),
        retrains=(PastRetrain(NOW, "drift"), PastRetrain(NOW + DAY, "drift")),
    )
    assert describe_inputs(inputs) == (
        "champion v3 trained as of 2026-07-12; 1,600 predictions, drift in 2 checks in succession;"
        " 4,500 labels, 300 of them new; 1 earlier retrain"
    )
