"""The document of a check: what a report's page draws, `--json` prints and MLflow keeps.

Its parts that are no longer than a table's row are in `document_parts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from evergreen.documents import JsonObject, read_document, write_document
from evergreen.monitoring.report.document_parts import (
    AlertLine,
    CheckPoint,
    DecisionPart,
    FeaturePart,
    Finding,
    QualityPart,
    SlicePart,
)
from evergreen.store.records.checks.drift_evidence import RefusedShare

FORMAT = 1


@dataclass(frozen=True)
class CheckReport:
    """One check of one use case. Moments are aware UTC.

    `check` is the id of its drift report, `severity` "none", "warning", "drift" or "unknown" (too few
    predictions for a verdict), `since` when the drift that is still there began, as far as the counts tell.
    `features` are in falling order of severity and PSI; `prediction` compares the model's answers, `answers`
    are the shares of the classes, or {"mean": value}. `periods` are the beginnings of the stretches of time
    of the time lines, `period_seconds` long each, `period_rows` their predictions. `checks` are this check
    and those of the month before it, the oldest first. `notes` are sentences that a reader has to know.
    """

    check: str
    use_case: str
    title: str
    problem: str
    as_of: datetime
    model_version: int
    window_start: datetime
    window_end: datetime
    rows: int
    severity: str
    reason: str
    since: datetime | None = None
    meaning: str = ""
    promoted_at: datetime | None = None
    features: tuple[FeaturePart, ...] = ()
    prediction: FeaturePart | None = None
    answers: Mapping[str, float] = field(default_factory=dict)
    slices: tuple[SlicePart, ...] = ()
    refused: tuple[RefusedShare, ...] = ()
    quality: QualityPart | None = None
    periods: tuple[datetime, ...] = ()
    period_seconds: float = 0.0
    period_rows: tuple[int, ...] = ()
    checks: tuple[CheckPoint, ...] = ()
    health: tuple[Finding, ...] = ()
    decision: DecisionPart | None = None
    alerts: tuple[AlertLine, ...] = ()
    notes: tuple[str, ...] = ()
    format: int = FORMAT

    @property
    def drifted_features(self) -> tuple[FeaturePart, ...]:
        """The features of severity "drift"."""
        return tuple(feature for feature in self.features if feature.severity == "drift")

    def to_json(self) -> JsonObject:
        """The document as JSON: the names of the fields, moments in ISO 8601, only finite numbers."""
        return write_document(self)

    @staticmethod
    def from_json(document: object) -> CheckReport:
        """What `to_json` returned, in this version or another one. Raises ValueError for anything else."""
        return read_document(CheckReport, document)
