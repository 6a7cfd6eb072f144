"""All that the governor knows when it decides: plain values, so that a decision can be repeated from its
record, and a past that never ran can be decided on as well.

All moments are aware UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

DriftSeverity = Literal["none", "warning", "drift", "unknown"]
# What became of a decision to retrain.
Outcome = Literal["running", "promoted", "rejected", "failed", "unknown"]


@dataclass(frozen=True)
class DriftEvidence:
    """The drift of the latest check against the champion's reference profile.

    `reason` says it in words. `rows` are the predictions of its window. `breaches` is the number of checks in
    succession, this one included, that found drift; `since` is the start of the window of the first of them.
    """

    severity: DriftSeverity
    reason: str
    rows: int
    breaches: int = 0
    since: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """The evidence as a decision keeps it."""
        return {**vars(self), "since": _write_moment(self.since)}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> DriftEvidence:
        """What `to_json` wrote."""
        return DriftEvidence(**{**document, "since": _read_moment(document["since"])})


@dataclass(frozen=True)
class QualityPoint:
    """The mean of a metric over rows with outcomes.

    `start` (exclusive) and `end` bound the event times of the rows; `deviation` is the standard deviation of
    the metric over single rows, so that the mean's standard error is deviation / sqrt(rows). `expected` is
    the value that the model's own probabilities lead one to expect on the same rows; None where that is not
    estimated.
    """

    start: datetime
    end: datetime
    rows: int
    value: float
    deviation: float
    expected: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The point as a decision keeps it."""
        return {**vars(self), "start": _write_moment(self.start), "end": _write_moment(self.end)}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> QualityPoint:
        """What `to_json` wrote."""
        bounds = {name: datetime.fromisoformat(document[name]) for name in ("start", "end")}
        return QualityPoint(**{**document, **bounds})


