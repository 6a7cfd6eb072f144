"""Adds the counts of rows to the hours of the prediction log, in the transaction that writes the rows.

A row of `prediction_hour` stands for a version, a channel and an hour. It is changed first, in the order of
its key, which locks it until the transaction ends: several writers add one after the other and never wait for
each other in a circle. Only then are the counts read, added up and written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from evergreen.store.tables.platform import PREDICTION_COUNT, PREDICTION_HOUR

# The values of the rows of a prediction log by column name, all of one length.
LoggedColumns: TypeAlias = Mapping[str, Sequence[Any]]

_decode_counts = msgspec.json.Decoder(list[int]).decode
_encode_json = msgspec.json.Encoder().encode


class HourKey(NamedTuple):
    """A version, a channel, and the beginning of an hour (naive UTC)."""

    model_version: int
    channel: str
    hour: datetime


@dataclass(frozen=True)
class BinnedRows:
    """Rows by bin: for each (slice, feature) the counts in the order of the profile's.

    `profile` is the digest of the bins by which they were counted.
    """

    profile: str
    counts: Mapping[tuple[str, str], Sequence[int]]


class RowCounter(Protocol):
    """Counts rows by the bins of their version's reference profile."""

    def count_rows(self, version: int, columns: LoggedColumns) -> BinnedRows | None:
        """The rows of a version by bin; None where it has no profile."""
        ...

    def forget_profile(self, version: int) -> None:
        """Read the version's profile again before the next rows are counted."""
        ...


def add_rows_to_hours(
    connection: sa.Connection, use_case_name: str, columns: LoggedColumns, counter: RowCounter | None
) -> None:
    """Add logged rows, none of which was there before, to the counts of their hours.

    To be called in the transaction that wrote them, which has read nothing before: a transaction's first read
    decides which counts of others it sees. It is the caller's to commit. Without a `counter`, and for
    versions without a profile, the rows are added to `prediction_hour` alone, as rows that are not counted.
    """
    groups = {
        key: (len(rows["channel"]), counter.count_rows(key.model_version, rows) if counter else None)
        for key, rows in sorted(_group_by_hour(columns).items())
    }
    if not groups:
        return
    insert = mysql.insert(PREDICTION_HOUR)
    c = PREDICTION_HOUR.c
    connection.execute(
        insert.on_duplicate_key_update(row_count=c.row_count + insert.inserted.row_count),
        [
            {**_build_key(use_case_name, key), "row_count": rows, "counted": 0, "profile": None}
            for key, (rows, _) in groups.items()
        ],
    )
    for key, (rows, binned) in groups.items():
        if binned is not None:
            _add_binned_rows(connection, use_case_name, key, rows, binned, counter)


def write_hour(
    connection: sa.Connection, use_case_name: str, key: HourKey, rows: int, binned: BinnedRows
) -> None:
    """Replace an hour's counts by those of its `rows` rows. It is the caller's to lock the hour before it
    counts them (`lock_hour`), and to commit."""
    _delete_counts(connection, use_case_name, key, binned.counts.keys())
    _save_counts(connection, use_case_name, key, binned.counts)
    connection.execute(
        sa.update(PREDICTION_HOUR)
        .where(*_match(PREDICTION_HOUR, use_case_name, key))
        .values(row_count=rows, counted=rows, profile=binned.profile)
    )


def lock_hour(connection: sa.Connection, use_case_name: str, key: HourKey) -> None:
    """Let nobody add rows to an hour, which need not have any yet, until the transaction ends."""
    insert = mysql.insert(PREDICTION_HOUR).values(
        **_build_key(use_case_name, key), row_count=0, counted=0, profile=None
    )
    connection.execute(insert.on_duplicate_key_update(row_count=PREDICTION_HOUR.c.row_count))


