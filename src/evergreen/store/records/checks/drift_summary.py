"""The latest drift report in short, for overviews."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from evergreen.documents import JsonObject, write_document
from evergreen.store.records.checks.drift import Quality, find_latest_report
from evergreen.store.records.checks.drift_evidence import RefusedShare
from evergreen.store.records.checks.drift_metric import Severity


@dataclass(frozen=True)
class DriftSummary:
    """A drift report in short, for overviews. Moments are aware UTC."""

    as_of: datetime
    model_version: int
    drifted: bool | None
    reason: str
    predictions: int
    window_start: datetime
    features_drifted: int
    features: int
    largest_psi: Mapping[str, float]
    quality: Quality | None
    refused: tuple[RefusedShare, ...] = ()
    severity: Severity = "none"
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """The fields by their names, the quality as a report has it."""
        return {**write_document(self), "quality": self.quality.to_json() if self.quality else None}


def describe_latest_drift(engine: sa.Engine, use_case_name: str) -> DriftSummary | None:
    """The latest drift report in short; None before the first."""
    report = find_latest_report(engine, use_case_name)
    if report is None:
        return None
    return DriftSummary(
        as_of=report.as_of,
        model_version=report.model_version,
        drifted=report.drifted,
        reason=report.reason,
        predictions=report.row_count,
        window_start=report.window_start,
        features_drifted=sum(feature.drifted for feature in report.features),
        features=len(report.features),
        largest_psi=report.largest_psi,
        quality=report.quality,
        refused=report.refused,
        severity=report.severity,
        warnings=report.warnings,
        notes=report.notes,
    )
