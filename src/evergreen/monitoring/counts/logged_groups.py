"""The groups of slices that nobody declared: found in the prediction log, and counted anew by GROUP BY."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import sqlalchemy as sa

from evergreen.model.reference_profile import FeatureProfile, SlicedProfiles
from evergreen.model.slice_groups import (
    ALL_ROWS,
    MINIMUM_ROWS,
    MINIMUM_SHARE,
    MOST_GROUPS,
    SliceGroup,
    build_number_groups,
)
from evergreen.monitoring.counts.recount import recount_window, select_window
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.predictions.counts import Counts
from evergreen.store.tables.declared import build_prediction_table
from evergreen.usecase import CATEGORY_CHARACTERS, UseCase

_QUARTERS = np.array([0.25, 0.5, 0.75])


def find_logged_groups(
    engine: sa.Engine,
    use_case: UseCase,
    feature: str,
    version: int,
    start: datetime,
    end: datetime,
    rows: int,
    channels: Sequence[str] = TRAFFIC,
) -> list[SliceGroup]:
    """The most frequent values of a category, or of another feature that is no number, among a version's
    predictions with start <= predicted_at < end (aware UTC): at most 20, each of at least 1 % of `rows`, the
    predictions of the window, and 30. Raises StoreUnreachable."""
    log = build_prediction_table(use_case)
    column, count = log.c[feature], sa.func.count()
    statement = sa.select(column, count).where(*select_window(log, version, start, end, channels))
    least = max(MINIMUM_ROWS, MINIMUM_SHARE * rows)
    frequent = (
        statement.where(column.is_not(None))
        .group_by(column)
        .having(count >= least)
        .order_by(count.desc(), column)
        .limit(MOST_GROUPS)
    )
    with engine.connect() as connection:
        groups = execute_if_table_exists(connection, frequent)
    names = [str(value) for value, _ in groups]
    return [SliceGroup(feature, name) for name in names if len(name) <= CATEGORY_CHARACTERS]


def build_quarter_groups(profile: FeatureProfile) -> list[SliceGroup]:
    """Groups of about a quarter of the reference's rows each, cut at edges of the bins of a number; none
    where it has no edges."""
    counts = np.array(profile.counts[:-1], dtype=np.float64)
    if profile.kind != "numeric" or not profile.bins or not counts.sum():
        return []
    shares = np.cumsum(counts)[:-1] / counts.sum()
    nearest = np.abs(shares[:, None] - _QUARTERS).argmin(axis=0)
    edges = sorted({float(profile.bins[place]) for place in nearest})
    return build_number_groups(profile.feature, tuple(edges))


def add_group_profiles(profiles: SlicedProfiles, groups: Sequence[SliceGroup]) -> SlicedProfiles:
    """The profiles, and for each group those of all rows, whose counts are not the group's: for its bins."""
    whole = profiles.get(ALL_ROWS, {})
    added: Mapping[str, Mapping[str, FeatureProfile]] = {
        group.name: {name: replace(each, group=group) for name, each in whole.items()} for group in groups
    }
    return {**profiles, **added}


def recount_groups(
    engine: sa.Engine,
    use_case: UseCase,
    version: int,
    profiles: SlicedProfiles,
    groups: Sequence[SliceGroup],
    start: datetime,
    end: datetime,
    channels: Sequence[str] = TRAFFIC,
) -> Counts:
    """The counts of groups alone, by the bins of `profiles`, of the window as in `recount_window`."""
    if not groups:
        return {}
    own = add_group_profiles({ALL_ROWS: profiles.get(ALL_ROWS, {})}, groups)
    _, counts = recount_window(engine, use_case, version, own, start, end, channels)
    return {group.name: counts[group.name] for group in groups if group.name in counts}
