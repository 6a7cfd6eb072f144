"""What a check is given and cannot use: each has a readable line in the report, and a severity of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evergreen.model.reference_profile import PREDICTION, FeatureProfile
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.drift import report as drift_report
from evergreen.monitoring.drift.compare import compare_windows
from evergreen.monitoring.drift.report import build_result_without_reference, describe_clock_skew
from evergreen.monitoring.drift.result import DriftResult
from evergreen.monitoring.health import traffic
from evergreen.monitoring.quality.outcome_faults import OutcomeFaults
from evergreen.monitoring.quality.prediction_quality import AnswerCounts, LabelledCounts, compute_quality
from evergreen.monitoring.report.build import CheckRecords, build_check_report
from evergreen.monitoring.report.document import CheckReport
from evergreen.monitoring.report.document_parts import AlertLine, Finding
from evergreen.monitoring.report.read import build_finding
from evergreen.pages.monitoring_report import render_monitoring_report
from evergreen.store.records.checks.drift import DriftReport
from evergreen.usecase import DriftPolicy
from support.toy_declaration import USE_CASE

NOW = datetime(2026, 7, 1, 6, tzinfo=UTC)
VISITS = FeatureProfile("visits", "numeric", (2.0, 5.0), (400, 400, 200, 0))
USUAL = (400, 400, 200, 0)
# Of 100,000 names in the reference none was frequent enough for a bin: all are "other".
CITY = FeatureProfile("city", "category", (), (100_000, 0))
# A constant column, as a profile has it and as profiles of earlier versions had it.
CONSTANT = FeatureProfile("visits", "numeric", (40.0, 40.5), (0, 1_000, 0, 0))
FORMER_CONSTANT = FeatureProfile("visits", "numeric", (), (1_000, 0))
ANSWERS = FeatureProfile(PREDICTION, "category", ("no", "yes"), (500, 500, 0, 0))


def compare(*features: tuple[FeatureProfile, tuple[int, ...]], inputs: tuple[str, ...] = ()) -> DriftResult:
    """A window of each feature's counts against its reference."""
    reference = {ALL_ROWS: {profile.feature: profile for profile, _ in features}}
    counts = {ALL_ROWS: {profile.feature: np.array(each) for profile, each in features}}
    return compare_windows(DriftPolicy(), reference, counts, since=NOW, inputs=inputs)


def build_report(result: DriftResult, **parts: Any) -> CheckReport:
    """The document of a check that found this, and nothing else but `parts`, of the drift report or of the
    records."""
    of_report = {name: parts.pop(name) for name in ("warnings", "quality") if name in parts}
    report = DriftReport(
        *("c1", "toy", NOW, 1, NOW - timedelta(days=7), NOW, result.rows, result.drifted, result.reason),
        features=result.features,
        warnings=result.warnings,
        notes=result.notes,
    )
    return build_check_report(CheckRecords(USE_CASE, replace(report, **of_report), **parts))


@pytest.mark.parametrize(
    ("result", "severity", "line"),
    [
        pytest.param(
            compare((VISITS, (0, 0, 0, 0))),
            *("unknown", "no verdict: 0 of 500 predictions since 2026-07-01 06:00 UTC"),
            id="no predictions in the window",
        ),
        pytest.param(
            build_result_without_reference(USE_CASE, 7, 1_000),
            *("unknown", "no verdict: version 7 has no reference profile to compare 1,000 predictions with"),
            id="a model without a profile",
        ),
        pytest.param(
            compare((VISITS, USUAL), inputs=("visits", "mood")),
            *("none", "0 of 2 features drifted, 1 cannot be told"),
            id="a new feature: counted in the verdict",
        ),
        pytest.param(
            compare((VISITS, USUAL), inputs=("visits", "mood")),
            *("none", "mood has no reference: it was declared after the model was trained"),
            id="a new feature: named",
        ),
        pytest.param(
            compare((ANSWERS, (500, 500, 0, 0)), inputs=("visits", "mood")),
            *("unknown", "no verdict: of 2 features none can be compared with the reference"),
            id="new features only",
        ),
        pytest.param(
            compare((CONSTANT, (0, 0, 600, 0))),
            *("drift", "1 of 1 features drifted"),
            id="a constant column that varies now",
        ),
        pytest.param(
            compare((FORMER_CONSTANT, (600, 0)), (replace(VISITS, feature="spend"), USUAL)),
            *("none", "visits was constant in the reference, whose profile has a single bin for it"),
            id="a constant column of an earlier profile",
        ),
        pytest.param(
            compare((FORMER_CONSTANT, (600, 0))),
            *("unknown", "no verdict: of 1 features none can be compared with the reference"),
            id="nothing but such a column",
        ),
        pytest.param(
            compare((VISITS, (0, 0, 0, 1_000))),
            *("drift", "1 of 1 features drifted"),
            id="all values missing",
        ),
        pytest.param(
            compare((CITY, (100_000, 0)), (VISITS, USUAL)),
            *("none", "city has no value that was frequent enough in the reference for a bin of its own"),
            id="100,000 categories among other features",
        ),
        pytest.param(
            compare((CITY, (100_000, 0))),
            *("unknown", "no verdict: of 1 features none can be compared with the reference"),
            id="nothing but 100,000 categories",
        ),
    ],
)
def test_what_cannot_be_compared_has_a_line_and_a_severity(
    result: DriftResult, severity: str, line: str
) -> None:
    report = build_report(result)
    assert report.severity == severity
    assert any(text.startswith(line) for text in (report.reason, *report.notes))
    of_page = "1 of 1 features moved: visits" if severity == "drift" else line[1:]  # a sentence of its own
    assert of_page in render_monitoring_report(report.to_json())


