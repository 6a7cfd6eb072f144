"""What becomes an alert, and what is in the report only."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from evergreen.monitoring.alerts.alert import Alert
from evergreen.monitoring.alerts.collect import build_rejection_alert, collect_alerts
from evergreen.store.records.checks.decision import Decision, DecisionCheck
from evergreen.store.records.checks.drift import DriftReport
from evergreen.store.records.checks.health import HealthFinding, HealthReport
from evergreen.store.records.model_trial import ModelTrial
from evergreen.usecase import TrialLimits

NOW = datetime(2026, 7, 12, tzinfo=UTC)
QUIET = DriftReport("id", "toy", NOW, 3, NOW, NOW, 600, False, "0 of 6 features drifted")
DRIFTED = replace(QUIET, drifted=True, reason="3 of 6 features drifted")
NO = Decision("d", "toy", NOW, False, "no, because the cooldown is 3 d", "id", NOW)
TRIAL = ModelTrial(
    *("t", "toy", "canary", 3, 4, "run", 0.1, TrialLimits(), NOW, NOW + timedelta(days=1), "ada"),
    ended_at=NOW,
    outcome="failed",
    reason="3 errors",
)


def list_kinds(alerts: list[Alert]) -> list[tuple[str, str]]:
    return [(alert.kind, alert.subject) for alert in alerts]


def test_a_quiet_check_tells_nobody() -> None:
    fine = HealthReport("toy", NOW, (HealthFinding("freshness", "facts", "ok", "young"),))
    assert collect_alerts(QUIET, fine, NO, []) == []
    assert collect_alerts(replace(QUIET, drifted=None), None, None, []) == []


def test_drift_is_told_with_what_was_decided() -> None:
    [alert] = collect_alerts(DRIFTED, None, NO, [])
    assert (alert.kind, alert.subject, alert.severity) == ("drift", "v3", "error")
    assert alert.title == "Evergreen, toy: drift (v3)"
    assert alert.sentence == "3 of 6 features drifted. Retrain: no, because the cooldown is 3 d."


def test_a_drop_is_told_whether_or_not_it_leads_to_a_retraining() -> None:
    def check(name: str, result: str) -> DecisionCheck:
        return DecisionCheck(name=name, result=result, text=f"{name} shows")

    checks = (
        check("realised drop", "fired"),
        check("estimated drop", "idle"),
        check("schedule", "fired"),
    )
    [alert] = collect_alerts(QUIET, None, replace(NO, checks=checks), [])
    assert (alert.kind, alert.sentence) == ("quality_drop", "realised drop shows.")


def test_health_is_told_by_part_and_old_losses_are_not() -> None:
    findings = (
        HealthFinding("freshness", "facts", "error", "facts is old"),
        HealthFinding("freshness", "", "warning", "no load"),
        HealthFinding("contract", "run-1", "error", "it failed"),
        HealthFinding("log", "dropped", "error", "10 rows dropped"),
        HealthFinding("log", "spoilt", "warning", "2 runs of bytes long ago"),
        HealthFinding("service", "", "warning", "no answer"),
        HealthFinding("skew", "age", "warning", "age differs"),
        HealthFinding("refused", "age", "warning", "many refused"),
        HealthFinding("skew", "", "unknown", "nothing to compare"),
    )
    alerts = collect_alerts(QUIET, HealthReport("toy", NOW, findings), NO, [])
    assert list_kinds(alerts) == [
        ("stale_data", "facts"),
        ("stale_data", ""),
        ("contract_failure", "run-1"),
        ("log_loss", "dropped"),
        ("service", ""),
    ]


def test_a_trial_that_a_person_stopped_is_not_told() -> None:
    running = replace(TRIAL, ended_at=None, outcome=None)
    trials = [TRIAL, replace(TRIAL, id="u", outcome="stopped"), replace(running, id="v")]
    [alert] = collect_alerts(QUIET, None, None, trials)
    assert (alert.kind, alert.subject, alert.severity) == ("trial_ended", "t", "error")
    assert "v4 as canary" in alert.sentence
    assert "3 errors" in alert.sentence


def test_a_rejection_tells_what_it_was_to_mend() -> None:
    alert = build_rejection_alert("toy", 4, "3 of 6 features drifted", "rejected: worse by 0.1")
    assert "(3 of 6 features drifted) brought no better model: rejected: worse by 0.1." in alert.sentence
    assert alert.hint == "evergreen gate explain toy 4"
    record = alert.build_record(NOW, NOW)
    assert record.id == alert.build_record(NOW, NOW + timedelta(hours=1)).id
    assert record.body.endswith("Next: evergreen gate explain toy 4\nAs of 2026-07-12 00:00 UTC.")
