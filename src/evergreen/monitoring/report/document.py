"""The document of a check: what a report's page draws, `--json` prints and MLflow keeps.

Its parts that are no longer than a table's row are in `document_parts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from evergreen.monitoring.report.document_parts import (
    AlertLine,
    CheckPoint,
    DecisionPart,
    FeaturePart,
    Finding,
    QualityPart,
    SlicePart,
)
from evergreen.monitoring.report.encoding import encode, parse_moment, parse_moments
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

    def to_json(self) -> dict[str, Any]:
        """The document as JSON: the names of the fields, moments in ISO 8601, only finite numbers."""
        document: dict[str, Any] = encode(self)
        return document

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CheckReport:
        """What `to_json` returned; names that this version does not know are left out. Raises KeyError."""
        known = {each.name: data[each.name] for each in fields(cls) if each.name in data}
        for name in ("as_of", "window_start", "window_end"):
            known[name] = datetime.fromisoformat(data[name])
        for name in ("since", "promoted_at"):
            known[name] = parse_moment(data.get(name))
        known |= {
            "features": tuple(map(FeaturePart.from_json, data.get("features", ()))),
            "prediction": FeaturePart.from_json(data["prediction"]) if data.get("prediction") else None,
            "slices": tuple(map(SlicePart.from_json, data.get("slices", ()))),
            "refused": tuple(map(RefusedShare.from_json, data.get("refused", ()))),
            "quality": QualityPart.from_json(data["quality"]) if data.get("quality") else None,
            "periods": parse_moments(data.get("periods", ())),
            "period_rows": tuple(data.get("period_rows", ())),
            "checks": tuple(map(CheckPoint.from_json, data.get("checks", ()))),
            "health": tuple(map(Finding.from_json, data.get("health", ()))),
            "decision": DecisionPart.from_json(data["decision"]) if data.get("decision") else None,
            "alerts": tuple(map(AlertLine.from_json, data.get("alerts", ()))),
            "notes": tuple(data.get("notes", ())),
        }
        return cls(**known)
