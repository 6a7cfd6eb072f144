"""Counts rows of the prediction log by the bins of their version's reference profile, by whole columns."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from evergreen.errors import SchemaMismatch
from evergreen.model.reference_profile import (
    PREDICTION,
    FeatureProfile,
    SlicedProfiles,
    load_sliced_profiles,
)
from evergreen.model.slice_groups import ALL_ROWS, SliceGroup, group_by_feature
from evergreen.store.predictions.hour_counts import BinnedRows, LoggedColumns
from evergreen.store.tables.declared import build_prediction_table
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)

# A profile is read again after so long: a version may get one later, and another where its number was given
# again after a use case was erased.
_REREAD_SECONDS = 60.0

# The log's column of a profiled feature, where it has another name.
_COLUMNS = {PREDICTION: "prediction"}


class ProfileBins:
    """The bins of one version's profiles, ready to count rows of its use case's prediction log.

    Counted are the features that are columns of the log, and the prediction; and the groups of slices whose
    feature is one. A column that the rows do not have holds missing values.
    """

    def __init__(self, use_case: UseCase, profiles: SlicedProfiles) -> None:
        columns = set(build_prediction_table(use_case).c.keys())
        whole = profiles.get(ALL_ROWS, {})
        self.features = [each for each in whole.values() if get_column_name(each.feature) in columns]
        groups = [next(iter(some.values())).group for name, some in profiles.items() if name != ALL_ROWS]
        self.groups = group_by_feature([each for each in groups if each and each.feature in columns])
        self.digest = digest_bins(profiles)

    def count_rows(self, columns: LoggedColumns) -> BinnedRows:
        """Rows by bin, of all rows and of each group."""
        rows = len(columns["channel"])
        blank = (None,) * rows
        codes = {
            name: assign_group_codes(groups, columns.get(name, blank)) for name, groups in self.groups.items()
        }
        counts: dict[tuple[str, str], Sequence[int]] = {}
        for profile in self.features:
            size = len(profile.bins) + 2
            values = columns.get(get_column_name(profile.feature), blank)
            bins = profile.find_bins(_to_numbers(values) if profile.kind == "numeric" else values)
            counts[ALL_ROWS, profile.feature] = np.bincount(bins, minlength=size).tolist()
            for name, groups in self.groups.items():
                # Rows of no group have the last code.
                cells = np.bincount(codes[name] * size + bins, minlength=(len(groups) + 1) * size)
                for group, some in zip(groups, cells.reshape(-1, size).tolist(), strict=False):
                    counts[group.name, profile.feature] = some
        return BinnedRows(self.digest, counts)


class PredictionCounter:
    """Counts rows of one use case's log, by profiles that it reads from the database and keeps for a
    minute."""

    def __init__(self, engine: sa.Engine, use_case: UseCase) -> None:
        self._engine = engine
        self._use_case = use_case
        # By version: when it was read (monotonic seconds), and the bins; None where there is no profile.
        self._bins: dict[int, tuple[float, ProfileBins | None]] = {}
        self._warned: set[int] = set()

    def count_rows(self, version: int, columns: LoggedColumns) -> BinnedRows | None:
        """The rows of a version by bin; None where it has no profile or they cannot be counted, which the log
        says once: what is logged must not wait because it cannot be counted."""
        read_at, bins = self._bins.get(version, (-_REREAD_SECONDS, None))
        if time.monotonic() - read_at >= _REREAD_SECONDS:
            bins = self._read_bins(version)
            self._bins[version] = time.monotonic(), bins
        if bins is None:
            return None
        try:
            return bins.count_rows(columns)
        except Exception as error:  # noqa: BLE001  the rows would never be logged
            self._warn_once(version, f"{type(error).__name__}: {error}")
            return None

    def forget_profile(self, version: int) -> None:
        """Read the version's profile again before the next rows are counted."""
        self._bins.pop(version, None)

    def _read_bins(self, version: int) -> ProfileBins | None:
        try:
            profiles = load_sliced_profiles(self._engine, self._use_case.name, version)
        except SchemaMismatch:
            profiles = {}  # the platform's tables are of an earlier version; they are brought up to date
        if profiles:
            return ProfileBins(self._use_case, profiles)
        self._warn_once(version, "it has no reference profile")
        return None

    def _warn_once(self, version: int, reason: str) -> None:
        if version not in self._warned:
            self._warned.add(version)
            logger.warning(
                "predictions of version %d of %s are logged, but not counted for drift: %s",
                version,
                self._use_case.name,
                reason,
            )


def get_column_name(feature: str) -> str:
    """The column of the prediction log that holds a profiled feature, or the prediction."""
    return _COLUMNS.get(feature, feature)


def digest_bins(profiles: SlicedProfiles) -> str:
    """32 hexadecimal digits of what decides the bins of profiles: features, bins and groups, not counts."""
    whole = profiles.get(ALL_ROWS, {})
    document = {
        "features": [[each.feature, each.kind, list(each.bins)] for each in _sort(whole.values())],
        "groups": sorted(
            [str(name), group.low, group.high]
            for name, some in profiles.items()
            if (group := next(iter(some.values())).group) is not None
        ),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:32]


def assign_group_codes(groups: Sequence[SliceGroup], values: Sequence[Any]) -> npt.NDArray[np.intp]:
    """The number of each value's group, of groups of one feature; their number for a value of none. `values`,
    of shape (n,), are numbers or texts, with None."""
    if not groups[0].numeric:
        numbers = {group.label: number for number, group in enumerate(groups)}
        return np.fromiter(
            (numbers.get(value, len(groups)) for value in values), dtype=np.intp, count=len(values)
        )
    codes = np.full(len(values), len(groups), dtype=np.intp)
    cells = _to_numbers(values)
    for number, group in enumerate(groups):
        codes[group.select(cells)] = number
    return codes


def _to_numbers(values: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Values as float64, NaN where one is missing or no number."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        return np.array([_to_number(value) for value in values], dtype=np.float64)


def _to_number(value: Any) -> float:
    try:
        return float(value)
    except (ValueError, TypeError, OverflowError):
        return math.nan


def _sort(profiles: Any) -> list[FeatureProfile]:
    return sorted(profiles, key=lambda profile: profile.feature)
