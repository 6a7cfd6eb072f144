"""Daily partitions of the prediction log: created ahead of time, dropped after the declared retention."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import sqlalchemy as sa

from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.tables import declared
from evergreen.store.tables.platform import CATALOGUE_PARTITIONS
from evergreen.usecase import UseCase

DAYS_AHEAD = 7


def maintain_partitions(engine: sa.Engine, use_case: UseCase, now: datetime) -> dict[str, list[str]]:
    """Have a partition for each day up to a week from `now`, and none that lies wholly before the retention.

    Returns {"added": [...], "dropped": [...]}, named `p20260131`. Run again it changes nothing. Rows that lie
    in the catch-all are moved into their day. Each upkeep calls it.
    """
    today = to_naive_utc(now).date()
    oldest = (to_naive_utc(now) - use_case.serving.retention).date()
    with engine.connect() as connection, hold_lock(connection, f"partitions.{use_case.name}"):
        days = _read_partition_days(connection, use_case)
        first = days[-1] + timedelta(days=1) if days else _find_first_day(connection, use_case, today, oldest)
        last = today + timedelta(days=DAYS_AHEAD)
        new = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        if new:
            parts = ", ".join(
                f"PARTITION {_format_partition_name(day)} VALUES LESS THAN ('{day + timedelta(days=1)}')"
                for day in new
            )
            _alter_table(
                connection,
                use_case,
                f"REORGANIZE PARTITION pmax INTO ({parts}, PARTITION pmax VALUES LESS THAN (MAXVALUE))",
            )
        expired = [day for day in [*days, *new] if day < oldest]
        if expired:
            _alter_table(
                connection, use_case, f"DROP PARTITION {', '.join(map(_format_partition_name, expired))}"
            )
    return {
        "added": [_format_partition_name(day) for day in new],
        "dropped": [_format_partition_name(day) for day in expired],
    }


def _format_partition_name(day: date) -> str:
    return f"p{day:%Y%m%d}"


def _alter_table(connection: sa.Connection, use_case: UseCase, change: str) -> None:
    # Names from the checked declaration and from dates only; DDL takes no parameters.
    connection.exec_driver_sql(f"ALTER TABLE `{use_case.prediction_table}` {change}")


def _read_partition_days(connection: sa.Connection, use_case: UseCase) -> list[date]:
    c = CATALOGUE_PARTITIONS.c
    names = connection.scalars(
        sa.select(c.partition_name)
        .where(c.table_schema == sa.func.database(), c.table_name == use_case.prediction_table)
        .where(c.partition_name != "pmax")
        .order_by(c.partition_ordinal_position)
    )
    return [date.fromisoformat(name[1:]) for name in names if name]


def _find_first_day(connection: sa.Connection, use_case: UseCase, today: date, oldest: date) -> date:
    """The day of the oldest logged prediction, within the retention; today when there is none."""
    earliest = connection.execute(
        sa.select(sa.func.min(declared.build_prediction_table(use_case).c.predicted_at))
    ).scalar()
    # A day before the retention begins takes what is older, and is dropped right away.
    return min(today, max(earliest.date(), oldest - timedelta(days=1))) if earliest else today
