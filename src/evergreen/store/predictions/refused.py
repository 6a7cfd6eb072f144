"""Counts of request rows that services refused for their values, by field."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.store.connection.missing import execute_if_table_exists, ignore_missing_table
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.connection.values import StoredRow
from evergreen.store.predictions.append_rows import append_rows
from evergreen.store.tables.platform import REFUSED_COUNT
from evergreen.usecase import UseCase

# What the columns hold; a client chooses the names of fields that are not declared.
_NAME_CHARACTERS = 100
_SERVICE_CHARACTERS = 191


@dataclass(frozen=True, slots=True)
class RefusedCount:
    """How many rows a service process refused for one fault of one field, after `window_start` and up to
    `window_end` (aware UTC).

    `count_id` is a UUID of its own. `field` is the request's field, "" for the whole row; `kind` is
    pydantic's type of the fault, such as "missing" or "greater_than_equal"; `service` names the process. A
    row with several faults counts for each.
    """

    count_id: str
    field: str
    kind: str
    rows: int
    window_start: datetime
    window_end: datetime
    service: str

    def to_json(self) -> dict[str, str | int]:
        """The fields by name, moments as ISO 8601 text."""
        return {
            **asdict(self),
            "window_start": self.window_start.isoformat(),
            "window_end": self.window_end.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class RefusedSum:
    """How many rows all services refused for one fault of one field."""

    field: str
    kind: str
    rows: int


def insert_refused_counts(engine: sa.Engine, use_case: UseCase, counts: Sequence[RefusedCount]) -> int:
    """Append counts, all of them or none; how many were new. Those that are there are not changed.

    Names longer than their column are cut. Raises StoreError for an id that is none.
    """
    rows = [_build_row(use_case, count) for count in counts]
    return append_rows(engine, REFUSED_COUNT, {str(row["id"]): row for row in reversed(rows)})


def sum_refused_counts(
    engine: sa.Engine, use_case: UseCase, start: datetime, end: datetime
) -> list[RefusedSum]:
    """The counts whose windows end after `start` and up to `end` (aware UTC), by field and kind, most rows
    first. Raises StoreUnreachable."""
    c = REFUSED_COUNT.c
    rows = sa.func.sum(c.row_count).label("rows")
    statement = (
        sa.select(c.field, c.kind, rows)
        .where(c.use_case == use_case.name)
        .where(c.window_end > to_naive_utc(start), c.window_end <= to_naive_utc(end))
        .group_by(c.field, c.kind)
        .order_by(rows.desc(), c.field, c.kind)
    )
    with engine.connect() as connection:
        return [
            RefusedSum(row.field, row.kind, int(row.rows))
            for row in execute_if_table_exists(connection, statement)
        ]


def delete_refused_counts(engine: sa.Engine, use_case: UseCase, before: datetime) -> int:
    """Delete the counts whose windows ended before a moment (aware UTC); their number. Raises
    StoreUnreachable."""
    c = REFUSED_COUNT.c
    statement = sa.delete(REFUSED_COUNT).where(
        c.use_case == use_case.name, c.window_end < to_naive_utc(before)
    )
    deleted = 0
    with engine.begin() as connection, ignore_missing_table():
        deleted = connection.execute(statement).rowcount
    return deleted


def _build_row(use_case: UseCase, count: RefusedCount) -> StoredRow:
    try:
        count_id = str(uuid.UUID(count.count_id))
    except ValueError:
        raise StoreError(
            f"{count.count_id!r} is not the id of a count", hint="give each count a new UUID"
        ) from None
    return {
        "id": count_id,
        "use_case": use_case.name,
        "field": count.field[:_NAME_CHARACTERS],
        "kind": count.kind[:_NAME_CHARACTERS],
        "row_count": count.rows,
        "window_start": to_naive_utc(count.window_start),
        "window_end": to_naive_utc(count.window_end),
        "service": count.service[:_SERVICE_CHARACTERS],
    }
