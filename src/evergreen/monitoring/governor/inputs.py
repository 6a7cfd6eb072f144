"""All that the governor knows when it decides: plain values, so that a decision can be repeated from its
record, and a past that never ran can be decided on as well.

All moments are aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from evergreen.documents import JsonObject, read_document, write_document

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


@dataclass(frozen=True)
class PastRetrain:
    """An earlier decision to retrain, what triggered it, and what became of it. `drift_since` is when the
    change began that it answered; None where none showed."""

    as_of: datetime
    trigger: str
    outcome: Outcome = "unknown"
    drift_since: datetime | None = None


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


@dataclass(frozen=True)
class GovernorInputs:
    """Everything that one decision rests on.

    `champion` is the version in service, 0 for none; `trained_at` the moment as of which it was trained,
    `promoted_at` when it became champion. `trained_since` is the start of its training window, None for all
    rows. `drift`, `realised` and `estimated` are None where nothing was measured. `predictions_per_day` is
    the recent traffic. `new_rows` says whether an ingest has loaded rows since the last decision to retrain,
    `scheduled` whether a schedule outside of the policy asks for a retrain. `manual_reason` is why a person
    asks for a retrain; "" where nobody does. `running_since` is when a retraining that has not ended was
    started, or decided on, and `running_reason` how it stands. `retrains` are decisions to retrain, oldest
    first: over a week at least and back to the last promotion, and those as of moments after `as_of`.
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
    running_reason: str = ""
    retrains: tuple[PastRetrain, ...] = ()

    @property
    def change_since(self) -> datetime | None:
        """When the change began that the last promoted retrain answered; None without any."""
        promoted = [retrain for retrain in self.retrains if retrain.outcome == "promoted"]
        return promoted[-1].drift_since if promoted else None

    def to_json(self) -> JsonObject:
        """The inputs as a decision keeps them."""
        return write_document(self)

    @staticmethod
    def from_json(document: object) -> GovernorInputs:
        """What `to_json` wrote; fields of later versions are ignored, missing ones take their defaults."""
        return read_document(GovernorInputs, document)
