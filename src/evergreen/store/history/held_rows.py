"""What MariaDB held of some keys, and when: every version of their history rows with its system time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc
from evergreen.store.connection.values import KeyTuple, StoredRow
from evergreen.store.tables.declared import INGESTED_AT, build_history_table
from evergreen.usecase import EVENT_TIME, FeatureView, UseCase

# Versions beyond this number would be those of a key that changes without end; the sample is a sample anyway.
_MOST_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One version of a history row. Moments are aware UTC: it was in the table from `held_from` until
    `held_until`, without the latter."""

    event_time: datetime
    ingested_at: datetime
    held_from: datetime
    held_until: datetime
    values: StoredRow


def read_held_rows(
    engine: sa.Engine, use_case: UseCase, view: FeatureView, keys: Sequence[KeyTuple]
) -> Mapping[KeyTuple, list[HeldRow]]:
    """All versions of the rows of those keys in a view's history, in no order; none before the table
    exists."""
    if not keys:
        return {}
    table = build_history_table(use_case, view)
    names = use_case.entity.key_names
    columns = [table.c[name] for name in names]
    statement = (
        sa.select(
            *table.c,
            sa.literal_column("row_start").label("held_from"),
            sa.literal_column("row_end").label("held_until"),
        )
        .select_from(table)
        .with_hint(table, "FOR SYSTEM_TIME ALL")
        .where(
            sa.tuple_(*columns).in_(list(keys)) if len(columns) > 1 else columns[0].in_([k[0] for k in keys])
        )
        .limit(_MOST_ROWS)
    )
    rows_by_key: dict[KeyTuple, list[HeldRow]] = defaultdict(list)
    with get_fast_engine(engine).connect() as connection:
        for row in execute_if_table_exists(connection, statement):
            fields = row._mapping
            rows_by_key[tuple(fields[name] for name in names)].append(
                HeldRow(
                    event_time=to_aware_utc(fields[EVENT_TIME]),
                    ingested_at=to_aware_utc(fields[INGESTED_AT]),
                    held_from=to_aware_utc(fields["held_from"]),
                    held_until=to_aware_utc(fields["held_until"]),
                    values={name: fields[name] for name in view.feature_names},
                )
            )
    return rows_by_key


def find_newest_held_row(rows: Sequence[HeldRow], moment: datetime) -> HeldRow | None:
    """The row that the online store had of these at a moment (aware): the one of the latest event time, of
    one event time the last ingested. None where MariaDB held none then."""
    valid_rows = [row for row in rows if row.held_from <= moment < row.held_until]
    return max(valid_rows, key=lambda row: (row.event_time, row.ingested_at), default=None)
