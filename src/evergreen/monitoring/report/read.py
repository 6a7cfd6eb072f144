"""Reads what a check and those before it recorded, for its document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from evergreen.documents import Json
from evergreen.model.reference_profile import PREDICTION, load_reference_profile
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.governor.training_window import WindowPlan
from evergreen.monitoring.report.build import CheckRecords
from evergreen.monitoring.report.document_parts import (
    AlertLine,
    DecisionPart,
    Finding,
    PolicyCheck,
    SliceFeature,
    SlicePart,
)
from evergreen.monitoring.report.time_line import PeriodCounts
from evergreen.registry.champion_history import find_promotion_time
from evergreen.store.predictions.counts import HOUR, HourlyCounts, floor_hour, read_hourly_counts
from evergreen.store.records.checks.alert import AlertRecord, list_alerts_of_check
from evergreen.store.records.checks.decision import Decision, list_decisions
from evergreen.store.records.checks.drift import DriftReport, read_reports
from evergreen.store.records.checks.drift_metric import (
    SEVERITIES,
    DriftMetric,
    get_worst_severity,
    read_drift_metrics,
)
from evergreen.store.records.checks.health import HealthFinding, read_health_report
from evergreen.store.records.checks.quality_metric import read_quality_metrics
from evergreen.usecase import UseCase

# How far back the time lines reach, and the most checks that are told.
MONTH = timedelta(days=31)
_MOST_CHECKS = 120
# A champion of fewer days has its time lines by the hour.
_LEAST_DAYS = 3
_DAY = timedelta(days=1)
_MOST_SLICE_FEATURES = 5
_MOST_TEXT = 300


def read_check_records(engine: sa.Engine, use_case: UseCase, report: DriftReport) -> CheckRecords:
    """What the check of a drift report recorded, and the checks of the month before.

    Raises StoreUnreachable.
    """
    name, version, since = use_case.name, report.model_version, report.as_of - MONTH
    promoted_at = find_promotion_time(engine, name, version)
    after = report.as_of + timedelta(microseconds=1)
    decisions = list_decisions(engine, name, since=since, before=after, limit=2 * _MOST_CHECKS)
    # A training that a person or the schedule started has decisions of its own, which belong to no check.
    by_check = {each.as_of: each for each in decisions if each.drift_report_id is not None}
    own = by_check.get(report.as_of)
    metrics = read_drift_metrics(engine, report.id)
    health = read_health_report(engine, report.id)
    alerts = list_alerts_of_check(engine, name, report.as_of)
    start = max(since, promoted_at) if promoted_at and promoted_at < report.as_of else since
    hourly = read_hourly_counts(engine, name, version, floor_hour(start), report.as_of)
    return CheckRecords(
        use_case=use_case,
        report=report,
        profiles=load_reference_profile(engine, name, version),
        former=read_reports(engine, name, since, report.as_of, _MOST_CHECKS),
        decisions={moment: (each.retrain, each.reason) for moment, each in by_check.items()},
        counts=group_hours(hourly, report.as_of),
        metrics=metrics,
        promoted_at=promoted_at,
        slices=build_slices(metrics),
        quality_metrics=read_quality_metrics(
            engine, name, since=since.date(), until=report.as_of.date(), slice_name=None
        ),
        health=tuple(map(build_finding, health.findings)) if health else (),
        decision=build_decision(own) if own else None,
        alerts=tuple(line for alert in alerts for line in list_alert_lines(alert)),
    )


def group_hours(hourly: HourlyCounts, end: datetime) -> PeriodCounts | None:
    """The counts of all rows by day, counted back from `end` (aware UTC), or by the hour where they cover
    fewer than three days; None without counts."""
    table = hourly.counts.get(ALL_ROWS)
    if not table or not hourly.hours:
        return None
    by_day = end - hourly.hours[0] >= _LEAST_DAYS * _DAY
    length = _DAY if by_day else HOUR
    last = end if by_day else floor_hour(end) + (HOUR if floor_hour(end) < end else timedelta(0))
    # Hours are whole and `end` need not be: each belongs to the stretch in which it begins.
    count = -((hourly.hours[0] - last) // length)
    first = last - count * length
    places = np.array([(hour - first) // length for hour in hourly.hours], dtype=np.int64)

    def add_up(bins: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The sums by stretch of an array whose first axis are hours."""
        sums = np.zeros((count, *bins.shape[1:]), dtype=np.int64)
        np.add.at(sums, places, bins)
        return sums

    starts = tuple(first + n * length for n in range(count))
    rows = tuple(int(number) for number in add_up(hourly.rows))
    return PeriodCounts(starts, length, rows, {name: add_up(bins) for name, bins in table.items()})


