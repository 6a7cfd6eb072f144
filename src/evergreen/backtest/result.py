"""The result of a backtest as a document: what a page draws, `--json` prints, and a benchmark reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

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

    `value` is the gate's metric over all requests of the backtest, `metrics` are all metrics of the problem
    that are defined there. `gain` is (value - never) / (every check - never): 0 is as good as never
    retraining, 1 as good as retraining at every check; None where the latter is no better, or one is missing.
    `retrains` leaves out the first model, which all policies share. `fits` is how many different training
    sets it fitted; `cpu_seconds` is the processor time of its retrains, each in full, also where an equal
    training set had been fitted before. `curve` has the metric in each of the result's `periods`, None where
    it is undefined there.
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

    def to_json(self) -> dict[str, Any]:
        """The document as JSON: the names of the fields, moments in ISO 8601."""
        document: dict[str, Any] = _encode(asdict(self))
        return document

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BacktestResult:
        """What `to_json` returned; names that this version does not know are left out. Raises KeyError."""
        known = _select_fields(cls, data)
        known |= {
            "start": datetime.fromisoformat(data["start"]),
            "end": datetime.fromisoformat(data["end"]),
            "periods": _parse_moments(data["periods"]),
            "period_rows": tuple(data["period_rows"]),
            "policies": tuple(_parse_policy(each) for each in data["policies"]),
            "recommendation": Recommendation(**_select_fields(Recommendation, data["recommendation"])),
            "notes": tuple(data.get("notes", ())),
        }
        return cls(**known)


def _parse_policy(data: Mapping[str, Any]) -> PolicyOutcome:
    known = _select_fields(PolicyOutcome, data)
    known |= {
        "curve": tuple(data["curve"]),
        "retrained_at": _parse_moments(data["retrained_at"]),
        "decisions": tuple(_parse_decision(each) for each in data["decisions"]),
    }
    return PolicyOutcome(**known)


def _parse_decision(data: Mapping[str, Any]) -> DecisionLine:
    known = _select_fields(DecisionLine, data)
    return DecisionLine(**(known | {"moment": datetime.fromisoformat(data["moment"])}))


def _parse_moments(texts: list[str]) -> tuple[datetime, ...]:
    return tuple(datetime.fromisoformat(text) for text in texts)


def _select_fields(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: data[field.name] for field in fields(kind) if field.name in data}


def _encode(value: Any) -> Any:
    """Mappings, sequences and moments as JSON has them."""
    if isinstance(value, Mapping):
        return {str(name): _encode(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
