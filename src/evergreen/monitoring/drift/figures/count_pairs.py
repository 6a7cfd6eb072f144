"""Counts of many features, of the reference and of a window, as two arrays of the same shape.

A comparison is one feature in one slice. Features have different numbers of bins: rows of the arrays are
filled up with zeros, which every statistic here leaves out, because a bin that is empty on both sides says
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evergreen.errors import StoreError
from evergreen.model.reference_profile import FeatureProfile

Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CountPairs:
    """n comparisons over at most b bins.

    `keys` are their (slice, feature). `before` and `now`, of shape (n, b), are the rows by bin of the
    reference and of the window; `numeric`, of shape (n,), tells ordered bins from names. `missing` and
    `other`, of shape (n,), are the places of the bins of missing values and of names without a bin of their
    own; a number has no `other`, there it is -1.
    """

    keys: tuple[tuple[str, str], ...]
    before: Floats
    now: Floats
    numeric: Flags
    missing: npt.NDArray[np.intp]
    other: npt.NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.keys)


def build_count_pairs(
    compared: Sequence[tuple[str, FeatureProfile, npt.NDArray[np.int64] | Sequence[int]]],
) -> CountPairs:
    """Put side by side the profile of each (slice, profile, counts of the window).

    Raises StoreError where a window was counted by other bins than the profile has.
    """
    width = max((len(profile.counts) for _, profile, _ in compared), default=1)
    before, now = np.zeros((len(compared), width)), np.zeros((len(compared), width))
    sizes = np.array([len(profile.counts) for _, profile, _ in compared], dtype=np.intp)
    numeric = np.array([profile.kind == "numeric" for _, profile, _ in compared], dtype=np.bool_)
    for place, (slice_name, profile, counts) in enumerate(compared):
        if len(counts) != len(profile.counts):
            raise StoreError(
                f"{profile.feature} is counted in {len(counts)} bins"
                + (f" in the slice {slice_name}" if slice_name else "")
                + f", and its reference has {len(profile.counts)}",
                hint="count the window anew, by the bins of that reference",
            )
        before[place, : sizes[place]] = profile.counts
        now[place, : sizes[place]] = counts
    return CountPairs(
        keys=tuple((slice_name, profile.feature) for slice_name, profile, _ in compared),
        before=before,
        now=now,
        numeric=numeric,
        missing=sizes - 1,
        other=np.where(numeric, -1, sizes - 2),
    )
