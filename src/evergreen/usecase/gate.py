"""The gate: the checks that a newly trained model, the candidate, must pass to become champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evergreen.errors import UseCaseError
from evergreen.usecase.names import Problem, suggest_name

Approval = Literal["auto", "manual"]
Strictness = Literal["hard", "warn"]

# The metrics of each group of a slice; the limits of a slice that names no metric apply to the first.
SLICE_METRICS: dict[Problem, tuple[str, ...]] = {
    "binary": ("accuracy", "balanced_accuracy", "selection_rate", "precision", "recall"),
    "multiclass": ("accuracy", "balanced_accuracy"),
    "regression": ("mae", "mean_error"),
}

# The checks whose strictness a gate may declare, by their names in a verdict; "floors" stands for every
# "floor of METRIC" and "slices" for every "slices of FEATURE".
GATE_CHECKS = ("beats linear", "beats dummy", "floors", "calibration", "slices", "size", "latency", "replay")
FLOOR_PREFIX = "floor of "
SLICES_PREFIX = "slices of "


@dataclass(frozen=True)
class Floor:
    """The worst acceptable value of a metric: the least value, or the greatest where less is better."""

    metric: str
    value: float


@dataclass(frozen=True)
class Slice:
    """Groups of rows whose metrics are reported separately: by the values of a category, or by a number cut
    at `edges`.

    `sensitive` marks a feature by which people must not be treated differently. The gate checks that the
    groups' `metric` differs by `max_difference` at most, and that the smallest is at least `min_ratio` times
    the greatest; without limits the groups are only reported. "" means "accuracy", for regression "mae"; for
    two classes there is also "selection_rate", the share predicted as the last class. Small groups are
    reported, not judged.
    """

    feature: str
    edges: tuple[float, ...] = ()
    sensitive: bool = False
    max_difference: float | None = None
    min_ratio: float | None = None
    metric: str = ""

    def __post_init__(self) -> None:
        if list(self.edges) != sorted(set(self.edges)):
            raise UseCaseError(
                f"the slice of {self.feature!r} has the edges {self.edges}", hint="let them rise, each once"
            )


@dataclass(frozen=True)
class Gate:
    """The checks of a candidate; each passes, fails or warns, and only one that fails rejects the candidate.

    On `metric` it must beat the champion by `margin` on the same hold-out, and in a share `confidence` of the
    paired bootstrap resamples of it (Efron & Tibshirani, An Introduction to the Bootstrap, 1993). An equal
    model is not promoted, unless the margin is negative. It is compared with a linear baseline, which it
    should beat by `baseline_margin` (a negative one allows for the chance of a small hold-out), and with a
    dummy that uses no feature. Every floor must be reached. `calibration_error` limits the expected
    calibration error, `model_mb` the size of the file, `latency_ms` the median time for the prediction of one
    row; None sets no limit.

    The last `replay` logged requests are answered by candidate and champion; the share of changed answers is
    reported, and limited by `changed`. A predicted number has changed if it differs by more than a tenth of
    the standard deviation of the champion's answers.

    Whether a check that does not pass rejects the candidate or warns depends on the champion. If the champion
    is certainly beaten (in `confidence` of the resamples, whatever the margin), the baselines warn, a floor
    that the champion misses too warns, and a broken limit of slices, calibration, size or latency fails only
    where the candidate is worse than the champion. Without a champion the linear baseline warns. Everything
    else fails. A nearly perfect score warns that a feature may contain the label.

    `hard` names checks that always reject when they do not pass, `warn` those that only warn. A name is one
    of `GATE_CHECKS`, or a single check as in a verdict ("floor of recall", "slices of age"), which takes
    precedence over "floors" and "slices". Raises UseCaseError for an unknown name and one that is in both.
    """

    metric: str = "accuracy"
    margin: float = 0.0
    confidence: float = 0.95
    baseline_margin: float = 0.0
    floors: tuple[Floor, ...] = ()
    calibration_error: float | None = None
    model_mb: float | None = 200.0
    latency_ms: float | None = 50.0
    replay: int = 1_000
    changed: float | None = None
    hard: tuple[str, ...] = ()
    warn: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.confidence <= 1.0:
            raise UseCaseError(
                f"the gate's confidence is {self.confidence:g}", hint="give a share from 0 to 1, such as 0.95"
            )
        for field, names in (("hard", self.hard), ("warn", self.warn)):
            if isinstance(names, str):
                raise UseCaseError(
                    f"the gate's {field} is the text {names!r}", hint=f'give a tuple: {field}=("{names}",)'
                )
            for name in names:
                self._check_name(field, name)
        both = sorted(set(self.hard) & set(self.warn))
        if both:
            raise UseCaseError(
                f"the gate declares {', '.join(both)} both hard and a warning",
                hint="name each in one of them",
            )

    def strictness_of(self, check: str) -> Strictness | None:
        """The declared strictness of the check of that name in a verdict; None where the gate's own rules
        decide."""
        kind = check
        for prefix, family in ((FLOOR_PREFIX, "floors"), (SLICES_PREFIX, "slices")):
            if check.startswith(prefix):
                kind = family
        for name in (check, kind):
            if name in self.hard:
                return "hard"
            if name in self.warn:
                return "warn"
        return None

    def _check_name(self, field: str, name: str) -> None:
        floors = [f"{FLOOR_PREFIX}{floor.metric}" for floor in self.floors]
        # Whether a feature has a slice is checked by the UseCase.
        if name in GATE_CHECKS or name in floors or str(name).startswith(SLICES_PREFIX):
            return
        if name in ("beats champion", "beats champion surely"):
            hint = "margin and confidence say what is asked beside the champion"
        elif name == "leakage":
            hint = "it is a warning always, for a perfect score may be honest"
        else:
            names = (*GATE_CHECKS, *floors)
            hint = suggest_name(str(name), names, f"choose from {', '.join(names)}")
        raise UseCaseError(f"the gate's {field} names {name!r}, which cannot be declared so", hint=hint)
