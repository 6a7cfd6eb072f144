"""What a drift report keeps beside its features: rows that were refused, and drift of all inputs together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evergreen.store.records.checks.drift_metric import Severity

_MOST_TOLD = 3


@dataclass(frozen=True)
class RefusedShare:
    """Rows of requests that were refused for one fault of one field.

    `share` is theirs among the rows that were answered or refused for this fault. `field` is "" for a fault
    of the whole row; `kind` is pydantic's type of the fault. `severity` is by the policy's limits; "none" in
    reports of versions that judged no shares.
    """

    field: str
    kind: str
    rows: int
    share: float
    severity: Severity = "none"


@dataclass(frozen=True)
class MultivariateDrift:
    """How well a classifier tells the rows of a window from earlier ones.

    `auc` is the area under its ROC curve on rows it was not fitted on (0.5: the rows cannot be told apart),
    with its confidence interval from `low` to `high`; None where there were too few rows. `rows_before` and
    `rows_now` are the rows of the sample. `features` are those by which the classifier tells them apart, the
    most important first. `reason` says it in words.
    """

    auc: float | None
    low: float | None
    high: float | None
    rows_before: int
    rows_now: int
    severity: Severity
    reason: str
    features: tuple[str, ...] = ()


def join_warnings(warnings: Sequence[str]) -> str:
    """The first of some warnings as the end of a sentence; "" without any."""
    if not warnings:
        return ""
    others = len(warnings) - _MOST_TOLD
    first_warnings = ", ".join(warnings[:_MOST_TOLD])
    return f"; warning: {first_warnings}" + (f", and {others} more" if others > 0 else "")
