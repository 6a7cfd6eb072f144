"""The parts of a check's document. Moments are aware UTC; shares lie between 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class FeaturePart:
    """One feature of the predictions in the window against the reference.

    `kind` is "numeric" or "category"; `bins` are readable names, `reference` and `current` rows by bin.
    Numbers have `edges` between their bins, the missing values' bin left out; () where they are not known.
    `limit` is the PSI from which the policy calls drift, `chance` the PSI that the reference itself may show
    in as many rows. `missing` and `unseen` are shares (reference, current): of rows without a value and of
    names outside the reference's. `timeline` has the PSI in each of the document's periods, None where there
    are too few rows; `since` is when the drift that is still there began.
    """

    feature: str
    kind: str
    severity: str
    psi: float | None
    limit: float
    chance: float | None = 0.0
    meaning: str = ""
    p_value: float | None = None
    js_distance: float | None = None
    missing: tuple[float, float] | None = None
    unseen: tuple[float, float] | None = None
    bins: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    reference: tuple[int, ...] = ()
    current: tuple[int, ...] = ()
    timeline: tuple[float | None, ...] = ()
    since: datetime | None = None
    reason: str = ""


@dataclass(frozen=True)
class SliceFeature:
    """What one feature of a slice shows."""

    feature: str
    psi: float
    severity: str


@dataclass(frozen=True)
class SlicePart:
    """A declared slice, `name` as "feature=value": its predictions, its severity, the features that moved
    most, and its realised quality with the ends of the interval, None where no outcome is known."""

    name: str
    rows: int
    severity: str
    features: tuple[SliceFeature, ...] = ()
    value: float | None = None
    low: float | None = None
    high: float | None = None
    outcomes: int = 0
    reason: str = ""


@dataclass(frozen=True)
class QualityPoint:
    """The metric over the stretch of time from `start` to `end`, of the answers of one version.

    `low` and `high` are the ends of its interval, None where there is none.
    """

    start: datetime
    end: datetime
    value: float
    low: float | None
    high: float | None
    rows: int
    version: int


@dataclass(frozen=True)
class QualityPart:
    """How good the answers were: `realised` where outcomes are known, `estimated` without them.

    `value` with its interval is that of this check, `estimate` likewise. `holdout` is what the champion
    reached on its hold-out; `trusted` is whether the estimate has been right before, None where nobody can
    say, and `trust` says so in words. `orphans` are outcomes without a prediction.
    """

    metric: str
    less_is_better: bool
    reason: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    rows: int = 0
    predictions: int = 0
    estimate: float | None = None
    estimate_low: float | None = None
    estimate_high: float | None = None
    estimate_rows: int = 0
    holdout: float | None = None
    trusted: bool | None = None
    trust: str = ""
    realised: tuple[QualityPoint, ...] = ()
    estimated: tuple[QualityPoint, ...] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    orphans: int | None = None


@dataclass(frozen=True)
class CheckPoint:
    """A check of the past month: what it said and what was decided. `retrain` is None where nothing was."""

    as_of: datetime
    severity: str
    version: int
    retrain: bool | None
    largest_psi: float | None
    reason: str = ""


@dataclass(frozen=True)
class Finding:
    """Something about data or service: `severity` is "none", "warning", "failed" or "unknown"."""

    subject: str
    severity: str
    text: str


@dataclass(frozen=True)
class PolicyCheck:
    """One rule of the policy, as `monitoring.governor.answer.GovernorCheck` has it.

    `kind` is "trigger" (a reason to retrain) or "limit" (a reason not to); `value` and `limit` are words with
    units.
    """

    name: str
    kind: str
    result: str
    reason: str
    value: str = ""
    limit: str = ""


@dataclass(frozen=True)
class DecisionPart:
    """Whether to retrain, what started it ("" for nothing), and each rule of the policy.

    `window` is which rows a training would take, in words; `inputs` are the values that were weighed, as text
    by name.
    """

    retrain: bool
    reason: str
    trigger: str = ""
    window: str = ""
    checks: tuple[PolicyCheck, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AlertLine:
    """An alert of this check: to whom it went and what became of it ("sent", "failed", "repeated")."""

    moment: datetime
    kind: str
    target: str
    outcome: str
    text: str
