"""The proof that the counts which were kept are those of the log: both are read in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import sqlalchemy as sa

from evergreen.documents import JsonObject, write_document
from evergreen.model.prediction_counter import digest_bins
from evergreen.model.reference_profile import SlicedProfiles, load_sliced_profiles
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.counts.mend import mend_counts
from evergreen.monitoring.counts.recount import recount_hours
from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.predictions.counts import HourlyCounts, read_hourly_counts_within
from evergreen.store.tables.platform import PREDICTION_HOUR
from evergreen.usecase import UseCase


@dataclass(frozen=True)
class CountsProof:
    """What was kept of a version's predictions of a channel, beside the log.

    `rows` are in the log in `hours` hours; `differences` say in words where the counts are not theirs.
    """

    model_version: int
    channel: str
    hours: int
    rows: int
    differences: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether the counts are those of the log."""
        return not self.differences

    def to_json(self) -> JsonObject:
        """The fields, and whether they are equal."""
        return {**write_document(self), "equal": self.equal}


def prove_counts(engine: sa.Engine, use_case: UseCase, start: datetime, end: datetime) -> list[CountsProof]:
    """Compare the counts of the hours that begin at `start` or later and before `end` (aware UTC, whole
    hours) with the log, for each version and channel that has any. Raises StoreUnreachable."""
    proofs = []
    with get_fast_engine(engine).connect() as connection:
        for version, channel in _list_counted(connection, use_case, start, end):
            profiles = load_sliced_profiles(engine, use_case.name, version)
            connection.rollback()  # what comes next is read as of one moment
            digest = digest_bins(profiles)
            bounds = (version, start, end, [channel])
            standing = read_hourly_counts_within(connection, use_case.name, *bounds, profile=digest)
            anew = recount_hours(connection, use_case, version, profiles, *bounds[1:])
            proofs.append(
                CountsProof(
                    version,
                    channel,
                    len(anew.hours),
                    int(anew.rows.sum()),
                    tuple(compare_hours(profiles, standing, anew)),
                )
            )
    return proofs


def mend_all_counts(engine: sa.Engine, use_case: UseCase, start: datetime, end: datetime) -> None:
    """Count every hour of these (as in `prove_counts`) anew, and write the counts."""
    with engine.connect() as connection:
        pairs = _list_counted(connection, use_case, start, end)
    for version, channel in pairs:
        if profiles := load_sliced_profiles(engine, use_case.name, version):
            mend_counts(engine, use_case, version, profiles, start, end, [channel], every_hour=True)


def _list_counted(
    connection: sa.Connection, use_case: UseCase, start: datetime, end: datetime
) -> list[tuple[int, str]]:
    """The versions and channels that have hours within these bounds."""
    c = PREDICTION_HOUR.c
    statement = (
        sa.select(c.model_version, c.channel)
        .distinct()
        .where(c.use_case == use_case.name, c.hour >= to_naive_utc(start), c.hour < to_naive_utc(end))
        .order_by(c.model_version, c.channel)
    )
    return [(version, channel) for version, channel in execute_if_table_exists(connection, statement)]


def compare_hours(profiles: SlicedProfiles, kept: HourlyCounts, anew: HourlyCounts) -> Sequence[str]:
    """Where counts that were kept are not those that were counted anew, in words; () where they are equal."""
    if not profiles:
        return ("the version has no reference profile, so that nothing was counted",)
    gaps = sorted(set(anew.hours) ^ set(kept.hours))
    if gaps:
        return (f"{len(gaps)} hours are not in both, the first of them {gaps[0]:%Y-%m-%d %H:%M} UTC",)
    differences = []
    for what, rows in (("were logged", kept.rows), ("were counted", kept.counted)):
        for place in np.flatnonzero(rows != anew.rows)[:1]:
            differences.append(
                f"in the hour of {anew.hours[place]:%Y-%m-%d %H:%M} UTC {int(rows[place]):,} rows {what},"
                f" and {int(anew.rows[place]):,} are in the log"
            )
    if differences or not anew.hours:
        return tuple(differences)
    for name, some in anew.counts.items():
        for feature, bins in some.items():
            own = kept.counts.get(name, {}).get(feature)
            if own is None or not np.array_equal(own, bins):
                differences.append(
                    f"the counts of {feature}{f' in {name}' if name != ALL_ROWS else ''} differ"
                )
    return tuple(differences)