def test_a_feature_of_which_nothing_can_be_told_is_not_fine() -> None:
    report = build_report(compare((CITY, (100_000, 0)), (VISITS, USUAL)))
    assert {each.feature: each.severity for each in report.features} == {"city": "unknown", "visits": "none"}


def test_missing_values_are_told_with_their_shares() -> None:
    [visits] = build_report(compare((VISITS, (0, 0, 0, 1_000)))).features
    assert (visits.severity, visits.missing) == ("drift", (0.0, 1.0))


def test_clocks_that_are_ahead_are_a_warning_and_an_error_of_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ahead = SimpleNamespace(rows=12, latest=NOW + timedelta(hours=3))
    database: Any = None
    for module in (drift_report, traffic):
        monkeypatch.setattr(module, "find_future_predictions", lambda *_: ahead)
    warnings = describe_clock_skew(database, USE_CASE, NOW)
    health = tuple(map(build_finding, traffic.measure_clock(database, USE_CASE, NOW)))
    report = build_report(compare((VISITS, USUAL)), warnings=warnings, health=health)
    assert report.severity == "warning"
    assert report.notes[0].startswith(
        "warning: 12 predictions carry a time in the future, up to 2026-07-01 09:00"
    )
    sentence = "12 predictions are dated more than 5 min ahead of the clock"
    assert report.health == (Finding("clock", "failed", sentence),)
    page = render_monitoring_report(report.to_json())
    assert report.notes[0].removeprefix("warning: ") in page
    assert sentence in page


def test_outcomes_with_a_fault_are_told_and_those_that_matter_are_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Outcomes of unknown predictions, and such that contradict each other. The same one twice is noted."""
    faults = OutcomeFaults(orphans=3, duplicates=4, contradictions=5)
    quality = compute_quality(
        USE_CASE, AnswerCounts(900, {"no": 900}), LabelledCounts(100, 0.8), None, faults
    )
    database: Any = None
    monkeypatch.setattr(traffic, "count_orphan_outcomes", lambda *_, **__: faults.orphans)
    monkeypatch.setattr(traffic, "count_contradicted_outcomes", lambda *_, **__: faults.contradictions)
    health = tuple(map(build_finding, traffic.measure_outcomes(database, USE_CASE, NOW)))
    report = build_report(compare((VISITS, USUAL)), quality=quality, health=health)
    assert [finding.severity for finding in report.health] == ["warning", "warning"]
    lines = (
        "of the outcomes, 3 ids name predictions that the log does not have",
        "of the outcomes, 4 predictions have the same outcome more than once",
        "of the outcomes, 5 predictions have outcomes that contradict each other, of which the newest counts",
        "3 outcomes name predictions that the log does not have",
        "5 predictions were given different outcomes; the newest counts",
    )
    page = render_monitoring_report(report.to_json())
    told = (*report.notes, *(finding.text for finding in report.health))
    for line in lines:
        assert line in told
        assert line in page


def test_an_alert_that_did_not_arrive_is_told() -> None:
    line = AlertLine(NOW, "drift", "1 (json)", "Connection error", "drift (v1)")
    report = build_report(compare((VISITS, (0, 0, 0, 1_000))), alerts=(line,))
    page = render_monitoring_report(report.to_json())
    assert "1 (json)" in page
    assert "Connection error" in page
