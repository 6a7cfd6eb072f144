"""Counts anew, and writes, the hours of the prediction log whose counts are not there or not whole.

That is so where a version got its reference profile later than its first predictions, where it got another
one, and for rows that an earlier version of Evergreen logged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from evergreen.model.prediction_counter import digest_bins
from evergreen.model.reference_profile import SlicedProfiles
from evergreen.monitoring.counts.recount import recount_hours
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.predictions.counts import HOUR
from evergreen.store.predictions.hour_counts import BinnedRows, HourKey, lock_hour, write_hour
from evergreen.store.tables.declared import RESERVED_PREFIX, build_prediction_table
from evergreen.store.tables.platform import PREDICTION_COUNT, PREDICTION_HOUR, SCHEMA_MIGRATION
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)

# No column of the log begins so: GROUP BY would mean the column.
_NUMBER = f"{RESERVED_PREFIX}number"
# So long services of an earlier version may go on beside those of this one.
_UPGRADE_TIME = timedelta(days=1)


def mend_counts(
    engine: sa.Engine,
    use_case: UseCase,
    version: int,
    profiles: SlicedProfiles,
    start: datetime,
    end: datetime,
    channels: Sequence[str] = TRAFFIC,
    *,
    every_hour: bool = False,
) -> int:
    """Count anew the hours that begin at `start` or later and before `end` (aware UTC, whole hours) and whose
    counts are not those of all rows by the bins of `profiles`, the version's own; how many there were. With
    `every_hour` all hours are counted anew, such as after rows were deleted from the log.

    Rows that are shipped meanwhile wait for the hour that is counted, and are added after it. Raises
    StoreUnreachable.
    """
    with engine.connect() as connection:
        keys = find_uncounted_hours(
            connection, use_case, version, profiles, start, end, channels, every_hour=every_hour
        )
        connection.rollback()
        for key in sorted(keys):
            _mend_hour(connection, use_case, key, profiles)
    if keys:
        logger.info("counted %d hours of %s version %d anew", len(keys), use_case.name, version)
    return len(keys)


def find_uncounted_hours(
    connection: sa.Connection,
    use_case: UseCase,
    version: int,
    profiles: SlicedProfiles,
    start: datetime,
    end: datetime,
    channels: Sequence[str] = TRAFFIC,
    *,
    every_hour: bool = False,
) -> set[HourKey]:
    """The hours that `mend_counts` counts anew."""
    digest = digest_bins(profiles)
    hours = _read_hours(connection, use_case, version, start, end, channels)
    keys = {
        key
        for key, (rows, counted, profile) in hours.items()
        if every_hour or counted < rows or profile != digest
    }
    # Rows of before are counted nowhere, not even by their number.
    since = _read_counting_since(connection)
    bound = to_naive_utc(end)
    if since is not None and not every_hour:
        bound = min(bound, since + _UPGRADE_TIME)
    if to_naive_utc(start) < bound:
        log_rows = _count_logged(connection, use_case, version, to_naive_utc(start), bound, channels)
        keys |= {key for key, rows in log_rows.items() if rows != hours.get(key, (0, 0, None))[0]}
    return keys


def _mend_hour(connection: sa.Connection, use_case: UseCase, key: HourKey, profiles: SlicedProfiles) -> None:
    start = to_aware_utc(key.hour)
    lock_hour(connection, use_case.name, key)
    # The first read, after the lock: it sees all rows that are in the counts, and no others.
    recount = recount_hours(
        connection, use_case, key.model_version, profiles, start, start + HOUR, [key.channel]
    )
    counts = {
        (name, feature): bins[0].tolist()
        for name, some in (recount.counts if recount.hours else {}).items()
        for feature, bins in some.items()
    }
    write_hour(
        connection, use_case.name, key, int(recount.rows.sum()), BinnedRows(digest_bins(profiles), counts)
    )
    connection.commit()


def _read_hours(
    connection: sa.Connection,
    use_case: UseCase,
    version: int,
    start: datetime,
    end: datetime,
    channels: Sequence[str],
) -> Mapping[HourKey, tuple[int, int, str | None]]:
    c = PREDICTION_HOUR.c
    statement = sa.select(c.channel, c.hour, c.row_count, c.counted, c.profile).where(
        c.use_case == use_case.name,
        c.model_version == version,
        c.channel.in_(list(channels)),
        c.hour >= to_naive_utc(start),
        c.hour < to_naive_utc(end),
    )
    return {
        HourKey(version, row.channel, row.hour): (row.row_count, row.counted, row.profile)
        for row in execute_if_table_exists(connection, statement)
    }


def _read_counting_since(connection: sa.Connection) -> datetime | None:
    """When this database got its tables of counts (naive UTC)."""
    c = SCHEMA_MIGRATION.c
    statement = sa.select(c.applied_at).where(c.name.like(f"%{PREDICTION_COUNT.name}"))
    return next((row.applied_at for row in execute_if_table_exists(connection, statement)), None)


def _count_logged(
    connection: sa.Connection,
    use_case: UseCase,
    version: int,
    start: datetime,
    end: datetime,
    channels: Sequence[str],
) -> Mapping[HourKey, int]:
    log = build_prediction_table(use_case)
    number = sa.func.timestampdiff(sa.text("HOUR"), start, log.c.predicted_at).label(_NUMBER)
    statement = (
        sa.select(log.c.channel, number, sa.func.count().label("row_count"))
        .where(
            log.c.model_version == version,
            log.c.channel.in_(list(channels)),
            log.c.predicted_at >= start,
            log.c.predicted_at < end,
        )
        .group_by(log.c.channel, sa.text(_NUMBER))
    )
    return {
        HourKey(version, channel, start + number * HOUR): rows
        for channel, number, rows in execute_if_table_exists(connection, statement)
    }
