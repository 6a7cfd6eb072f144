"""What monitoring measures: the drift report with its features, and the quality of the answers.

Each has its JSON form beside it, as it is kept in the column `drift_report.report`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

# What answers are judged by: `accuracy` of classes, the two errors of numbers.
METRICS = ("accuracy", "mae", "rmse")
# How many features `DriftReport.largest_psi` names.
_LARGEST = 5


class FeatureDriftDocument(TypedDict):
    """A `FeatureDrift` as JSON."""

    feature: str
    psi: float
    chance: float
    level: str
    drifted: bool
    bins: list[str]
    reference: list[int]
    current: list[int]


class QualityDocument(TypedDict, total=False):
    """A `Quality` as JSON: of the metrics `accuracy`, or `mae` and `rmse`."""

    predictions: int
    labelled: int
    accuracy: float | None
    mae: float | None
    rmse: float | None
    prediction_psi: float | None
    answers: dict[str, float]
    reason: str


class DriftReportDocument(TypedDict, total=False):
    """The column `drift_report.report`; `quality` is there once it has been measured."""

    reason: str
    features: list[FeatureDriftDocument]
    quality: QualityDocument


@dataclass(frozen=True)
class FeatureDrift:
    """The drift of one feature between its reference and the current rows.

    `psi` is the population stability index (PSI, see `monitoring.psi`) in nats, `chance` the PSI that chance
    alone may bring, `level` "stable", "moderate" or "major". `reference` and `current` are the counts of rows
    by bin, in the order of the names in `bins`.
    """

    feature: str
    psi: float
    chance: float
    level: str
    drifted: bool
    bins: tuple[str, ...]
    reference: tuple[int, ...]
    current: tuple[int, ...]

    def to_json(self) -> FeatureDriftDocument:
        """The feature's entry in `drift_report.report`."""
        return FeatureDriftDocument(
            feature=self.feature,
            psi=self.psi,
            chance=self.chance,
            level=self.level,
            drifted=self.drifted,
            bins=list(self.bins),
            reference=list(self.reference),
            current=list(self.current),
        )

    @classmethod
    def from_json(cls, document: FeatureDriftDocument) -> FeatureDrift:
        """The inverse of `to_json`; reports of earlier versions may lack fields."""
        return cls(
            feature=document["feature"],
            psi=document["psi"],
            chance=document.get("chance", 0.0),
            level=document.get("level", ""),
            drifted=document.get("drifted", False),
            bins=tuple(document.get("bins", ())),
            reference=tuple(document.get("reference", ())),
            current=tuple(document.get("current", ())),
        )


@dataclass(frozen=True)
class Quality:
    """What a champion's online answers were worth, as far as their outcomes are known.

    `predictions` were logged in the report's window; `labelled` answers of any time had their outcome learned
    lately. `metrics` are over the labelled ones: "accuracy" of classes, "mae" and "rmse" of numbers, None
    without labelled answers. `prediction_psi` compares the window's answers with those on the hold-out, None
    where there are too few. `answers` has the share of each class, or the mean. `reason` says it in words.
    """

    predictions: int
    labelled: int
    metrics: Mapping[str, float | None]
    prediction_psi: float | None
    answers: Mapping[str, float]
    reason: str

    def to_json(self) -> QualityDocument:
        """The entry `quality` in `drift_report.report`."""
        document = QualityDocument(predictions=self.predictions, labelled=self.labelled)
        if "accuracy" in self.metrics:
            document["accuracy"] = self.metrics["accuracy"]
        if "mae" in self.metrics:
            document["mae"] = self.metrics["mae"]
        if "rmse" in self.metrics:
            document["rmse"] = self.metrics["rmse"]
        document["prediction_psi"] = self.prediction_psi
        document["answers"] = dict(self.answers)
        document["reason"] = self.reason
        return document

    @classmethod
    def from_json(cls, document: QualityDocument) -> Quality:
        """The inverse of `to_json`."""
        metrics = {
            "accuracy": document.get("accuracy"),
            "mae": document.get("mae"),
            "rmse": document.get("rmse"),
        }
        return cls(
            predictions=document["predictions"],
            labelled=document["labelled"],
            metrics={name: metrics[name] for name in METRICS if name in document},
            prediction_psi=document.get("prediction_psi"),
            answers=document.get("answers", {}),
            reason=document["reason"],
        )


@dataclass(frozen=True)
class DriftReport:
    """The comparison of the predictions of a window with the training data of a champion, as of a moment.

    `id` is derived from the use case and the moment. The window is (`window_start`, `window_end`]; moments
    are aware UTC. `row_count` predictions lie in it. `drifted` is None where there are too few for a verdict,
    and `reason` says it in words. `features` are in descending order of their PSI. `quality` is None until it
    has been measured.
    """

    id: str
    use_case: str
    as_of: datetime
    model_version: int
    window_start: datetime
    window_end: datetime
    row_count: int
    drifted: bool | None
    reason: str
    features: tuple[FeatureDrift, ...] = ()
    quality: Quality | None = None

    @property
    def largest_psi(self) -> Mapping[str, float]:
        """The PSI of the five features that drifted most, by name."""
        return {feature.feature: feature.psi for feature in self.features[:_LARGEST]}

    def to_json(self) -> DriftReportDocument:
        """The document for the column `drift_report.report`; the other fields have columns of their own."""
        document = DriftReportDocument(
            reason=self.reason, features=[feature.to_json() for feature in self.features]
        )
        if self.quality is not None:
            document["quality"] = self.quality.to_json()
        return document
