"""The window of a training: how far back its rows reach, as a training run keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from evergreen.documents import JsonObject, read_document, write_document


@dataclass(frozen=True)
class WindowTrial:
    """One window that was tried: `rows` before the validation tail, and the loss there of a model that was
    fitted on them; None where it was not fitted, for the `remark`."""

    name: str
    start: datetime | None = None
    rows: int = 0
    loss: float | None = None
    remark: str = ""


@dataclass(frozen=True)
class TrainingWindow:
    """Rows with an event time after `start` (aware UTC; None for all rows). `trials` are the windows among
    which it was chosen on a validation tail, itself included; () where it was declared."""

    name: str
    start: datetime | None
    trials: tuple[WindowTrial, ...] = field(default=())

    def describe(self) -> str:
        """The window in words, such as "the last 90 days (since 2026-04-02), of 3 tried"."""
        since = f" (since {self.start:%Y-%m-%d})" if self.start else ""
        trial_count = sum(trial.loss is not None for trial in self.trials)
        return f"{self.name}{since}" + (f", of {trial_count} tried" if trial_count else "")

    def to_json(self) -> JsonObject:
        """The document of the column `training_run.training_window`."""
        return write_document(self)

    @staticmethod
    def from_json(document: object) -> TrainingWindow:
        """What `to_json` wrote."""
        return read_document(TrainingWindow, document)


@dataclass(frozen=True)
class WindowPlan:
    """What a decision allows: windows, the longest first, and the share of the newest rows to validate them
    on.

    `drift_since` is when the change began that the training is to answer, None where none shows: at most the
    newest half of the rows since then are validated on.
    """

    candidates: tuple[WindowTrial, ...]
    validation_share: float
    drift_since: datetime | None = None

    @staticmethod
    def from_json(document: object) -> WindowPlan:
        """The window of a decision's record, whose candidates have a name and a start."""
        return read_document(WindowPlan, document)
