"""What upkeep drops of old monitoring checks, what stays of them, and what is said instead."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.loop.monitoring import alerts, check_report, health
from evergreen.loop.upkeep import run_upkeep
from evergreen.monitoring.alerts.alert import Alert
from evergreen.monitoring.alerts.outbox import raise_alerts
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records.checks.alert import (
    AlertRecord,
    compute_alert_id,
    insert_alert,
    list_alerts,
    save_delivery,
)
from evergreen.store.records.checks.check_report import (
    AttachedRun,
    find_check_report,
    list_unattached_reports,
    record_attached_run,
    save_check_report,
)
from evergreen.store.records.checks.drift import (
    DriftReport,
    FeatureDrift,
    compute_report_id,
    find_report,
    save_report,
)
from evergreen.store.records.checks.drift_metric import DriftMetric, read_drift_metrics
from evergreen.store.records.checks.health import (
    HealthFinding,
    HealthReport,
    read_health_report,
    save_health_report,
)
from evergreen.store.tables.platform import ALERT, DRIFT_REPORT, HEALTH_FINDING

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OLD, YOUNG = NOW - 32 * DAY, NOW - 30 * DAY
AGE = FeatureDrift("age", 0.2, drifted=True, bins=("low", "high"), reference=(5, 5), current=(1, 9))
FIGURES = (
    DriftMetric("", "age", "psi", 0.2, 0.05, "drift"),
    DriftMetric("sex=f", "age", "psi", 0.3, 0.05, "drift"),
)


@pytest.fixture
def store(toy_settings: Settings) -> Settings:
    """Settings that keep checks for 31 days, of a store with the platform's tables."""
    apply_migrations(get_engine(toy_settings))
    return toy_settings.model_copy(update={"check_days": 31})


def make_check(engine: sa.Engine, as_of: datetime, use_case_name: str = "toy") -> str:
    """A check of that moment with all that it leaves; its id."""
    check_id = compute_report_id(use_case_name, as_of)
    report = DriftReport(
        check_id, use_case_name, as_of, 1, as_of - DAY, as_of, 100, True, "age drifted", (AGE,)
    )
    save_report(engine, replace(report, prediction=replace(AGE, feature="__prediction__"), metrics=FIGURES))
    finding = HealthFinding("clock", "", "ok", "fine")
    save_health_report(engine, check_id, HealthReport(use_case_name, as_of, (finding,)))
    save_check_report(
        engine,
        check_id=check_id,
        use_case_name=use_case_name,
        as_of=as_of,
        severity="drift",
        document={"check": check_id},
        created_at=as_of,
    )
    for kind, status in (("drift", "sent"), ("service", "pending")):
        alert = AlertRecord(
            id=compute_alert_id(use_case_name, kind, "", as_of),
            use_case=use_case_name,
            kind=kind,
            subject="",
            severity="error",
            title="told",
            body="told",
            as_of=as_of,
            raised_at=as_of,
            status=status,  # type: ignore[arg-type]
        )
        insert_alert(engine, alert, timedelta(hours=1))
    return check_id


def list_alert_moments(alerts: Sequence[AlertRecord]) -> set[tuple[datetime, str]]:
    return {(alert.as_of, alert.status) for alert in alerts}


def test_an_old_check_loses_its_details_and_keeps_its_verdict_and_figures(store: Settings) -> None:
    engine = get_engine(store)
    old, young, other = make_check(engine, OLD), make_check(engine, YOUNG), make_check(engine, OLD, "other")
    before = find_report(engine, "toy", YOUNG)
    outcome = run_upkeep(store, "toy", NOW)
    assert (outcome["checks_pruned"], outcome["alerts_pruned"]) == (1, 1)

    report = find_report(engine, "toy", OLD)
    assert report is not None
    assert (report.pruned, report.features, report.prediction) == (True, (), None)
    assert (report.drifted, report.reason, report.row_count, report.severity) == (
        True,
        "age drifted",
        100,
        "drift",
    )
    assert read_drift_metrics(engine, old) == [FIGURES[0]]
    assert read_health_report(engine, old) is None
    kept = find_check_report(engine, old)
    assert kept is not None
    assert (kept.document, kept.severity) == (None, "drift")
    # What waits for a target is still to be told.
    assert list_alert_moments(list_alerts(engine, "toy")) == {
        (OLD, "pending"),
        (YOUNG, "pending"),
        (YOUNG, "sent"),
    }

    assert find_report(engine, "toy", YOUNG) == before
    for check_id in (young, other):
        assert len(read_drift_metrics(engine, check_id)) == 2
        assert read_health_report(engine, check_id) is not None
        standing = find_check_report(engine, check_id)
        assert standing is not None
        assert standing.document is not None

    with engine.connect() as connection:
        text = connection.execute(sa.select(DRIFT_REPORT.c.report).where(DRIFT_REPORT.c.id == old)).scalar()
    assert json.loads(text) == {"reason": "age drifted", "features": [], "pruned": True}
    again = run_upkeep(store, "toy", NOW)
    assert (again["checks_pruned"], again["alerts_pruned"]) == (0, 0)


