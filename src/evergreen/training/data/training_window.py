"""The window of a training: how far back its rows reach, as a training run keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from evergreen.store.connection.json_columns import JsonObject


@dataclass(frozen=True)
class WindowTrial:
    """One window that was tried: `rows` before the validation tail, and the loss there of a model that was
    fitted on them; None where it was not fitted, for the `remark`."""

    name: str
    start: datetime | None
    rows: int = 0
    loss: float | None = None
    remark: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields by name, the moment as ISO 8601 text."""
        return {**vars(self), "start": self.start.isoformat() if self.start else None}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> WindowTrial:
        """What `to_json` wrote, or a window of a decision's plan, which has a name and a start."""
        start = document.get("start")
        return WindowTrial(**{**document, "start": datetime.fromisoformat(start) if start else None})


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
        tried = sum(trial.loss is not None for trial in self.trials)
        return f"{self.name}{since}" + (f", of {tried} tried" if tried else "")

    def to_json(self) -> dict[str, Any]:
        """The document of the column `training_run.training_window`."""
        return {
            "name": self.name,
            "start": self.start.isoformat() if self.start else None,
            "trials": [trial.to_json() for trial in self.trials],
        }

    @staticmethod
    def from_json(document: JsonObject) -> TrainingWindow:
        """What `to_json` wrote."""
        start = document["start"]
        return TrainingWindow(
            document["name"],
            datetime.fromisoformat(start) if start else None,
            tuple(map(WindowTrial.from_json, document.get("trials", ()))),
        )


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
    def from_json(document: JsonObject) -> WindowPlan:
        """The window of a decision's record."""
        since = document.get("drift_since")
        return WindowPlan(
            tuple(map(WindowTrial.from_json, document["candidates"])),
            float(document["validation_share"]),
            datetime.fromisoformat(since) if since else None,
        )
