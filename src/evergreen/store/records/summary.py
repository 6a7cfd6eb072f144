"""What the store holds of a use case, in short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from evergreen.documents import JsonObject, write_document
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc
from evergreen.store.records.ingest_lock import is_interrupted
from evergreen.store.tables.declared import build_history_table, build_label_table, build_online_table
from evergreen.store.tables.platform import INGEST_RUN
from evergreen.usecase import EVENT_TIME, UseCase


@dataclass(frozen=True)
class TableSummary:
    """Rows of a history or label table, all versions counted, and its newest event time (aware UTC).

    `keys` is the number of rows of a view's online table, None for the label.
    """

    rows: int
    newest_event_time: datetime | None
    keys: int | None = None

    def to_json(self) -> JsonObject:
        """The fields, the moment as ISO text; `keys` of views only."""
        document = write_document(self)
        if self.keys is None:
            del document["keys"]
        return document


@dataclass(frozen=True)
class LastIngest:
    """The ingest run that began last. `as_of` is aware UTC; `status` is 'interrupted' where a run was begun
    and nobody is at work on it."""

    as_of: datetime
    status: str
    rows_loaded: int | None

    def to_json(self) -> JsonObject:
        """The fields, the moment as ISO text."""
        return write_document(self)


@dataclass(frozen=True)
class StoreSummary:
    """Views by name, the label, and the last ingest; None before the first."""

    views: Mapping[str, TableSummary]
    label: TableSummary
    last_ingest: LastIngest | None

    def to_json(self) -> JsonObject:
        """The part `store` of `evergreen status --json`."""
        return {
            "views": {name: view.to_json() for name, view in self.views.items()},
            "label": self.label.to_json(),
            "last_ingest": self.last_ingest.to_json() if self.last_ingest else None,
        }


def summarize_store(engine: sa.Engine, use_case: UseCase) -> StoreSummary:
    """What the store holds of a use case; zeros before its tables exist. Raises StoreUnreachable."""
    with engine.connect() as connection:
        views = {}
        for view in use_case.views:
            rows, newest = _count_rows(connection, build_history_table(use_case, view))
            keys, _ = _count_rows(connection, build_online_table(use_case, view))
            views[view.name] = TableSummary(rows, newest, keys)
        label = TableSummary(*_count_rows(connection, build_label_table(use_case)))
        return StoreSummary(views, label, read_last_ingest(connection, use_case))


def read_last_ingest(connection: sa.Connection, use_case: UseCase) -> LastIngest | None:
    """The ingest run that began last; None before the first. Raises StoreUnreachable."""
    columns = INGEST_RUN.c
    result = execute_if_table_exists(
        connection,
        sa.select(columns.as_of, columns.status, columns.rows_loaded, columns.id)
        .where(columns.use_case == use_case.name)
        .order_by(columns.started_at.desc())
        .limit(1),
    )
    if not result:
        return None
    as_of, status, rows_loaded, run_id = result[0]
    if is_interrupted(connection, run_id, status):
        status = "interrupted"
    return LastIngest(to_aware_utc(as_of), status, rows_loaded)


def _count_rows(connection: sa.Connection, table: sa.Table) -> tuple[int, datetime | None]:
    statement = sa.select(sa.func.count(), sa.func.max(table.c[EVENT_TIME])).select_from(table)
    result = execute_if_table_exists(connection, statement)
    rows, newest = result[0] if result else (0, None)
    return rows, to_aware_utc(newest) if newest else None
