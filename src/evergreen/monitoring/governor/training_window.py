"""The training windows that a retrain may choose among."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from evergreen.documents import JsonObject, read_document, write_document
from evergreen.usecase import RetrainPolicy


@dataclass(frozen=True)
class TrainingWindow:
    """Training rows with an event time after `start` (aware UTC; None for all rows), named for people."""

    name: str
    start: datetime | None = None


@dataclass(frozen=True)
class WindowPlan:
    """The windows that a retrain chooses among, the longest first.

    With one candidate there is nothing to choose. With several, each is fitted without the newest rows, the
    one with the smallest loss on these is chosen, and the model is fitted again on all of its rows. These
    newest rows are `validation_share` of the smallest candidate. `drift_since` is when the change began that
    the retrain answers, None where none shows: at most half of the rows since then are validated on.
    """

    candidates: tuple[TrainingWindow, ...]
    validation_share: float = 0.2
    drift_since: datetime | None = None

    def to_json(self) -> JsonObject:
        """The plan as a decision keeps it."""
        return write_document(self)

    @staticmethod
    def from_json(document: object) -> WindowPlan:
        """What `to_json` wrote."""
        return read_document(WindowPlan, document)


ALL_ROWS = TrainingWindow("all")


def plan_training_window(
    policy: RetrainPolicy, as_of: datetime, drift_since: datetime | None, history_start: datetime | None
) -> WindowPlan:
    """The windows that the policy allows as of a moment.

    `drift_since` is when drift or drop began, None where neither shows; `history_start` is the event time of
    the oldest labelled row, None where it is not known. A candidate that reaches back beyond it is the same
    as "all", and left out.
    """
    share = policy.validation_share
    if policy.fixed_window is not None:
        return WindowPlan((_build_last(policy.fixed_window, as_of),), share, drift_since)
    since = () if drift_since is None else (TrainingWindow("since the drift began", drift_since),)
    if policy.window == "since_drift":
        return WindowPlan(since or (ALL_ROWS,), share, drift_since)
    if policy.window != "validated":
        return WindowPlan((ALL_ROWS,), share, drift_since)
    windows = [*(_build_last(duration, as_of) for duration in policy.candidate_windows), *since]
    return WindowPlan((ALL_ROWS, *_select_distinct(windows, history_start)), share, drift_since)


def _build_last(duration: timedelta, as_of: datetime) -> TrainingWindow:
    days = duration.total_seconds() / 86_400
    return TrainingWindow(f"the last {days:g} days", as_of - duration)


def _select_distinct(
    windows: Sequence[TrainingWindow], history_start: datetime | None
) -> list[TrainingWindow]:
    by_start = {
        window.start: window
        for window in windows
        if window.start is not None and (history_start is None or window.start > history_start)
    }
    return [by_start[start] for start in sorted(by_start)]
