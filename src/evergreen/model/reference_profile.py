"""The reference profile of a model version: its training data as bins and counts for each feature.

Drift is measured against it. Each version has its own, so that a new champion is compared with its own data.
The rows of declared slices are profiled too: by the bins of all rows, so that a row is binned once.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from evergreen.model.signature import list_model_inputs
from evergreen.model.slice_groups import ALL_ROWS, SliceGroup, find_slice_groups, parse_slice_group
from evergreen.store.connection.database import get_fast_engine
from evergreen.store.tables.platform import REFERENCE_PROFILE
from evergreen.usecase import UseCase

if TYPE_CHECKING:
    # It loads CatBoost and pandas, which the process that ships the prediction log has no use for.
    from evergreen.model.matrix import Columns

# The name under which the model's predictions on its hold-out are profiled; no feature can have it.
PREDICTION = "__prediction__"

# Categories with a smaller share, or beyond this number, are counted together as "other".
MINIMUM_SHARE = 0.01
MOST_CATEGORIES = 30

_TEXT_TYPES = frozenset((str, type(None)))


class ProfileDocument(TypedDict):
    """`FeatureProfile` as JSON."""

    feature: str
    kind: Literal["numeric", "category"]
    bins: list[float] | list[str] | list[float | str]
    counts: list[int]
    slice: NotRequired[str]
    slice_bounds: NotRequired[list[float | None]]
    range: NotRequired[list[float]]


@dataclass(frozen=True)
class FeatureProfile:
    """One feature's reference: k bins and k + 2 counts of rows.

    numeric: `bins` are inner edges e1 < ... < ek; `counts` are those of (-inf, e1], (e1, e2], ..., (ek, inf),
    and last of missing values, among them infinite ones, which the prediction log holds as NULL. category:
    `bins` are k names; `counts` are theirs, then those of all other names, and last of missing values.
    `group` are the rows that the counts are of; None for all. `range` is the least and the greatest number in
    the training rows, of all groups; None for categories, without numbers, and in profiles of versions that
    did not keep it.
    """

    feature: str
    kind: Literal["numeric", "category"]
    bins: tuple[float, ...] | tuple[str, ...] | tuple[float | str, ...]
    counts: tuple[int, ...]
    group: SliceGroup | None = None
    range: tuple[float, float] | None = None

    @property
    def slice(self) -> str:
        """The name of the slice that the counts are of; "" for all rows."""
        return self.group.name if self.group else ALL_ROWS

    @property
    def is_constant(self) -> bool:
        """Whether the bins are those of a number that alone was there."""
        return self.kind == "numeric" and len(self.bins) > 1 and self.bins == _enclose(float(self.bins[-1]))

    def find_bins(self, values: np.ndarray | Sequence[Any]) -> npt.NDArray[np.intp]:
        """The number of each value's bin, by its place in `counts`. `values`, of shape (n,), are numbers with
        NaN or None, or texts with None; the result has that shape."""
        size = len(self.bins) + 2
        if self.kind == "numeric":
            numbers = np.asarray(values, dtype=np.float64)
            # side="left" closes bins on the right, so that a value equal to an edge is in the bin it ends.
            places = np.searchsorted(np.array(self.bins, dtype=np.float64), numbers, side="left")
            finite = np.isfinite(numbers)
            return places if finite.all() else np.where(finite, places, size - 1)
        bin_numbers: dict[Any, int] = {str(name): index for index, name in enumerate(self.bins)}
        bin_numbers[None] = size - 1
        cells = values.tolist() if isinstance(values, np.ndarray) else values
        if not set(map(type, cells)) <= _TEXT_TYPES:
            cells = [None if cell is None else str(cell) for cell in cells]
        numbered = map(bin_numbers.get, cells, itertools.repeat(size - 2))
        return np.fromiter(numbered, dtype=np.intp, count=len(cells))

    def count(self, values: np.ndarray | Sequence[Any]) -> npt.NDArray[np.int64]:
        """How many of the values, of shape (n,), fall into each bin; shape (k + 2,), int64."""
        return np.bincount(self.find_bins(values), minlength=len(self.bins) + 2).astype(np.int64)

    def names(self) -> list[str]:
        """A readable name for each bin, in the order of `counts`."""
        if self.kind == "category":
            return [*map(str, self.bins), "(other)", "(missing)"]
        edges = [f"{edge:g}" for edge in self.bins]
        if not edges:
            return ["any", "(missing)"]
        if self.is_constant:
            return [f"< {edges[1]}", edges[1], f"> {edges[1]}", "(missing)"]
        between = [f"({low}, {high}]" for low, high in itertools.pairwise(edges)]
        return [f"<= {edges[0]}", *between, f"> {edges[-1]}", "(missing)"]


# By slice ("" for all rows), then by feature.
SlicedProfiles: TypeAlias = Mapping[str, Mapping[str, FeatureProfile]]


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


def build_slice_profiles(
    use_case: UseCase,
    profiles: Sequence[FeatureProfile],
    columns: Columns,
    predictions: np.ndarray,
    predicted_columns: Columns,
) -> list[FeatureProfile]:
    """The profiles of the groups of declared slices, by the bins of `profiles`, those of all rows.

    `columns`, each of shape (n,), are those that the model was fitted on; `predictions`, of shape (m,), its
    answers for the rows of `predicted_columns`.
    """
    whole = {profile.feature: profile for profile in profiles}
    bins = {name: each.find_bins(columns[name]) for name, each in whole.items() if name != PREDICTION}
    answers = whole[PREDICTION].find_bins(predictions) if PREDICTION in whole else None
    sliced: list[FeatureProfile] = []
    for group in find_slice_groups(use_case, columns):
        mask = group.select(columns[group.feature])
        places = {name: numbers[mask] for name, numbers in bins.items()}
        if answers is not None:
            places[PREDICTION] = answers[group.select(predicted_columns[group.feature])]
        for name, numbers in places.items():
            counts = np.bincount(numbers, minlength=len(whole[name].bins) + 2)
            sliced.append(replace(whole[name], counts=tuple(map(int, counts)), group=group))
    return sliced


def save_reference_profile(
    engine: sa.Engine, use_case_name: str, version: int, profiles: Sequence[FeatureProfile]
) -> None:
    """Write a version's profiles, of all rows and of slices, in one transaction, in place of any former
    ones."""
    rows = [
        {
            "use_case": use_case_name,
            "model_version": version,
            "slice": p.slice,
            "feature": p.feature,
            "kind": p.kind,
            "bins": json.dumps(p.bins),
            "counts": json.dumps(p.counts),
            "slice_low": p.group.low if p.group else None,
            "slice_high": p.group.high if p.group else None,
            "range_low": p.range[0] if p.range else None,
            "range_high": p.range[1] if p.range else None,
        }
        for p in profiles
    ]
    with engine.begin() as connection:
        connection.execute(
            sa.delete(REFERENCE_PROFILE).where(
                REFERENCE_PROFILE.c.use_case == use_case_name, REFERENCE_PROFILE.c.model_version == version
            )
        )
        connection.execute(
            sa.insert(REFERENCE_PROFILE),
            rows,
        )


def load_reference_profile(engine: sa.Engine, use_case_name: str, version: int) -> dict[str, FeatureProfile]:
    """A version's profiles of all rows by feature; empty when none were saved."""
    return load_sliced_profiles(engine, use_case_name, version).get(ALL_ROWS, {})


