"""The result of a backtest as a document: what a page draws, `--json` prints, and a benchmark reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from evergreen.documents import JsonObject, write_document

FORMAT = 1

# How the time at which rows became known was told: by `ingested_at`, or by their event time and label delay.
Clock = Literal["ingested", "event"]
PolicyKind = Literal["declared", "given", "never", "fixed", "daily"]


@dataclass(frozen=True)
class DecisionLine:
    """One evaluation of a policy. `moment` is aware UTC, `reason` is "yes, because ..." or "no, because ...".

    `trigger` names what the policy acted on, "" where it did not; `window_days` is how far back the training
    rows reached, None for all of them or where nothing was trained; `rows` is how many there were.
    """

    moment: datetime
    retrain: bool
    trigger: str
    reason: str
    window_days: float | None = None
    rows: int | None = None


@dataclass(frozen=True)
class PolicyOutcome:
    """What one policy would have brought.

    `value` is the gate's metric over all requests of the backtest, NaN where it is undefined, `metrics` are
    all metrics of the problem that are defined there. `gain` is (value - never) / (every check - never): 0 is
    as good as never retraining, 1 as good as retraining at every check; None where the latter is no better,
    or one is missing. `retrains` leaves out the first model, which all policies share. `fits` is how many
    different training sets it fitted; `cpu_seconds` is the processor time of its retrains, each in full, also
    where an equal training set had been fitted before. `curve` has the metric in each of the result's
    `periods`, None where it is undefined there.
    `decisions` are in the order of time; `declaration` is the line that declares the policy, "" where there
    is none.
    """

    name: str
    title: str
    kind: PolicyKind
    declaration: str
    value: float
    metrics: Mapping[str, float]
    gain: float | None
    retrains: int
    fits: int
    cpu_seconds: float
    curve: tuple[float | None, ...]
    retrained_at: tuple[datetime, ...]
    decisions: tuple[DecisionLine, ...]


@dataclass(frozen=True)
class Recommendation:
    """The policy that the backtest would declare, the line that does so, and the reason in words."""

    policy: str
    declaration: str
    reason: str


@dataclass(frozen=True)
class BacktestResult:
    """A backtest of one use case. Moments are aware UTC.

    `periods` are the beginnings of the stretches of time (each until the next one, the last until `end`) that
    the curves show, `period_rows` the requests in each. `every_seconds` is the time between checks, `checks`
    their number. `parameters` are CatBoost's, the same in every fit; `parameters_source` says where they come
    from. `fits` counts the different training sets that were fitted for all policies together, `fits_shared`
    how many were spared because another policy had fitted the same rows; `cpu_seconds` is the processor time
    of the fits, `seconds` the wall time of the whole backtest, the interrupted ones before it included.
    `notes` are sentences about the data that a reader has to know.
    """

    use_case: str
    title: str
    problem: str
    metric: str
    less_is_better: bool
    start: datetime
    end: datetime
    every_seconds: float
    checks: int
    clock: Clock
    rows: int
    first_rows: int
    parameters: Mapping[str, float | str]
    parameters_source: str
    periods: tuple[datetime, ...]
    period_rows: tuple[int, ...]
    policies: tuple[PolicyOutcome, ...]
    recommendation: Recommendation
    fits: int
    fits_shared: int
    cpu_seconds: float
    seconds: float
    workers: int
    data_digest: str
    declaration_digest: str
    notes: tuple[str, ...] = ()
    format: int = FORMAT

    def find_policy(self, name: str) -> PolicyOutcome | None:
        """The outcome of the policy of that name, None where it was not replayed."""
        return next((each for each in self.policies if each.name == name), None)

    def to_json(self) -> JsonObject:
        """The document as JSON: the names of the fields, moments in ISO 8601, null for undefined values."""
        return write_document(self)