def _add_binned_rows(
    connection: sa.Connection,
    use_case_name: str,
    key: HourKey,
    rows: int,
    binned: BinnedRows,
    counter: RowCounter | None,
) -> None:
    hour = sa.select(PREDICTION_HOUR.c.profile).where(*_match(PREDICTION_HOUR, use_case_name, key))
    former_profile = connection.execute(hour).scalar_one()
    if former_profile not in (None, binned.profile):
        # Another training has made that version, and one of the processes that count does not know yet. The
        # hour is as if nobody had counted it: `monitoring.counts` counts it anew.
        _forget_counts(connection, use_case_name, key)
        if counter is not None:
            counter.forget_profile(key.model_version)
        return
    c = PREDICTION_COUNT.c
    counts: dict[tuple[str, str], Sequence[int]] = dict(binned.counts)
    former = sa.select(c.slice, c.feature, c.counts).where(*_match(PREDICTION_COUNT, use_case_name, key))
    for slice_name, feature, text in connection.execute(former):
        increase = counts.get((slice_name, feature))
        if increase is not None:
            counts[slice_name, feature] = [a + b for a, b in zip(_decode_counts(text), increase, strict=True)]
    _save_counts(connection, use_case_name, key, counts)
    connection.execute(
        sa.update(PREDICTION_HOUR)
        .where(*_match(PREDICTION_HOUR, use_case_name, key))
        .values(counted=PREDICTION_HOUR.c.counted + rows, profile=binned.profile)
    )


def _forget_counts(connection: sa.Connection, use_case_name: str, key: HourKey) -> None:
    _delete_counts(connection, use_case_name, key)
    connection.execute(
        sa.update(PREDICTION_HOUR)
        .where(*_match(PREDICTION_HOUR, use_case_name, key))
        .values(counted=0, profile=None)
    )


def _delete_counts(
    connection: sa.Connection, use_case_name: str, key: HourKey, but: Collection[tuple[str, str]] = ()
) -> None:
    """Delete the counts of an hour, but not those of these (slice, feature).

    Each by its whole key. A range would be locked together with the gap behind it, where others insert the
    counts of their hours: two that do so at the same time would wait for each other.
    """
    c = PREDICTION_COUNT.c
    statement = sa.select(c.slice, c.feature).where(*_match(PREDICTION_COUNT, use_case_name, key))
    for slice_name, feature in connection.execute(statement).all():
        if (slice_name, feature) not in but:
            connection.execute(
                sa.delete(PREDICTION_COUNT).where(
                    *_match(PREDICTION_COUNT, use_case_name, key), c.slice == slice_name, c.feature == feature
                )
            )


def _save_counts(
    connection: sa.Connection,
    use_case_name: str,
    key: HourKey,
    counts: Mapping[tuple[str, str], Sequence[int]],
) -> None:
    if not counts:
        return
    insert = mysql.insert(PREDICTION_COUNT)
    base = _build_key(use_case_name, key)
    connection.execute(
        insert.on_duplicate_key_update(counts=insert.inserted.counts),
        [
            {**base, "slice": slice_name, "feature": feature, "counts": _encode_json(bins).decode()}
            for (slice_name, feature), bins in sorted(counts.items())
        ],
    )


def _group_by_hour(columns: LoggedColumns) -> dict[HourKey, LoggedColumns]:
    """The rows by version, channel and hour."""
    versions, channels, moments = columns["model_version"], columns["channel"], columns["predicted_at"]
    if not versions:
        return {}
    first, last = _begin_hour(min(moments)), _begin_hour(max(moments))
    if first == last and len(set(versions)) == len(set(channels)) == 1:
        return {HourKey(versions[0], channels[0], first): columns}
    numbers: dict[HourKey, list[int]] = {}
    for number, (version, channel, moment) in enumerate(zip(versions, channels, moments, strict=True)):
        numbers.setdefault(HourKey(version, channel, _begin_hour(moment)), []).append(number)
    return {key: _take_rows(columns, some) for key, some in numbers.items()}


def _take_rows(columns: LoggedColumns, numbers: Sequence[int]) -> LoggedColumns:
    if len(numbers) == 1:
        return {name: (values[numbers[0]],) for name, values in columns.items()}
    take = itemgetter(*numbers)
    return {name: take(values) for name, values in columns.items()}


def _begin_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _build_key(use_case_name: str, key: HourKey) -> dict[str, Any]:
    return {"use_case": use_case_name, **key._asdict()}


def _match(table: sa.Table, use_case_name: str, key: HourKey) -> list[sa.ColumnElement[bool]]:
    c = table.c
    return [
        c.use_case == use_case_name,
        c.model_version == key.model_version,
        c.channel == key.channel,
        c.hour == key.hour,
    ]
