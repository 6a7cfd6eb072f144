"""Drift reports and decisions in MariaDB: the documents of monitoring written to their tables and read back.

There is one report and one decision for each use case and moment. A second one of the same moment is not
written, and the one that stands is returned.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import sqlalchemy as sa

from evergreen.monitoring.documents import Decision, DriftReport, FeatureDrift, Quality, ReportJson
from evergreen.store.records import drift_report as table


def find_drift_report(engine: sa.Engine, use_case: str, as_of: datetime) -> DriftReport | None:
    """The report of exactly that moment, if there is one."""
    row = table.find_report(engine, use_case, as_of)
    return None if row is None else _parse_report(row)


def save_drift_report(engine: sa.Engine, report: DriftReport) -> DriftReport:
    """Write a report; return the one that stands for its moment."""
    return _parse_report(table.save_report(engine, _build_row(report)))


def save_quality(engine: sa.Engine, report: DriftReport, quality: Quality) -> DriftReport:
    """Add the quality of the answers to a report that stands, and return the whole."""
    table.add_to_report(engine, _build_row(report), "quality", quality.to_json())
    return report.add_quality(quality)


def find_decision(engine: sa.Engine, use_case: str, as_of: datetime) -> Decision | None:
    """The decision of exactly that moment, if there is one."""
    row = table.find_decision(engine, use_case, as_of)
    return None if row is None else Decision(row.retrain, row.reason, row.drift_report_id)


def save_decision(engine: sa.Engine, report: DriftReport, decision: Decision) -> Decision:
    """Write the decision that was taken on a report; return the one that stands for the report's moment."""
    row = table.save_decision(
        engine,
        table.Decision(
            id=table.compute_decision_id(report.use_case, report.as_of),
            use_case=report.use_case,
            as_of=report.as_of,
            retrain=decision.retrain,
            reason=decision.reason,
            drift_report_id=compute_report_id(report),
            created_at=datetime.now(UTC),
        ),
    )
    return Decision(row.retrain, row.reason, row.drift_report_id)


def find_last_retrain_time(engine: sa.Engine, use_case: str, before: datetime) -> datetime | None:
    """The moment (aware UTC) of the last decision to retrain before another moment."""
    row = table.find_last_retrain(engine, use_case, before=before)
    return None if row is None else row.as_of


def compute_report_id(report: DriftReport) -> str:
    """The id of a report, a UUIDv5 of its use case and moment."""
    return table.compute_report_id(report.use_case, report.as_of)


def _build_row(report: DriftReport) -> table.DriftReport:
    return table.DriftReport(
        id=compute_report_id(report),
        use_case=report.use_case,
        as_of=report.as_of,
        model_version=report.model_version,
        window_start=report.window_start,
        window_end=report.window_end,
        row_count=report.rows,
        drifted=report.drifted,
        report={**report.to_json()},
    )


def _parse_report(row: table.DriftReport) -> DriftReport:
    document = cast("ReportJson", row.report)
    quality = document.get("quality")
    return DriftReport(
        use_case=row.use_case,
        as_of=row.as_of,
        model_version=row.model_version,
        window_start=row.window_start,
        window_end=row.window_end,
        rows=row.row_count,
        drifted=row.drifted,
        reason=document["reason"],
        features=tuple(FeatureDrift.from_json(feature) for feature in document["features"]),
        quality=None if quality is None else Quality.from_json(quality),
    )
