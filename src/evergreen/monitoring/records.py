"""Drift reports in MariaDB: the documents of monitoring written to the table `drift_report` and read back.

There is one report for each use case and moment. A second one of the same moment is not written, and the one
that stands is returned.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import cast

import sqlalchemy as sa

from evergreen.monitoring.documents import DriftReport, DriftReportDocument, FeatureDrift, Quality
from evergreen.store.records import drift_report as table


def find_report(engine: sa.Engine, use_case: str, as_of: datetime) -> DriftReport | None:
    """The report of exactly that moment, if there is one."""
    row = table.find_report(engine, use_case, as_of)
    return None if row is None else _parse_report(row)


def save_report(engine: sa.Engine, report: DriftReport) -> DriftReport:
    """Write a report; return the one that stands for its moment."""
    return _parse_report(table.save_report(engine, _build_row(report)))


def add_quality(engine: sa.Engine, report: DriftReport, quality: Quality) -> DriftReport:
    """Add the quality of the answers to a report that stands, and return the whole."""
    table.add_to_report(engine, _build_row(report), "quality", quality.to_json())
    return replace(report, quality=quality)


def _build_row(report: DriftReport) -> table.DriftReport:
    return table.DriftReport(
        id=report.id,
        use_case=report.use_case,
        as_of=report.as_of,
        model_version=report.model_version,
        window_start=report.window_start,
        window_end=report.window_end,
        row_count=report.row_count,
        drifted=report.drifted,
        report={**report.to_json()},
    )


def _parse_report(row: table.DriftReport) -> DriftReport:
    document = cast("DriftReportDocument", row.report)
    quality = document.get("quality")
    return DriftReport(
        id=row.id,
        use_case=row.use_case,
        as_of=row.as_of,
        model_version=row.model_version,
        window_start=row.window_start,
        window_end=row.window_end,
        row_count=row.row_count,
        drifted=row.drifted,
        reason=document["reason"],
        features=tuple(FeatureDrift.from_json(feature) for feature in document["features"]),
        quality=None if quality is None else Quality.from_json(quality),
    )
