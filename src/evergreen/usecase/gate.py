"""What a candidate must show before it may become champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evergreen.errors import UseCaseError
from evergreen.usecase.names import Problem

Approval = Literal["auto", "manual"]

# What is measured in each group of a slice; the first is what its limits are about if nothing else is named.
SLICE_METRICS: dict[Problem, tuple[str, ...]] = {
    "binary": ("accuracy", "balanced_accuracy", "selection_rate", "precision", "recall"),
    "multiclass": ("accuracy", "balanced_accuracy"),
    "regression": ("mae", "mean_error"),
}


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
    """The checks that a candidate must pass; each is in the verdict with its numbers and its reason.

    On `metric` it must beat the champion by `margin` on the same hold-out, and in `confidence` of the paired
    bootstrap resamples of it (Efron & Tibshirani, An Introduction to the Bootstrap, 1993); an equal model is
    no reason for a change, unless a negative margin says so. It must beat the linear baseline by
    `baseline_margin` (a negative one allows a model that a small hold-out puts a little behind by chance),
    and a guess that knows no feature. Every floor must be reached. `calibration_error` bounds the expected
    calibration error, `model_mb` the file, `latency_ms` the median time of the model's answer to one row.

    The last `replay` logged requests are answered by candidate and champion; the share of changed answers is
    shown, and bounded by `changed`. A predicted number has changed if it moved by more than a tenth of the
    champion's answers' standard deviation. None: no limit.
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

    def __post_init__(self) -> None:
        if not 0.0 <= self.confidence <= 1.0:
            raise UseCaseError(
                f"the gate's confidence is {self.confidence:g}", hint="give a share from 0 to 1, such as 0.95"
            )
