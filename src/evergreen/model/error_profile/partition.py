"""A partition of rows into regions: a small decision tree, which NumPy and MariaDB evaluate alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evergreen.documents import Json, write_document
from evergreen.model.matrix import Columns

Floats: TypeAlias = npt.NDArray[np.float64]

# Numbers are cut at so many quantiles; so many of the most frequent categories are told from the rest.
_CUTS = 11
_CATEGORIES = 12


@dataclass(frozen=True)
class Split:
    """A condition, and what follows where it holds (`yes`) or not (`no`): a region's number or a Split.

    The condition is `feature <= at` for a number, `feature = at` for a text. It does not hold for a missing
    value.
    """

    feature: str
    at: float | str
    yes: Split | int
    no: Split | int


# All rows may be one region, number 0.
Partition: TypeAlias = Split | int


def serialize_partition(partition: Partition) -> Json:
    """A partition as JSON."""
    return write_document(partition) if isinstance(partition, Split) else partition


def assign_regions(partition: Partition, columns: Columns, rows: int) -> npt.NDArray[np.intp]:
    """Each row's region, of shape (rows,). `columns`, each of that shape: float64 or objects."""
    regions = np.zeros(rows, dtype=np.intp)
    _fill_regions(partition, columns, np.arange(rows), regions)
    return regions


def list_features(partition: Partition) -> set[str]:
    """The names of the features that a partition's conditions are about."""
    if isinstance(partition, int):
        return set()
    return {partition.feature} | list_features(partition.yes) | list_features(partition.no)


def grow_partition(
    columns: Columns,
    errors: Floats,
    weights: Floats,
    *,
    most_regions: int,
    least_rows: int,
    least_gain: float,
) -> Partition:
    """Divide rows so that the regions' mean errors differ as much as possible.

    `errors` and `weights`, of shape (n,): a region's gain is (sum of errors)^2 / (sum of weights), where an
    error's variance is its weight this is the score test's statistic. The region whose division gains most is
    divided, until there are `most_regions`, or no division gains `least_gain` and leaves `least_rows` on
    both sides.
    """
    candidates = list(_list_conditions(columns))
    if not candidates:
        return 0
    holds = np.array([mask for _, _, mask in candidates])

    def find_best(rows: npt.NDArray[np.intp]) -> tuple[float, int]:
        own, error, weight = holds[:, rows], errors[rows], weights[rows]
        count, part, part_weight = own.sum(axis=1), own @ error, own @ weight
        whole, whole_weight = error.sum(), weight.sum()
        possible = (count >= least_rows) & (len(rows) - count >= least_rows)
        possible &= (part_weight > 0.0) & (whole_weight - part_weight > 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = part**2 / part_weight + (whole - part) ** 2 / (whole_weight - part_weight)
            gain = np.where(possible, gain - whole**2 / whole_weight, -np.inf)
        best = int(gain.argmax())
        return float(gain[best]), best

    every = np.arange(len(errors))
    regions, best = [every], [find_best(every)]
    # The path of each region: the conditions that lead to it, with their results.
    paths: list[tuple[tuple[int, bool], ...]] = [()]
    while len(regions) < most_regions:
        place = max(range(len(regions)), key=lambda number: best[number][0])
        gain, condition = best[place]
        if not gain > least_gain:
            break
        mask = holds[condition, regions[place]]
        parts = [regions[place][mask], regions[place][~mask]]
        path = paths[place]
        regions[place : place + 1] = parts
        paths[place : place + 1] = [(*path, (condition, True)), (*path, (condition, False))]
        best[place : place + 1] = [find_best(part) for part in parts]
    return _build_tree([(path, number) for number, path in enumerate(paths)], candidates, 0)


def _list_conditions(columns: Columns) -> Iterator[tuple[str, float | str, npt.NDArray[np.bool_]]]:
    """Every condition that may divide the rows: feature, value, and the rows for which it holds."""
    for name, values in columns.items():
        if values.dtype == object:
            texts, counts = np.unique(values[values != None].astype(str), return_counts=True)  # noqa: E711
            order = np.lexsort((texts, -counts))[:_CATEGORIES]
            for text in texts[order]:
                yield name, str(text), np.asarray(values == str(text), dtype=bool)
            continue
        present = values[np.isfinite(values)]
        if not len(present):
            continue
        quantiles = np.quantile(present, np.arange(1, _CUTS + 1) / (_CUTS + 1), method="inverted_cdf")
        cuts = [float(cut) for cut in np.unique(quantiles) if cut < present.max()]
        # All present values against the missing ones.
        if len(present) < len(values):
            cuts.append(float(present.max()))
        for cut in cuts:
            yield name, cut, np.asarray(values <= cut, dtype=bool)


def _build_tree(
    paths: Sequence[tuple[tuple[tuple[int, bool], ...], int]],
    conditions: Sequence[tuple[str, float | str, npt.NDArray[np.bool_]]],
    depth: int,
) -> Partition:
    if len(paths) == 1:
        return paths[0][1]
    number = paths[0][0][depth][0]
    name, at, _ = conditions[number]
    yes = [each for each in paths if each[0][depth][1]]
    no = [each for each in paths if not each[0][depth][1]]
    return Split(name, at, _build_tree(yes, conditions, depth + 1), _build_tree(no, conditions, depth + 1))


def _fill_regions(
    partition: Partition, columns: Columns, rows: npt.NDArray[np.intp], regions: npt.NDArray[np.intp]
) -> None:
    if isinstance(partition, int):
        regions[rows] = partition
        return
    values = columns[partition.feature][rows]
    mask = values == partition.at if isinstance(partition.at, str) else values <= partition.at
    mask = np.asarray(mask, dtype=bool)
    _fill_regions(partition.yes, columns, rows[mask], regions)
    _fill_regions(partition.no, columns, rows[~mask], regions)
