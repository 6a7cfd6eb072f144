"""What the hold-out tells of where a version errs, by region: of classes, or of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evergreen.documents import JsonObject, read_document, write_document
from evergreen.model.error_profile.partition import (
    Floats,
    Partition,
    serialize_partition,
)

# The names of conditions about what was predicted and its probability; no feature can have them.
PREDICTED = "__prediction__"
CONFIDENCE = "__confidence__"

# Confidences are kept so far from 0 and 1, where their log-odds are infinite.
_LEAST = 1e-6


@dataclass(frozen=True, eq=False)
class ClassErrorProfile:
    """How often a version's prediction is right, given its confidence (the predicted class's probability).

    The log-odds of being right are those of the confidence, plus a correction that the hold-out shows:
    `parameters` are (intercept, slope, one offset per region), of shape (regions + 2,), and the correction is
    intercept + slope * (log-odds - centre) + the region's offset. `covariance`, of shape (regions + 2,
    regions + 2), is theirs (Laplace's approximation). `shares` are those of the hold-out's rows by region,
    `rows` is its size, `reference` its metrics, `deviations` the standard deviations over its rows of metrics
    that are means.
    """

    partition: Partition
    centre: float
    parameters: Floats
    covariance: Floats
    shares: tuple[float, ...]
    rows: int
    reference: Mapping[str, float]
    deviations: Mapping[str, float]

    @property
    def regions(self) -> int:
        """How many regions there are."""
        return len(self.shares)

    def compute_right_shares(self, confidence: Floats, regions: npt.NDArray[np.intp]) -> Floats:
        """The probability that each row's prediction is right, of shape (n,)."""
        logits = compute_logits(confidence)
        design = build_design(logits - self.centre, regions, self.regions)
        return compute_logistic(logits + design @ self.parameters)

    def to_json(self) -> JsonObject:
        """The profile as JSON."""
        return {
            "kind": "class",
            "partition": serialize_partition(self.partition),
            "centre": round(self.centre, 8),
            "parameters": [round(float(value), 8) for value in self.parameters],
            "covariance": [[float(f"{value:.6g}") for value in row] for row in self.covariance],
            "shares": [round(share, 8) for share in self.shares],
            "rows": self.rows,
            "reference": dict(self.reference),
            "deviations": dict(self.deviations),
        }


@dataclass(frozen=True)
class RegionErrors:
    """The errors of a region's hold-out rows: their number, and mean and variance of |error| and error^2."""

    rows: int
    mean_absolute: float
    variance_absolute: float
    mean_square: float
    variance_square: float


@dataclass(frozen=True, eq=False)
class NumberErrorProfile:
    """How far a version's predicted numbers are off in each region.

    `rows`, `reference` and `deviations` are as in `ClassErrorProfile`; `deviations` has "label" too, the
    standard deviation of the label.
    """

    partition: Partition
    regions: tuple[RegionErrors, ...]
    rows: int
    reference: Mapping[str, float]
    deviations: Mapping[str, float]

    def to_json(self) -> JsonObject:
        """The profile as JSON."""
        return {"kind": "number", **write_document(self)}


ErrorProfile: TypeAlias = ClassErrorProfile | NumberErrorProfile


def parse_error_profile(document: JsonObject) -> ErrorProfile:
    """The profile that `to_json` wrote. Raises KeyError, ValueError for another document."""
    if document["kind"] == "number":
        return read_document(NumberErrorProfile, document)
    arrays = {name: np.array(document[name], dtype=np.float64) for name in ("parameters", "covariance")}
    return read_document(ClassErrorProfile, {**document, **arrays})


def build_design(centred_logits: Floats, regions: npt.NDArray[np.intp], count: int) -> Floats:
    """The columns that the parameters belong to, of shape (n, count + 2)."""
    design = np.zeros((len(centred_logits), count + 2))
    design[:, 0], design[:, 1] = 1.0, centred_logits
    design[np.arange(len(centred_logits)), regions + 2] = 1.0
    return design


def compute_logits(confidence: Floats) -> Floats:
    """The log-odds of probabilities."""
    clipped = np.clip(confidence, _LEAST, 1.0 - _LEAST)
    return np.log(clipped) - np.log1p(-clipped)


def compute_logistic(logits: Floats) -> Floats:
    """The probabilities of log-odds."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), dtype=np.float64)
