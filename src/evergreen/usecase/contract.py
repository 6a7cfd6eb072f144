"""The data contract of a view or the label, beyond the types and domains that its features declare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from evergreen.errors import UseCaseError
from evergreen.usecase.functions import FromFunction
from evergreen.usecase.names import Severity, check_name


@dataclass(frozen=True)
class Rule(FromFunction):
    """A cross-column rule: a function named after the rule whose parameters are columns of one view.

    It takes NumPy arrays of one length, as on-demand features do (float64 with NaN, objects of str or None),
    and returns booleans, True where the row obeys the rule. The first line of its docstring says what must
    hold.
    """

    function: Callable[..., Any]
    severity: Severity = "error"

    def __post_init__(self) -> None:
        check_name(self.name, "rule")


@dataclass(frozen=True)
class Freshness:
    """The newest event time of an ingest is at most `within` before the moment of the ingest."""

    within: timedelta
    severity: Severity = "warning"


@dataclass(frozen=True)
class RowCount:
    """An ingest brings between `least` and `most` times the median row count of the last loaded runs."""

    least: float = 0.5
    most: float = 2.0
    severity: Severity = "warning"

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most:
            raise UseCaseError(
                f"RowCount(least={self.least:g}, most={self.most:g}) allows nothing",
                hint="give shares of the usual count, such as least=0.5, most=2.0",
            )


@dataclass(frozen=True)
class Reference:
    """Each key is also in the view `view`: in the store, or in the same ingest."""

    view: str
    severity: Severity = "error"


@dataclass(frozen=True)
class Contract:
    """What the rows of an ingest of one view (or the label) must satisfy.

    `max_rejected_share` above 0 allows partial loads: rows that break a row-level check (a type, a domain, a
    required value, a rule) go to the table `quarantine` and the others are loaded, as long as no larger share
    of the rows is rejected. At 0 a single such row stops the load.
    """

    rules: tuple[Rule, ...] = ()
    freshness: Freshness | None = None
    row_count: RowCount | None = None
    references: tuple[Reference, ...] = ()
    max_rejected_share: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.max_rejected_share <= 1:
            raise UseCaseError(
                f"max_rejected_share is {self.max_rejected_share:g}", hint="give a share between 0 and 1"
            )
