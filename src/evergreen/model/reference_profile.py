"""The reference profile of a model version: its training data as bins and counts for each feature.

Drift is measured against it. Each version has its own, so that a new champion is compared with its own data.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from evergreen.model.matrix import Columns
from evergreen.model.signature import list_model_inputs
from evergreen.store.tables.platform import REFERENCE_PROFILE
from evergreen.usecase import UseCase

# The name under which the model's predictions on its hold-out are profiled; no feature can have it.
PREDICTION = "__prediction__"

# Categories with a smaller share, or beyond this number, are counted together as "other".
MINIMUM_SHARE = 0.01
MOST_CATEGORIES = 30


class ProfileDocument(TypedDict):
    """`FeatureProfile` as JSON."""

    feature: str
    kind: Literal["numeric", "category"]
    bins: list[float] | list[str] | list[float | str]
    counts: list[int]


@dataclass(frozen=True)
class FeatureProfile:
    """One feature's reference: k bins and k + 2 counts of rows.

    numeric: `bins` are inner edges e1 < ... < ek; `counts` are those of (-inf, e1], (e1, e2], ..., (ek, inf),
    and last of missing values. category: `bins` are k names; `counts` are theirs, then those of all other
    names, and last of missing values.
    """

    feature: str
    kind: Literal["numeric", "category"]
    bins: tuple[float, ...] | tuple[str, ...] | tuple[float | str, ...]
    counts: tuple[int, ...]

    def count(self, values: np.ndarray) -> npt.NDArray[np.int64]:
        """How many of the values, of shape (n,), fall into each bin; shape (k + 2,), int64."""
        size = len(self.bins) + 2
        if self.kind == "numeric":
            numbers = values.astype(np.float64)
            # side="left" closes bins on the right, so that a value equal to an edge is in the bin it ends.
            places = np.searchsorted(np.array(self.bins, dtype=np.float64), numbers, side="left")
            places = np.where(np.isnan(numbers), size - 1, places)
            return np.bincount(places, minlength=size).astype(np.int64)
        bin_numbers = {str(name): index for index, name in enumerate(self.bins)}
        counts = np.zeros(size, dtype=np.int64)
        for value, times in Counter(values.tolist()).items():
            counts[size - 1 if value is None else bin_numbers.get(str(value), size - 2)] += times
        return counts

    def names(self) -> list[str]:
        """A readable name for each bin, in the order of `counts`."""
        if self.kind == "category":
            return [*map(str, self.bins), "(other)", "(missing)"]
        edges = [f"{edge:g}" for edge in self.bins]
        if not edges:
            return ["any", "(missing)"]
        if self.bins == _enclose(float(self.bins[-1])):
            return [f"< {edges[1]}", edges[1], f"> {edges[1]}", "(missing)"]
        between = [f"({low}, {high}]" for low, high in itertools.pairwise(edges)]
        return [f"<= {edges[0]}", *between, f"> {edges[-1]}", "(missing)"]


def build_reference_profile(
    use_case: UseCase, columns: Columns, predictions: np.ndarray
) -> list[FeatureProfile]:
    """The profile of every model input, and of the model's predictions on its hold-out.

    `columns`, each of shape (n,), are those that the model was fitted on; `predictions`, of any length, are
    class names or float64.
    """
    inputs = [
        _profile_numbers(f.name, columns[f.name], use_case.drift.bins)
        if f.numeric
        else _profile_categories(f.name, columns[f.name])
        for f in list_model_inputs(use_case)
    ]
    outputs = (
        _profile_numbers(PREDICTION, predictions, use_case.drift.bins)
        if use_case.problem == "regression"
        else _profile_categories(PREDICTION, predictions)
    )
    return [*inputs, outputs]


def save_reference_profile(
    engine: sa.Engine, use_case: str, version: int, profiles: Sequence[FeatureProfile]
) -> None:
    """Write a version's profiles in one transaction, in place of any former ones."""
    rows = [
        {
            "use_case": use_case,
            "model_version": version,
            "feature": p.feature,
            "kind": p.kind,
            "bins": json.dumps(p.bins),
            "counts": json.dumps(p.counts),
        }
        for p in profiles
    ]
    with engine.begin() as connection:
        connection.execute(
            sa.delete(REFERENCE_PROFILE).where(
                REFERENCE_PROFILE.c.use_case == use_case, REFERENCE_PROFILE.c.model_version == version
            )
        )
        connection.execute(
            sa.insert(REFERENCE_PROFILE),
            rows,
        )


def load_reference_profile(engine: sa.Engine, use_case: str, version: int) -> dict[str, FeatureProfile]:
    """A version's profiles by feature; empty when none were saved."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(REFERENCE_PROFILE).where(
                REFERENCE_PROFILE.c.use_case == use_case, REFERENCE_PROFILE.c.model_version == version
            )
        )
        return {
            row.feature: FeatureProfile(
                row.feature, row.kind, tuple(json.loads(row.bins)), tuple(json.loads(row.counts))
            )
            for row in rows
        }


def serialize_profiles(
    profiles: Sequence[FeatureProfile],
) -> list[dict[str, str | list[float | str] | list[int]]]:
    """Profiles as JSON."""
    return [
        {"feature": p.feature, "kind": p.kind, "bins": list(p.bins), "counts": list(p.counts)}
        for p in profiles
    ]


def parse_profiles(data: Sequence[ProfileDocument]) -> list[FeatureProfile]:
    """The profiles that `serialize_profiles` wrote."""
    return [FeatureProfile(p["feature"], p["kind"], tuple(p["bins"]), tuple(p["counts"])) for p in data]


def _profile_numbers(name: str, values: np.ndarray, bins: int) -> FeatureProfile:
    """The profile of numbers, cut at their quantiles into at most `bins` bins of about as many rows."""
    numbers = values.astype(np.float64)
    present = numbers[np.isfinite(numbers)]
    edges: tuple[float, ...] = ()
    if len(present):
        quantiles = np.quantile(present, np.arange(1, bins) / bins, method="inverted_cdf")
        # Repeated values give equal quantiles; beyond the greatest value there would be an empty bin.
        edges = tuple(float(edge) for edge in np.unique(quantiles) if edge < present.max())
        if present.min() == present.max():
            # Quantiles would give a constant column a single bin, in which no other value could be seen.
            edges = _enclose(float(present[0]))
    return _fill_counts(FeatureProfile(name, "numeric", edges, ()), numbers)


def _enclose(constant: float) -> tuple[float, ...]:
    """The edges of a bin that holds one number alone."""
    return (math.nextafter(constant, -math.inf), constant)


def _profile_categories(name: str, values: np.ndarray) -> FeatureProfile:
    """The profile of names: those that are frequent enough have a bin each, by name."""
    frequencies = Counter(str(value) for value in values.tolist() if value is not None)
    least = MINIMUM_SHARE * max(1, len(values))
    common = [value for value, times in frequencies.most_common(MOST_CATEGORIES) if times >= least]
    return _fill_counts(FeatureProfile(name, "category", tuple(sorted(common)), ()), values)


def _fill_counts(empty: FeatureProfile, values: np.ndarray) -> FeatureProfile:
    counts = tuple(int(count) for count in empty.count(values))
    return FeatureProfile(empty.feature, empty.kind, empty.bins, counts)
