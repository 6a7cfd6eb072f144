"""What a candidate must show before it may become champion."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from evergreen.errors import UseCaseError
from evergreen.usecase.names import Problem

Approval = Literal["auto", "manual"]
Strictness = Literal["hard", "warn"]

# What is measured in each group of a slice; the first is what its limits are about if nothing else is named.
SLICE_METRICS: dict[Problem, tuple[str, ...]] = {
    "binary": ("accuracy", "balanced_accuracy", "selection_rate", "precision", "recall"),
    "multiclass": ("accuracy", "balanced_accuracy"),
    "regression": ("mae", "mean_error"),
}

# The checks whose strictness a gate may declare, named as a verdict names them; "floors" and "slices" are all
# "floor of METRIC" and all "slices of FEATURE".
GATE_CHECKS = ("beats linear", "beats dummy", "floors", "calibration", "slices", "size", "latency", "replay")
FLOOR_PREFIX = "floor of "
SLICES_PREFIX = "slices of "


@dataclass(frozen=True)
class Floor:
    """The worst value of a metric that is acceptable: a least value, or where less is better a greatest."""

    metric: str
    value: float


@dataclass(frozen=True)
class Slice:
    """Groups of rows whose results are shown apart: the values of a category, or a number cut at `edges`.

    `sensitive` marks what people must not be treated differently by. The gate lets the groups' `metric`
    ("accuracy", for numbers "mae", if none is named; for two classes also "selection_rate", the share
    predicted as the last class) differ by `max_difference` at most, and the smallest be `min_ratio` of the
    greatest at least; without limits the groups are only shown. Small groups are shown and not judged.
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

    On `metric` it must beat the champion by `margin` on the same hold-out, and in `confidence` of the paired
    bootstrap resamples of it (Efron & Tibshirani, An Introduction to the Bootstrap, 1993); an equal model is
    no reason for a change, unless a negative margin says so. It is compared with the linear baseline, which
    it should beat by `baseline_margin` (a negative one allows a model that a small hold-out puts a little
    behind by chance), and with a guess that knows no feature. Every floor is to be reached.
    `calibration_error` bounds the expected calibration error, `model_mb` the file, `latency_ms` the median
    time of the model's answer to one row.

    The last `replay` logged requests are answered by candidate and champion; the share of changed answers is
    shown, and bounded by `changed`. A predicted number has changed if it moved by more than a tenth of the
    champion's answers' standard deviation. None: no limit.

    A check that does not pass rejects the candidate or warns, by who is in service. Beside a champion that is
    surely beaten (better in `confidence` of the resamples, whatever the margin), the baselines warn, a floor
    that the champion misses as well warns, and a broken limit of slices, calibration, size or latency fails
    only where the candidate is worse than the champion. Without a champion the linear baseline warns. All
    else fails. A nearly perfect score warns that a feature may tell the answer.

    `hard` names checks that reject wherever they do not pass, `warn` those that only warn. A name is one of
    `GATE_CHECKS`, or a single one as the verdict has it: "floor of recall", "slices of age", which goes
    before "floors" and "slices". Raises UseCaseError for a name that is none, or stands in both.
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
        """What is declared for the check of that name in a verdict; None leaves it to the gate's rules."""
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
        # Whether a feature has a slice is known to the use case only.
        if name in GATE_CHECKS or name in floors or str(name).startswith(SLICES_PREFIX):
            return
        if name in ("beats champion", "beats champion surely"):
            hint = "margin and confidence say what is asked beside the champion"
        elif name == "leakage":
            hint = "it is a warning always, for a perfect score may be honest"
        else:
            hint = _suggest_check(name, (*GATE_CHECKS, *floors))
        raise UseCaseError(f"the gate's {field} names {name!r}, which cannot be declared so", hint=hint)


def _suggest_check(name: object, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(names)}"