def load_sliced_profiles(
    engine: sa.Engine, use_case_name: str, version: int
) -> dict[str, dict[str, FeatureProfile]]:
    """A version's profiles by slice ("" for all rows) and feature; empty when none were saved. Versions that
    were trained before slices were profiled have the profiles of all rows only."""
    statement = sa.select(REFERENCE_PROFILE).where(
        REFERENCE_PROFILE.c.use_case == use_case_name, REFERENCE_PROFILE.c.model_version == version
    )
    with get_fast_engine(engine).connect() as connection:
        rows = connection.execute(statement).all()
    return arrange_profiles(
        FeatureProfile(
            row.feature,
            row.kind,
            tuple(json.loads(row.bins)),
            tuple(json.loads(row.counts)),
            parse_slice_group(row.slice, row.slice_low, row.slice_high) if row.slice else None,
            None if row.range_low is None else (row.range_low, row.range_high),
        )
        for row in rows
    )


def arrange_profiles(profiles: Iterable[FeatureProfile]) -> dict[str, dict[str, FeatureProfile]]:
    """Profiles by slice and feature, in the order in which they are given."""
    arranged: dict[str, dict[str, FeatureProfile]] = {}
    for profile in profiles:
        arranged.setdefault(profile.slice, {})[profile.feature] = profile
    return arranged


