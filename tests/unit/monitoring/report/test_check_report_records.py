"""What a check recorded, as the parts of its document."""

from __future__ import annotations

from datetime import timedelta

import pytest

from evergreen.monitoring.report.read import (
    build_decision,
    build_finding,
    build_slices,
    describe_inputs,
    list_alert_lines,
)
from evergreen.store.records.checks.alert import AlertRecord
from evergreen.store.records.checks.decision import Decision, DecisionCheck
from evergreen.store.records.checks.drift_metric import DriftMetric, Severity
from evergreen.store.records.checks.health import HealthFinding, HealthSeverity
from support.check_documents import AS_OF

DECISION = Decision("d", "toy", AS_OF, True, "yes, because it drifted", "check", AS_OF)


def build_metric(slice_name: str, feature: str, metric: str, value: float, severity: Severity) -> DriftMetric:
    return DriftMetric(slice_name, feature, metric, value, None, severity)


def test_slices_have_their_worst_severity_and_the_features_that_moved_most() -> None:
    metrics = [build_metric("", "age", "psi", 9.0, "drift")]
    for name, severity in (("age=25 to 40", "none"), ("age=under 25", "drift")):
        metrics.append(build_metric(name, "", "rows", 700.0, "none"))
        metrics += [build_metric(name, f"f{n}", "psi", n / 10, severity) for n in range(9)]
        metrics.append(build_metric(name, "__prediction__", "psi", 5.0, "none"))
    young, others = build_slices(metrics)
    assert (young.name, young.severity, young.rows) == ("age=under 25", "drift", 700)
    assert [feature.feature for feature in young.features] == ["the answers", "f8", "f7", "f6", "f5"]
    assert others.severity == "none"
    assert build_slices([]) == ()


def test_a_decision_tells_its_rules_its_windows_and_its_inputs() -> None:
    check = DecisionCheck(name="drift", kind="trigger", result="fired", value="2", limit="1", text="so")
    decision = Decision(
        **{
            **vars(DECISION),
            "trigger": "drift",
            "checks": (check,),
            "window": {"candidates": [{"name": "all"}, {"name": "the last 30 days"}]},
            "inputs": {"champion": 3, "drift": {"rows": 900, "since": None}, "retrains": [1, 2]},
        }
    )
    part = build_decision(decision)
    assert (part.retrain, part.trigger) == (True, "drift")
    assert part.window == "whichever judges best: all or the last 30 days"
    assert (part.checks[0].name, part.checks[0].result, part.checks[0].reason) == ("drift", "fired", "so")
    assert part.inputs == {"champion": "3", "drift.rows": "900", "retrains": "2 entries"}


def test_a_decision_of_an_earlier_version_has_its_answer_alone() -> None:
    part = build_decision(DECISION)
    assert (part.reason, part.checks, part.window, part.inputs) == ("yes, because it drifted", (), "", {})


def test_long_inputs_are_cut() -> None:
    assert len(describe_inputs({"reason": "x" * 9_999})["reason"]) == 300


@pytest.mark.parametrize(
    ("severity", "told"),
    [("ok", "none"), ("warning", "warning"), ("error", "failed"), ("unknown", "unknown")],
)
def test_findings_have_the_severities_of_the_report(severity: HealthSeverity, told: str) -> None:
    finding = build_finding(HealthFinding("freshness", "facts", severity, "90 days old"))
    assert (finding.subject, finding.severity) == ("freshness of facts", told)


def test_an_alert_is_a_line_per_target() -> None:
    alert = AlertRecord(
        *("id", "toy", "drift", "", "error", "drift (v3)", "body"),
        as_of=AS_OF,
        raised_at=AS_OF + timedelta(minutes=1),
        status="pending",
        results={"mail": "sent", "chat": "it is down"},
    )
    assert [(line.target, line.outcome) for line in list_alert_lines(alert)] == [
        ("mail", "sent"),
        ("chat", "it is down"),
    ]
    unsent = AlertRecord(**{**vars(alert), "results": None, "status": "no_target"})
    assert [(line.target, line.outcome) for line in list_alert_lines(unsent)] == [("", "no target")]
