"""The groups of declared slices whose rows are counted apart from all rows, for drift within a group.

A group's name is "FEATURE=GROUP", such as "sex=female" or "age=25 to 40"; "" stands for all rows. The process
that ships the prediction log imports this module, which therefore imports neither CatBoost nor pandas.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evergreen.usecase import CATEGORY_CHARACTERS, Slice, UseCase

if TYPE_CHECKING:
    from evergreen.model.matrix import Columns

ALL_ROWS = ""
# A group of fewer rows is shown but not judged, because a single row would change its metrics too much.
MINIMUM_ROWS = 30
# Categories beyond the most frequent are one group.
MOST_GROUPS = 20
OTHER = "(other)"
# A group of a smaller share of the training rows is not counted apart.
MINIMUM_SHARE = 0.01


@dataclass(frozen=True)
class SliceGroup:
    """One group of rows, by one feature: rows of the category `label`, or, with a bound, numbers x with
    low <= x < high (None: no bound).

    `label` is the category itself, or the words for the numbers.
    """

    feature: str
    label: str
    low: float | None = None
    high: float | None = None

    @property
    def name(self) -> str:
        """The slice's name in tables and reports."""
        return f"{self.feature}={self.label}"

    @property
    def numeric(self) -> bool:
        """Whether the group is one of numbers."""
        return self.low is not None or self.high is not None

    def select(self, values: np.ndarray) -> npt.NDArray[np.bool_]:
        """Which of the values, of shape (n,), float64 with NaN or objects, are in the group; shape (n,)."""
        if not self.numeric:
            return np.asarray(values == self.label, dtype=np.bool_)
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        numbers = np.asarray(values, dtype=np.float64)
        return np.asarray((numbers >= low) & (numbers < high), dtype=np.bool_)


def parse_slice_group(name: str, low: float | None = None, high: float | None = None) -> SliceGroup:
    """The group of that name and these bounds."""
    feature, _, label = name.partition("=")
    return SliceGroup(feature, label, low, high)


def find_slice_groups(use_case: UseCase, columns: Columns) -> list[SliceGroup]:
    """The groups of every declared slice that hold at least 1 % of the n rows, and 30; of a category at most
    20, the most frequent.

    `columns`, each of shape (n,); slices of features that are not among them are left out. Missing values are
    in no group.
    """
    groups: dict[str, SliceGroup] = {}
    for declared_slice in use_case.slices:
        values = columns.get(declared_slice.feature)
        if values is not None and len(values):
            least = max(MINIMUM_ROWS, MINIMUM_SHARE * len(values))
            for group in _list_groups(declared_slice, values, least):
                groups.setdefault(group.name, group)
    return list(groups.values())


def group_by_feature(groups: Sequence[SliceGroup]) -> Mapping[str, list[SliceGroup]]:
    """The groups by the feature that they are of. Those of one feature share no row."""
    by_feature: dict[str, list[SliceGroup]] = {}
    for group in groups:
        by_feature.setdefault(group.feature, []).append(group)
    return by_feature


def build_number_groups(feature: str, edges: tuple[float, ...]) -> list[SliceGroup]:
    """The groups into which one or more edges cut the numbers of a feature, in order."""
    bounds = pairwise([None, *map(float, edges), None])
    return [
        SliceGroup(feature, label, low, high)
        for label, (low, high) in zip(format_edges(edges), bounds, strict=True)
    ]


def format_edges(edges: tuple[float, ...]) -> list[str]:
    """The names of the groups into which edges cut numbers, in order."""
    inner = [f"{low:.12g} to {high:.12g}" for low, high in pairwise(edges)]
    return [f"< {edges[0]:.12g}", *inner, f">= {edges[-1]:.12g}"]


def _list_groups(declared_slice: Slice, values: np.ndarray, least: float) -> list[SliceGroup]:
    feature = declared_slice.feature
    if declared_slice.edges:
        candidates = build_number_groups(feature, declared_slice.edges)
        return [group for group in candidates if group.select(values).sum() >= least]
    counts = Counter(str(each) for each in values.tolist() if each is not None)
    # Equally frequent ones by name, so that the order of rows decides nothing.
    frequent = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_GROUPS]
    return [
        SliceGroup(feature, name)
        for name, count in frequent
        if count >= least and len(name) <= CATEGORY_CHARACTERS
    ]