@dataclass(frozen=True)
class RealisedEvidence:
    """What the champion's answers were worth, as far as outcomes are known.

    `metric` is the mean of a value per row, such as accuracy, log_loss, brier or mae. `reference` is the
    champion's own value on rows that it did not learn from, at its training; None where there were too few.
    `points` are the rows whose
    outcomes were learned between one check and the next, one point each, oldest first, since the champion is
    in service.
    """

    metric: str
    less_is_better: bool
    reference: QualityPoint | None
    points: tuple[QualityPoint, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The evidence as a decision keeps it."""
        return {
            "metric": self.metric,
            "less_is_better": self.less_is_better,
            "reference": self.reference.to_json() if self.reference else None,
            "points": [point.to_json() for point in self.points],
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> RealisedEvidence:
        """What `to_json` wrote."""
        reference = document["reference"]
        return RealisedEvidence(
            metric=document["metric"],
            less_is_better=document["less_is_better"],
            reference=QualityPoint.from_json(reference) if reference else None,
            points=tuple(map(QualityPoint.from_json, document["points"])),
        )


@dataclass(frozen=True)
class EstimatedEvidence:
    """The champion's estimated quality on recent predictions, whose outcomes are not known yet.

    `low` and `high` bound the band of the estimate, `reference` is the metric's value at the training.
    `trusted` says whether earlier estimates were right, `trust_reason` why. `breaches` is the number of
    checks in succession, this one included, whose band lies beyond the smallest drop that counts.
    """

    metric: str
    less_is_better: bool
    value: float
    low: float
    high: float
    reference: float
    rows: int
    trusted: bool
    trust_reason: str = ""
    breaches: int = 0

    def to_json(self) -> dict[str, Any]:
        """The evidence as a decision keeps it."""
        return dict(vars(self))

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> EstimatedEvidence:
        """What `to_json` wrote."""
        return EstimatedEvidence(**document)


@dataclass(frozen=True)
class PastRetrain:
    """An earlier decision to retrain, what triggered it, and what became of it. `drift_since` is when the
    change began that it answered; None where none showed."""

    as_of: datetime
    trigger: str
    outcome: Outcome = "unknown"
    drift_since: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """The retrain as a decision keeps it."""
        moments = {"as_of": self.as_of.isoformat(), "drift_since": _write_moment(self.drift_since)}
        return {**vars(self), **moments}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> PastRetrain:
        """What `to_json` wrote."""
        moments = {name: _read_moment(document.get(name)) for name in ("as_of", "drift_since")}
        return PastRetrain(**{**document, **moments})


@dataclass(frozen=True)
class LabelCounts:
    """Labelled rows as known at the moment of the decision.

    `known` are all. `new` are those that the champion's training did not see. `oldest` and `newest` are the
    event times of the oldest and the newest. Of the rows since the change began that the last promoted
    retrain answered, `training` were known at the champion's training, and `available` are by now. None where
    it is not known.
    """

    known: int | None = None
    new: int | None = None
    oldest: datetime | None = None
    newest: datetime | None = None
    training: int | None = None
    available: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The counts as a decision keeps them."""
        moments = {"oldest": _write_moment(self.oldest), "newest": _write_moment(self.newest)}
        return {**vars(self), **moments}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> LabelCounts:
        """What `to_json` wrote."""
        moments = {name: _read_moment(document.get(name)) for name in ("oldest", "newest")}
        return LabelCounts(**{**document, **moments})


@dataclass(frozen=True)
class GovernorInputs:
    """Everything that one decision rests on.

    `champion` is the version in service, 0 for none; `trained_at` the moment as of which it was trained,
    `promoted_at` when it became champion. `trained_since` is the start of its training window, None for all
    rows. `drift`, `realised` and `estimated` are None where nothing was measured. `predictions_per_day` is
    the recent traffic. `new_rows` says whether an ingest has loaded rows since the last decision,
    `scheduled` whether a schedule outside of the policy asks for a retrain.
    `manual_reason` is why a person asks for a retrain; "" where nobody does. `running_since` is when a
    training that has not ended was started. `retrains` are earlier decisions to retrain, oldest first, over
    a week at least and back to the last promotion.
    """

    as_of: datetime
    champion: int
    trained_at: datetime | None = None
    promoted_at: datetime | None = None
    trained_since: datetime | None = None
    drift: DriftEvidence | None = None
    realised: RealisedEvidence | None = None
    estimated: EstimatedEvidence | None = None
    labels: LabelCounts = LabelCounts()
    predictions_per_day: float | None = None
    new_rows: bool = False
    scheduled: bool = False
    manual_reason: str = ""
    running_since: datetime | None = None
    retrains: tuple[PastRetrain, ...] = ()

    @property
    def change_since(self) -> datetime | None:
        """When the change began that the last promoted retrain answered; None without any."""
        promoted = [retrain for retrain in self.retrains if retrain.outcome == "promoted"]
        return promoted[-1].drift_since if promoted else None

    def to_json(self) -> dict[str, Any]:
        """The inputs as a decision keeps them."""
        return {field.name: _write_value(getattr(self, field.name)) for field in fields(self)}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> GovernorInputs:
        """What `to_json` wrote; fields of later versions are ignored, missing ones take their defaults."""
        readers: dict[str, Callable[[Any], Any]] = {
            **dict.fromkeys(_MOMENTS, _read_moment),
            "drift": DriftEvidence.from_json,
            "realised": RealisedEvidence.from_json,
            "estimated": EstimatedEvidence.from_json,
            "labels": LabelCounts.from_json,
            "retrains": lambda rows: tuple(map(PastRetrain.from_json, rows)),
        }
        names = {field.name for field in fields(GovernorInputs)} & set(document)
        values = {
            name: readers[name](document[name])
            if name in readers and document[name] is not None
            else document[name]
            for name in names
        }
        return GovernorInputs(**values)


_MOMENTS = ("as_of", "trained_at", "promoted_at", "trained_since", "running_since")


def _write_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return _write_moment(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [item.to_json() for item in value]
    return value.to_json() if hasattr(value, "to_json") else value


def _write_moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _read_moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