def serialize_profiles(profiles: Sequence[FeatureProfile]) -> list[dict[str, Any]]:
    """Profiles as JSON, each a `ProfileDocument`. Those of slices say so."""
    return [
        {
            **{"feature": p.feature, "kind": p.kind, "bins": list(p.bins), "counts": list(p.counts)},
            **({"slice": p.slice, "slice_bounds": [p.group.low, p.group.high]} if p.group else {}),
            **({"range": list(p.range)} if p.range else {}),
        }
        for p in profiles
    ]


def parse_profiles(data: Sequence[ProfileDocument]) -> list[FeatureProfile]:
    """The profiles that `serialize_profiles` wrote."""
    return [
        FeatureProfile(
            p["feature"],
            p["kind"],
            tuple(p["bins"]),
            tuple(p["counts"]),
            parse_slice_group(p["slice"], *p["slice_bounds"]) if "slice" in p else None,
            (p["range"][0], p["range"][1]) if "range" in p else None,
        )
        for p in data
    ]


def _profile_numbers(name: str, values: np.ndarray, bins: int) -> FeatureProfile:
    """The profile of numbers, cut at their quantiles into at most `bins` bins of about as many rows."""
    numbers = values.astype(np.float64)
    present = numbers[np.isfinite(numbers)]
    edges: tuple[float, ...] = ()
    value_range = None
    if len(present):
        value_range = (float(present.min()), float(present.max()))
        quantiles = np.quantile(present, np.arange(1, bins) / bins, method="inverted_cdf")
        # Repeated values give equal quantiles; beyond the greatest value there would be an empty bin.
        edges = tuple(float(edge) for edge in np.unique(quantiles) if edge < present.max())
        if present.min() == present.max():
            # Quantiles would give a constant column a single bin, in which no other value could be seen.
            edges = _enclose(float(present[0]))
    return _fill_counts(FeatureProfile(name, "numeric", edges, (), range=value_range), numbers)


def _enclose(constant: float) -> tuple[float, ...]:
    """The edges of a bin that holds one number alone, and no subnormal, which MariaDB does not keep."""
    below = math.nextafter(constant, -math.inf)
    return (min(below, -sys.float_info.min) if constant == 0 else below, constant)


def _profile_categories(name: str, values: np.ndarray) -> FeatureProfile:
    """The profile of names: those that are frequent enough have a bin each, by name."""
    frequencies = Counter(str(value) for value in values.tolist() if value is not None)
    least = MINIMUM_SHARE * max(1, len(values))
    common = [value for value, times in frequencies.most_common(MOST_CATEGORIES) if times >= least]
    return _fill_counts(FeatureProfile(name, "category", tuple(sorted(common)), ()), values)


def _fill_counts(empty: FeatureProfile, values: np.ndarray) -> FeatureProfile:
    counts = tuple(int(count) for count in empty.count(values))
    return replace(empty, counts=counts)