def build_slices(metrics: Sequence[DriftMetric]) -> tuple[SlicePart, ...]:
    """The declared slices, the worst first, each with the features that moved most in it."""
    by_slice: dict[str, list[DriftMetric]] = defaultdict(list)
    for metric in metrics:
        if metric.slice != ALL_ROWS:
            by_slice[metric.slice].append(metric)
    parts = [_build_slice(name, rows) for name, rows in by_slice.items()]
    ranks: dict[str, int] = {severity: -place for place, severity in enumerate(SEVERITIES)}
    return tuple(sorted(parts, key=lambda part: (ranks.get(part.severity, 0), part.name)))


def build_finding(finding: HealthFinding) -> Finding:
    """A finding of the check on data and service."""
    severity = {"ok": "none", "error": "failed"}.get(finding.severity, finding.severity)
    subject = f"{finding.what} of {finding.subject}" if finding.subject else finding.what
    return Finding(subject, severity, finding.sentence)


def build_decision(decision: Decision) -> DecisionPart:
    """A recorded decision; of one that an earlier version recorded only the answer and its reason."""
    checks = tuple(
        PolicyCheck(
            name=each.name,
            kind=each.kind,
            result=each.result,
            reason=each.text,
            value=each.value,
            limit=each.limit,
        )
        for each in decision.checks or ()
    )
    candidates = WindowPlan.from_json(decision.window).candidates if decision.window else ()
    windows = " or ".join(each.name for each in candidates)
    return DecisionPart(
        retrain=decision.retrain,
        reason=decision.reason,
        trigger=decision.trigger or "",
        window=f"whichever judges best: {windows}" if len(candidates) > 1 else windows,
        checks=checks,
        inputs=describe_inputs(decision.inputs or {}),
    )


def describe_inputs(inputs: Mapping[str, Json], path: str = "") -> dict[str, str]:
    """The values that a decision was made of as text, by their names joined with dots; lists as their
    length."""
    texts: dict[str, str] = {}
    for name, value in inputs.items():
        if isinstance(value, Mapping):
            texts |= describe_inputs(value, f"{path}{name}.")
        elif isinstance(value, list | tuple):
            texts[f"{path}{name}"] = f"{len(value)} entries"
        elif value is not None and value != "":
            texts[f"{path}{name}"] = str(value)[:_MOST_TEXT]
    return texts


def list_alert_lines(alert: AlertRecord) -> list[AlertLine]:
    """An alert as a line per target that it was sent to, or as one where it reached none."""
    results = alert.results or {"": alert.status.replace("_", " ")}
    return [
        AlertLine(alert.raised_at, alert.kind, target, outcome, alert.title)
        for target, outcome in results.items()
    ]


def _build_slice(name: str, metrics: Sequence[DriftMetric]) -> SlicePart:
    rows = next((each.value for each in metrics if each.metric == "rows"), None)
    drifting = [
        SliceFeature("the answers" if each.feature == PREDICTION else each.feature, each.value, each.severity)
        for each in metrics
        if each.metric == "psi" and each.value is not None
    ]
    drifting.sort(key=lambda feature: -feature.psi)
    severity = get_worst_severity([each.severity for each in metrics])
    return SlicePart(name, int(rows or 0), severity, tuple(drifting[:_MOST_SLICE_FEATURES]))
