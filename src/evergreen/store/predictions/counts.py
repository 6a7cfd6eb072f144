"""Reads the counts of logged predictions by hour: for drift, which needs no row of the log then."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.missing import execute_if_table_exists, ignore_missing_table
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.tables.platform import PREDICTION_COUNT, PREDICTION_HOUR, REFUSED_COUNT

BinCounts: TypeAlias = npt.NDArray[np.int64]
# By slice ("" for all rows), then by feature: rows by bin, in the order of the reference profile's counts.
Counts: TypeAlias = Mapping[str, Mapping[str, BinCounts]]

HOUR = timedelta(hours=1)

# Slice, feature, and rows by bin.
_decode_hour = msgspec.json.Decoder(list[tuple[str, str, list[int]]]).decode


@dataclass(frozen=True)
class HourlyCounts:
    """Rows by hour, slice, feature and bin.

    `hours` are the beginnings (aware UTC, rising) of those that have rows. `rows` and `counted`, of shape
    (hours,), are the rows that were logged, and those of them that `counts` holds; `counts` has, by slice and
    feature, an array of shape (hours, bins). `refused` has, by field, how many rows services refused for a
    value of it, of shape (hours,); no version answered these.
    """

    hours: tuple[datetime, ...] = ()
    rows: BinCounts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    counted: BinCounts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    counts: Counts = field(default_factory=dict)
    refused: Mapping[str, BinCounts] = field(default_factory=dict)

    def sum(self, start: datetime | None = None, end: datetime | None = None) -> Counts:
        """The counts of all hours, or of those that begin at `start` or later and before `end` (aware
        UTC)."""
        is_within = np.array(
            [(start is None or hour >= start) and (end is None or hour < end) for hour in self.hours],
            dtype=np.bool_,
        )
        return {
            name: {feature: bins[is_within].sum(axis=0) for feature, bins in some.items()}
            for name, some in self.counts.items()
        }

    def drop_hours(self, hours: Collection[datetime]) -> HourlyCounts:
        """The same without the hours that begin at these moments (aware UTC)."""
        stays = np.array([hour not in hours for hour in self.hours], dtype=np.bool_)
        if stays.all():
            return self
        return HourlyCounts(
            hours=tuple(hour for hour in self.hours if hour not in hours),
            rows=self.rows[stays],
            counted=self.counted[stays],
            counts={
                name: {feature: bins[stays] for feature, bins in some.items()}
                for name, some in self.counts.items()
            },
            refused={name: rows[stays] for name, rows in self.refused.items()},
        )


@dataclass(frozen=True)
class LoggedSpan:
    """The predictions of a version and a channel that are logged: their number, and the beginnings of their
    first and last hour (aware UTC)."""

    model_version: int
    channel: str
    rows: int
    first: datetime
    last: datetime


def floor_hour(moment: datetime) -> datetime:
    """The beginning of a moment's hour in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def add_counts(first: Counts, second: Counts) -> Counts:
    """The sums of two counts by the same bins. What only one of them has is taken as it is."""
    result = {name: dict(some) for name, some in first.items()}
    for name, some in second.items():
        own = result.setdefault(name, {})
        for feature, bins in some.items():
            own[feature] = own[feature] + bins if feature in own else bins
    return result


def read_hourly_counts(
    engine: sa.Engine,
    use_case_name: str,
    version: int,
    start: datetime,
    end: datetime,
    channels: Sequence[str] = TRAFFIC,
    *,
    profile: str | None = None,
) -> HourlyCounts:
    """A version's counts of the whole hours that begin at `start` or later and before `end` (aware UTC), in
    these channels together.

    Hours without rows are left out. `profile` is the digest of the bins; None for those of the newest counts.
    Rows that were counted by other bins are not among the `counted`. Raises StoreUnreachable.
    """
    with get_fast_engine(engine).connect() as connection:
        counts = read_hourly_counts_within(
            connection, use_case_name, version, start, end, channels, profile=profile
        )
    return replace(counts, refused=read_hourly_refused(engine, use_case_name, counts.hours))


