"""A step of the verbs: people are told what they should know of, and what a target missed is sent again."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TypedDict

import sqlalchemy as sa

from evergreen.errors import SettingsError
from evergreen.monitoring.alerts.alert import Alert
from evergreen.monitoring.alerts.collect import (
    build_rejection_alert,
    build_trial_alert,
    collect_alerts,
    has_ended_itself,
)
from evergreen.monitoring.alerts.delivery import deliver_text
from evergreen.monitoring.alerts.outbox import deliver_pending, raise_alerts
from evergreen.monitoring.alerts.targets import Target, parse_targets
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.checks.alert import AlertRecord, list_alerts, list_alerts_of_check
from evergreen.store.records.checks.decision import find_decision
from evergreen.store.records.checks.drift import find_report
from evergreen.store.records.checks.health import read_health_report
from evergreen.store.records.model_trial import ModelTrial, read_trials
from evergreen.store.records.training_run import TrainingRun

logger = logging.getLogger(__name__)

# An end of a trial is told by the first check after it, or by a later one if checks were missing so long.
_TRIALS_ENDED_WITHIN = timedelta(days=7)
# Of the declared time, the share after which people are told again.
_REPEAT_SHARE = 0.95


class AlertResult(TypedDict):
    """The titles of the alerts that the check of a moment raised."""

    alerts: list[str]


def tell_people(settings: Settings, use_case_name: str, as_of: datetime) -> AlertResult:
    """Raise the alerts of the check of a moment, and deliver them and whatever waits from earlier ones.

    What was told within `EVERGREEN_ALERT_REPEAT_HOURS` is not told again. A target that is down, or an
    address that is none, is logged and fails nothing; the next run tries again.
    """
    database, now = get_engine(settings), datetime.now(UTC)
    report = find_report(database, use_case_name, as_of)
    if report is not None and not report.pruned:
        decision = find_decision(database, use_case_name, as_of)
        trials = [
            trial
            for trial in read_trials(database, use_case_name)
            if trial.ended_at is not None and now - trial.ended_at < _TRIALS_ENDED_WITHIN
        ]
        health = read_health_report(database, report.id)
        _raise(settings, database, collect_alerts(report, health, decision, trials), as_of, now)
    deliver_waiting(settings, now)
    return {"alerts": [alert.title for alert in list_alerts_of_check(database, use_case_name, as_of)]}


def tell_rejection(settings: Settings, run: TrainingRun, reason: str) -> None:
    """Tell people that a retrain which no person started ended with a rejected candidate. Never raises for a
    target."""
    if run.is_by_hand:
        return
    now = datetime.now(UTC)
    alert = build_rejection_alert(run.use_case, run.model_version, run.reason, reason)
    _raise(settings, get_engine(settings), [alert], run.as_of, now)
    deliver_waiting(settings, now)


def tell_trial_end(settings: Settings, trial: ModelTrial) -> None:
    """Tell people that a trial has ended, unless somebody stopped it. Never raises for a target."""
    if trial.ended_at is None or not has_ended_itself(trial):
        return
    now = datetime.now(UTC)
    _raise(settings, get_engine(settings), [build_trial_alert(trial)], trial.ended_at, now)
    deliver_waiting(settings, now)


def deliver_waiting(settings: Settings, now: datetime) -> None:
    """Deliver whatever has not reached every target yet."""
    try:
        targets = parse_targets(settings.alert_urls)
    except SettingsError as error:
        logger.warning("no alert can be sent: %s", error)
        return
    deliver_pending(get_engine(settings), targets, now=now)


def send_test_message(settings: Settings) -> dict[str, str]:
    """Send a message to every target; by its name "sent", or why not.

    Raises SettingsError where none is set, or an address cannot be understood.
    """
    targets: tuple[Target, ...] = parse_targets(settings.alert_urls)
    if not targets:
        raise SettingsError(
            "there is nobody to tell: EVERGREEN_ALERT_URLS is empty",
            hint="set addresses of Apprise's, such as json://HOST/PATH for a webhook; see .env.example",
        )
    body = "This is a test of Evergreen's alerts. Nothing has happened."
    return dict(deliver_text(targets, "Evergreen: test", body))


def read_alerts(settings: Settings, use_case_name: str | None, limit: int) -> list[AlertRecord]:
    """The newest alerts, of one use case or of all, newest first."""
    return list_alerts(get_engine(settings), use_case_name, limit)


def _raise(
    settings: Settings, database: sa.Engine, alerts: list[Alert], as_of: datetime, now: datetime
) -> None:
    # A check of a schedule is some minutes early or late: one a day is to tell daily by a repeat of 24 hours.
    repeat_after = timedelta(hours=settings.alert_repeat_hours) * _REPEAT_SHARE
    raise_alerts(database, alerts, as_of, now=now, repeat_after=repeat_after)
