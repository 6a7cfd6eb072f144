"""The JSON of drift reports: what stands in the tables is read, whatever version wrote it, and written the
same."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from evergreen.documents import read_document
from evergreen.store.records.checks.drift import DriftReport, FeatureDrift, Quality
from evergreen.store.records.checks.drift_evidence import MultivariateDrift, RefusedShare

NOW = datetime(2026, 7, 10, 12, tzinfo=UTC)
FEATURE = {
    "feature": "age",
    "psi": 0.31,
    "chance": 0.02,
    "level": "major",
    "drifted": True,
    "bins": ["up to 3", "above 3"],
    "reference": [10, 20],
    "current": [30, 1],
    "severity": "drift",
    "p_value": 0.0001,
}


@pytest.mark.parametrize(
    "metrics",
    [{"accuracy": 0.75}, {"accuracy": None}, {"mae": 1.5, "rmse": 2.0}, {"mae": None, "rmse": None}],
)
def test_a_quality_is_read_and_written_in_the_same_order(metrics: dict[str, float | None]) -> None:
    document: Any = {
        "predictions": 4,
        "labelled": 3,
        **metrics,
        "prediction_psi": None,
        "answers": {"no": 0.25, "yes": 0.75},
        "reason": "some",
    }
    assert json.dumps(Quality.from_json(document).to_json()) == json.dumps(document)


def test_a_report_has_its_features_and_its_quality_once_it_is_measured() -> None:
    feature: Any = FEATURE
    report = DriftReport(
        "id", "toy", NOW, 2, NOW, NOW, 31, True, "1 of 1", features=(FeatureDrift.from_json(feature),)
    )
    assert json.dumps(report.to_json()) == json.dumps({"reason": "1 of 1", "features": [FEATURE]})
    quality = Quality(1, 0, {"accuracy": None}, None, {}, "none")
    assert list(replace(report, quality=quality).to_json()) == ["reason", "features", "quality"]


def test_a_feature_of_an_earlier_version_may_lack_fields() -> None:
    document: Any = {"feature": "age", "psi": 0.31, "later": 1}
    before = FeatureDrift.from_json(document)
    assert (before.bins, before.severity, before.p_value) == ((), "none", None)
    drifted: Any = {"feature": "age", "psi": 0.31, "drifted": True}
    assert FeatureDrift.from_json(drifted).severity == "drift"


def test_what_was_refused_stands_between_features_and_quality_and_orphans_are_counted_since() -> None:
    share = RefusedShare("age", "missing", 3, 0.25)
    quality = Quality(1, 0, {"accuracy": None}, None, {}, "none", orphans=2)
    report = DriftReport("id", "toy", NOW, 2, NOW, NOW, 9, False, "0 of 1", (), quality, (share,))
    document = json.loads(json.dumps(report.to_json()))
    assert list(document) == ["reason", "features", "refused", "quality"]
    assert [read_document(RefusedShare, each) for each in document["refused"]] == [share]
    assert Quality.from_json(document["quality"]) == quality
    before = {name: value for name, value in document["quality"].items() if name != "orphans"}
    assert Quality.from_json(before).orphans is None


def test_a_report_of_before_has_a_severity_and_nothing_that_was_not_measured_then() -> None:
    def severity(drifted: bool | None, *warnings: str) -> str:
        return DriftReport("id", "toy", NOW, 2, NOW, NOW, 9, drifted, "", warnings=warnings).severity

    assert [severity(True), severity(False), severity(None)] == ["drift", "none", "unknown"]
    assert [severity(True, "a"), severity(False, "a"), severity(None, "a")] == ["drift", "warning", "warning"]
    share: Any = {"field": "age", "kind": "missing", "rows": 3, "share": 0.25}
    assert read_document(RefusedShare, share).severity == "none"


def test_what_stands_beside_the_features_is_read_as_it_was_written() -> None:
    feature: Any = FEATURE
    multivariate = MultivariateDrift(0.71, 0.68, 0.74, 900, 1000, "drift", "told apart", ("age", "mood"))
    report = DriftReport(
        "id",
        "toy",
        NOW,
        2,
        NOW,
        NOW,
        9,
        False,
        "0 of 1",
        prediction=FeatureDrift.from_json(feature),
        multivariate=multivariate,
        since=NOW,
        warnings=("one",),
        notes=("two",),
    )
    document = json.loads(json.dumps(report.to_json()))
    assert list(document) == [
        "reason",
        "features",
        "prediction",
        "multivariate",
        "since",
        "warnings",
        "notes",
    ]
    assert FeatureDrift.from_json(document["prediction"]) == report.prediction
    assert read_document(MultivariateDrift, document["multivariate"]) == multivariate


def test_a_quality_of_an_earlier_version_may_lack_fields() -> None:
    before = Quality.from_json({"predictions": 4, "labelled": 0, "reason": "none"})
    assert (before.metrics, before.prediction_psi, before.answers) == ({}, None, {})