def test_checks_are_kept_for_ever_if_the_setting_says_so(store: Settings) -> None:
    make_check(get_engine(store), OLD)
    outcome = run_upkeep(store.model_copy(update={"check_days": 0}), "toy", NOW)
    assert (outcome["checks_pruned"], outcome["alerts_pruned"]) == (0, 0)
    assert check_report.find_kept_report(store, "toy").as_of == OLD


def test_a_dropped_report_is_told_with_where_to_look_instead(store: Settings) -> None:
    engine = get_engine(store)
    check_id = make_check(engine, OLD)
    run_upkeep(store, "toy", NOW)
    with pytest.raises(StoreError, match="has no report any more: its details were dropped") as told:
        check_report.find_kept_report(store, "toy", NOW)
    moment = OLD.strftime("%Y-%m-%dT%H:%M:%S")
    assert told.value.hint == f"its decision and all inputs: evergreen decisions toy --show {moment}"
    record_attached_run(engine, check_id, AttachedRun("1", "abc"))
    tracked = store.model_copy(update={"mlflow_tracking_uri": "http://mlflow.example"})
    with pytest.raises(StoreError) as told:
        check_report.find_kept_report(tracked, "toy", NOW)
    assert "its page may still be in MLflow: http" in told.value.hint


def test_an_old_check_is_not_measured_published_or_told_again(store: Settings) -> None:
    engine = get_engine(store)
    check_id = make_check(engine, OLD)
    make_check(engine, YOUNG)
    run_upkeep(store, "toy", NOW)
    record_attached_run(engine, compute_report_id("toy", YOUNG), AttachedRun("1", "abc"))
    assert list_unattached_reports(engine, "toy", 10) == []
    published = check_report.publish_report(store, "toy", OLD)
    assert (published["severity"], published["summary"], published["notes"]) == (
        "drift",
        "age drifted",
        [check_report.DROPPED],
    )
    assert health.measure_health(store, "toy", OLD)["troubles"] == [check_report.DROPPED]
    assert read_health_report(engine, check_id) is None
    with engine.begin() as connection:
        connection.execute(sa.delete(ALERT))
    assert alerts.tell_people(store, "toy", OLD) == {"alerts": []}


def test_what_the_next_check_needs_stays_however_old_it_is(store: Settings) -> None:
    """Checks may be rarer than the setting, and the service may have been away at the last one."""
    engine = get_engine(store)
    counted = HealthFinding("service", "requests", "ok", "fine", 1.0, counters={"answered": 1})
    away = HealthFinding("service", "", "warning", "the service tells nothing")
    moments = [OLD - days * DAY for days in (3, 2, 1, 0)]
    findings = (counted, counted, away, away)
    for moment, finding in zip(moments, findings, strict=True):
        check_id = make_check(engine, moment)
        with engine.begin() as connection:
            connection.execute(sa.delete(HEALTH_FINDING).where(HEALTH_FINDING.c.report_id == check_id))
        save_health_report(engine, check_id, HealthReport("toy", moment, (finding,)))
    run_upkeep(store, "toy", NOW)
    kept = [read_health_report(engine, compute_report_id("toy", moment)) for moment in moments]
    assert [report and report.findings for report in kept] == [None, (counted,), None, (away,)]
    make_check(engine, YOUNG)
    run_upkeep(store, "toy", NOW)
    kept = [read_health_report(engine, compute_report_id("toy", moment)) for moment in moments]
    assert [report is not None for report in kept] == [False, True, False, False]


def test_what_is_told_once_is_not_told_again(store: Settings) -> None:
    engine = get_engine(store)
    ended = Alert("toy", "trial_ended", "a trial", "warning", "it ended")
    lasting = Alert("toy", "stale_data", "a view", "warning", "it is old")
    repeat_after = timedelta(hours=24)
    raised = raise_alerts(engine, [ended, lasting], OLD, now=OLD, repeat_after=repeat_after)
    for alert in raised:
        save_delivery(engine, alert.id, status="no_target", results={}, tried_at=OLD)
    assert run_upkeep(store, "toy", NOW)["alerts_pruned"] == 1
    again = raise_alerts(engine, [ended, lasting], NOW, now=NOW, repeat_after=repeat_after)
    assert [alert.kind for alert in again] == ["stale_data"]
