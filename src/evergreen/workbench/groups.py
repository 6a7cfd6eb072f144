"""The target by group: its classes or mean in each category or quantile bin of a feature."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

_BINS = 10
_MOST_GROUPS = 12
OTHER, MISSING = "(other)", "(missing)"


@dataclass(frozen=True)
class Group:
    """Rows that share a category or a bin: `shares` of the target's classes (adding up to 1) in their order,
    or for a target of numbers its `mean`."""

    name: str
    rows: int
    shares: tuple[float, ...] = ()
    mean: float | None = None


@dataclass(frozen=True)
class FeatureGroups:
    """A feature's groups, and the part of the target that they explain, in [0, 1].

    For numbers that is the correlation ratio η² (between-group over total variance), for classes Theil's
    uncertainty coefficient (mutual information over the target's entropy). A number's bins are its quantiles.
    """

    feature: str
    explains: float
    groups: tuple[Group, ...]


def group_by_feature(
    columns: dict[str, np.ndarray], target: np.ndarray, classes: Sequence[str]
) -> list[FeatureGroups]:
    """Every feature's groups, the feature that explains most first.

    `columns`: arrays of shape (rows,), float64 with NaN or objects of str or None; `target` of the same
    shape: objects among `classes`, or float64 when there are none.
    """
    groups = [_group_feature(name, values, target, classes) for name, values in columns.items()]
    return sorted(groups, key=lambda each: (-each.explains, each.feature))


def _group_feature(
    name: str, values: np.ndarray, target: np.ndarray, classes: Sequence[str]
) -> FeatureGroups:
    names, codes = _bins(values) if values.dtype.kind == "f" else _categories(values)
    rows = np.bincount(codes, minlength=len(names))
    occupied = np.flatnonzero(rows)
    if classes:
        number = pd.Categorical(target, categories=list(classes)).codes.astype(np.int64)
        counts = np.zeros((len(names), len(classes)))
        has_class = number >= 0
        np.add.at(counts, (codes[has_class], number[has_class]), 1.0)
        groups = tuple(
            Group(names[i], int(rows[i]), shares=tuple(counts[i] / max(1.0, counts[i].sum())))
            for i in occupied
        )
        return FeatureGroups(name, _uncertainty(counts), groups)
    sums = np.bincount(codes, weights=target, minlength=len(names))
    means = sums / np.maximum(rows, 1)
    groups = tuple(Group(names[i], int(rows[i]), mean=float(means[i])) for i in occupied)
    return FeatureGroups(name, _correlation_ratio(rows, means, target), groups)


def _bins(values: npt.NDArray[np.float64]) -> tuple[list[str], npt.NDArray[np.int64]]:
    present = values[np.isfinite(values)]
    different = np.unique(present)
    if len(different) <= _MOST_GROUPS:
        names = [f"{value:g}" for value in different]
        codes = np.searchsorted(different, np.where(np.isfinite(values), values, 0.0))
    else:
        cuts = np.quantile(present, np.arange(1, _BINS) / _BINS, method="inverted_cdf")
        edges = np.unique(cuts[cuts < present.max()])
        codes = np.searchsorted(edges, values, side="left")
        ends = [present.min(), *edges, present.max()]
        names = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(ends)]
    names.append(MISSING)
    return names, np.where(np.isfinite(values), codes, len(names) - 1).astype(np.int64)


def _categories(values: np.ndarray) -> tuple[list[str], npt.NDArray[np.int64]]:
    codes, uniques = pd.factorize(values)
    counts = np.bincount(codes[codes >= 0], minlength=len(uniques))
    order = np.argsort(-counts, kind="stable")
    common = order[:_MOST_GROUPS] if len(order) > _MOST_GROUPS + 1 else order
    names = [str(uniques[i]) for i in common]
    places = np.full(len(uniques) + 1, len(names), dtype=np.int64)  # other
    places[common] = np.arange(len(names))
    places[-1] = len(names) + 1  # factorize's -1: missing
    return [*names, OTHER, MISSING], places[codes]


def _correlation_ratio(
    rows: npt.NDArray[np.int64], means: npt.NDArray[np.float64], target: npt.NDArray[np.float64]
) -> float:
    spread = float(np.sum((target - target.mean()) ** 2))
    between = float(np.sum(rows * (means - target.mean()) ** 2))
    return min(1.0, between / spread) if spread > 0 else 0.0


def _uncertainty(counts: npt.NDArray[np.float64]) -> float:
    """Theil's U of the target given the group: counts of shape (groups, classes)."""
    total = counts.sum()
    if not total:
        return 0.0
    joint, group, target = counts / total, counts.sum(axis=1) / total, counts.sum(axis=0) / total
    entropy = -np.sum(target * np.log(target, where=target > 0, out=np.zeros_like(target)))
    independent = np.outer(group, target)
    ratio = np.divide(joint, independent, where=joint > 0, out=np.ones_like(joint))
    return float(max(0.0, np.sum(joint * np.log(ratio)) / entropy)) if entropy > 0 else 0.0
