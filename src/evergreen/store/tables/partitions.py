"""Daily partitions of the prediction log and of its outcomes: created ahead of time, dropped after the
declared retention."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

import sqlalchemy as sa

from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.migrations.alter import alter_table
from evergreen.store.tables.platform import CATALOGUE_PARTITIONS
from evergreen.usecase import UseCase

DAYS_AHEAD = 7

_CATCH_ALL = "pmax"
_CHUNK_ROWS = 5_000


def maintain_partitions(engine: sa.Engine, use_case: UseCase, now: datetime) -> dict[str, list[str]]:
    """Have a partition for each day up to a week from `now`, and none that lies wholly before the retention,
    in the prediction log and in the table of outcomes.

    Returns the log's {"added": [...], "dropped": [...]}, named `p20260131`. Run again it changes nothing.
    Rows that lie in the catch-all are moved into their day. Each upkeep calls it.

    No step waits for another session for longer than a second, after which it lets others pass and tries
    again. Raises StoreError when a session keeps a table for five minutes: what was done until then is whole,
    and the next run does the rest.
    """
    today = to_naive_utc(now).date()
    oldest = (to_naive_utc(now) - use_case.serving.retention).date()
    with engine.connect() as connection, hold_lock(connection, f"partitions.{use_case.name}"):
        result = _maintain_table(connection, use_case.prediction_table, today, oldest)
        if sa.inspect(connection).has_table(use_case.outcome_table):
            _maintain_table(connection, use_case.outcome_table, today, oldest)
            _delete_nobodys_outcomes(connection, use_case.outcome_table, oldest)
    return result


def copy_partitions(connection: sa.Connection, source: str, target: str) -> None:
    """Give the table `target`, which has the catch-all only, the days of the table `source`."""
    days = _read_partition_days(connection, source)
    if days and not _read_partition_days(connection, target):
        _split_catch_all(connection, target, days)


def _maintain_table(connection: sa.Connection, table: str, today: date, oldest: date) -> dict[str, list[str]]:
    days = _read_partition_days(connection, table)
    first = days[-1] + timedelta(days=1) if days else _find_first_day(connection, table, today, oldest)
    last = today + timedelta(days=DAYS_AHEAD)
    new = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    if new:
        _split_catch_all(connection, table, new)
    expired = [day for day in [*days, *new] if day < oldest]
    if expired:
        alter_table(connection, table, f"DROP PARTITION {', '.join(map(_format_partition_name, expired))}")
    return {
        "added": [_format_partition_name(day) for day in new],
        "dropped": [_format_partition_name(day) for day in expired],
    }


def _split_catch_all(connection: sa.Connection, table: str, days: Sequence[date]) -> None:
    partitions = ", ".join(
        f"PARTITION {_format_partition_name(day)} VALUES LESS THAN ('{day + timedelta(days=1)}')"
        for day in days
    )
    alter_table(
        connection,
        table,
        f"REORGANIZE PARTITION {_CATCH_ALL} INTO ({partitions},"
        f" PARTITION {_CATCH_ALL} VALUES LESS THAN (MAXVALUE))",
    )


def _delete_nobodys_outcomes(connection: sa.Connection, table: str, oldest: date) -> None:
    """Delete outcomes in the catch-all that were recorded before the retention: their ids name a moment that
    was far in the future then, so no prediction ever had them, and no day takes them."""
    rows = f"`{table}` PARTITION ({_CATCH_ALL})"
    statement = sa.text(f"DELETE FROM {rows} WHERE recorded_at < :oldest LIMIT :limit")  # noqa: S608
    values = {"oldest": datetime.combine(oldest, time()), "limit": _CHUNK_ROWS}
    deleted = _CHUNK_ROWS
    while deleted == _CHUNK_ROWS:
        connection.rollback()
        deleted = connection.execute(statement, values).rowcount
        connection.commit()


def _format_partition_name(day: date) -> str:
    return f"p{day:%Y%m%d}"


def _read_partition_days(connection: sa.Connection, table: str) -> list[date]:
    c = CATALOGUE_PARTITIONS.c
    names = connection.scalars(
        sa.select(c.partition_name)
        .where(c.table_schema == sa.func.database(), c.table_name == table)
        .where(c.partition_name != _CATCH_ALL)
        .order_by(c.partition_ordinal_position)
    )
    return [date.fromisoformat(name[1:]) for name in names if name]


def _find_first_day(connection: sa.Connection, table: str, today: date, oldest: date) -> date:
    """The day of the oldest prediction, within the retention; today when there is none."""
    rows = sa.table(table, sa.column("predicted_at"))
    earliest = connection.execute(sa.select(sa.func.min(rows.c.predicted_at))).scalar()
    # A day before the retention begins takes what is older, and is dropped right away.
    return min(today, max(earliest.date(), oldest - timedelta(days=1))) if earliest else today