def read_hourly_counts_within(
    connection: sa.Connection,
    use_case_name: str,
    version: int,
    start: datetime,
    end: datetime,
    channels: Sequence[str] = TRAFFIC,
    *,
    profile: str | None = None,
) -> HourlyCounts:
    """The same on one connection: of one moment, if it is in a transaction. Refused rows are left out."""
    c = PREDICTION_HOUR.c
    hour_statement = sa.select(c.hour, c.channel, c.row_count, c.counted, c.profile).where(
        # An hour whose rows were deleted from the log stays, with none.
        *_select(PREDICTION_HOUR, use_case_name, version, start, end, channels),
        c.row_count > 0,
    )
    c = PREDICTION_COUNT.c
    # An hour as one document: a week by the hour has some ten thousand rows, each of which would cost more on
    # its way than what it says.
    quote, concat = sa.func.json_quote, sa.func.concat
    document = sa.func.group_concat(concat("[", quote(c.slice), ",", quote(c.feature), ",", c.counts, "]"))
    count_statement = (
        sa.select(c.hour, c.channel, document)
        .where(*_select(PREDICTION_COUNT, use_case_name, version, start, end, channels))
        .group_by(c.channel, c.hour)
    )
    hour_rows = execute_if_table_exists(connection, hour_statement.order_by(PREDICTION_HOUR.c.hour))
    count_rows = connection.execute(count_statement).all() if hour_rows else ()
    if profile is None:
        profile = next((row.profile for row in reversed(hour_rows) if row.profile), None)
    hours = sorted({row.hour for row in hour_rows})
    places = {hour: place for place, hour in enumerate(hours)}
    rows, rows_in_counts = np.zeros((2, len(hours)), dtype=np.int64)
    hour_keys: set[tuple[datetime, str]] = set()
    for row in hour_rows:
        rows[places[row.hour]] += row.row_count
        if row.profile == profile and row.counted:
            rows_in_counts[places[row.hour]] += row.counted
            hour_keys.add((row.hour, row.channel))
    return HourlyCounts(
        hours=tuple(map(to_aware_utc, hours)),
        rows=rows,
        counted=rows_in_counts,
        counts=_arrange(
            [(places[row[0]], row[2]) for row in count_rows if (row[0], row[1]) in hour_keys], len(places)
        ),
    )


def read_logged_spans(engine: sa.Engine, use_case_name: str) -> list[LoggedSpan]:
    """What is logged of each version and channel, the newest first. Raises StoreUnreachable."""
    c = PREDICTION_HOUR.c
    last = sa.func.max(c.hour)
    statement = (
        sa.select(c.model_version, c.channel, sa.func.sum(c.row_count), sa.func.min(c.hour), last)
        .where(c.use_case == use_case_name, c.row_count > 0)
        .group_by(c.model_version, c.channel)
        .order_by(last.desc(), c.model_version.desc(), c.channel)
    )
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)
    return [
        LoggedSpan(version, channel, int(count), to_aware_utc(first), to_aware_utc(end))
        for version, channel, count, first, end in rows
    ]


def read_hourly_refused(
    engine: sa.Engine, use_case_name: str, hours: Sequence[datetime]
) -> dict[str, BinCounts]:
    """By field, how many rows services refused for a value of it in each of the hours (aware UTC, rising);
    of shape (hours,). The hour is that in which the counting process closed its window of some seconds."""
    if not hours:
        return {}
    c = REFUSED_COUNT.c
    statement = sa.select(c.field, c.window_end, c.row_count).where(
        c.use_case == use_case_name,
        c.window_end >= to_naive_utc(hours[0]),
        c.window_end < to_naive_utc(hours[-1] + HOUR),
    )
    places = {hour: place for place, hour in enumerate(hours)}
    refusals: dict[str, BinCounts] = {}
    with engine.connect() as connection:
        for row in execute_if_table_exists(connection, statement):
            place = places.get(floor_hour(to_aware_utc(row.window_end)))
            if place is not None:
                refusals.setdefault(row.field, np.zeros(len(hours), dtype=np.int64))[place] += row.row_count
    return refusals


def delete_counts(engine: sa.Engine, use_case_name: str, before: datetime) -> int:
    """Delete the counts of the days (UTC) before that of a moment (aware), as the log drops its days; how
    many hours of a version and channel. Raises StoreUnreachable."""
    day = datetime.combine(to_naive_utc(before).date(), time())
    deleted = []
    with engine.begin() as connection, ignore_missing_table():
        # Hours first, as whoever adds counts locks them: in the other order each would wait for the other.
        for table in (PREDICTION_HOUR, PREDICTION_COUNT):
            statement = sa.delete(table).where(table.c.use_case == use_case_name, table.c.hour < day)
            deleted.append(connection.execute(statement).rowcount)
    return deleted[0] if deleted else 0


def _select(
    table: sa.Table,
    use_case_name: str,
    version: int,
    start: datetime,
    end: datetime,
    channels: Sequence[str],
) -> list[sa.ColumnElement[bool]]:
    c = table.c
    return [
        c.use_case == use_case_name,
        c.model_version == version,
        c.channel.in_(list(channels)),
        c.hour >= to_naive_utc(start),
        c.hour < to_naive_utc(end),
    ]


def _arrange(documents: Sequence[tuple[int, str]], hours: int) -> dict[str, dict[str, BinCounts]]:
    """Arrays from (place of the hour, its counts as JSON), the channels of an hour summed up."""
    cells: dict[tuple[str, str], tuple[list[int], list[list[int]]]] = {}
    for place, document in documents:
        for name, feature, bins in _decode_hour(f"[{document}]"):
            cell = cells.get((name, feature))
            if cell is None:
                cell = cells[name, feature] = ([], [])
            cell[0].append(place)
            cell[1].append(bins)
    counts: dict[str, dict[str, BinCounts]] = {}
    for (name, feature), (places, some) in cells.items():
        array = np.zeros((hours, len(some[0])), dtype=np.int64)
        np.add.at(array, places, np.array(some, dtype=np.int64))
        counts.setdefault(name, {})[feature] = array
    return counts
