"""How long overwritten and deleted rows are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from evergreen.store.connection.arrow import format_sql_literal
from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.tables.platform import STORE_STATE
from evergreen.usecase import UseCase


@dataclass(frozen=True)
class PrunedHistory:
    """Since when (aware UTC) system versions are kept, None for all, and the deleted rows by table."""

    history_from: datetime | None
    deleted: Mapping[str, int]


def prune_history(engine: sa.Engine, use_case: UseCase, days: int, now: datetime) -> PrunedHistory:
    """Delete the system versions that ended more than `days` before `now` (aware UTC); 0 days: none.

    What holds now, and every version of what was known when (both clocks), stays; but training sets that were
    read before then can no longer be reproduced, and `store_state` says so. Safe to run again. Raises
    StoreUnreachable.
    """
    if not days:
        return PrunedHistory(None, {})
    until = now - timedelta(days=days)
    deleted: dict[str, int] = {}
    insert = sa.dialects.mysql.insert(STORE_STATE)
    limit, new_limit = STORE_STATE.c.history_from, insert.inserted.history_from
    with engine.connect() as connection, hold_lock(connection, f"ingest.{use_case.name}"):
        existing = set(sa.inspect(connection).get_table_names())
        for table in (use_case.label_table, *map(use_case.history_table, use_case.views)):
            if table not in existing:
                continue
            # Recorded first: killed in between, the store says that it has less than it has.
            connection.execute(
                insert.values(table_name=table, history_from=to_naive_utc(until)).on_duplicate_key_update(
                    history_from=sa.func.greatest(sa.func.coalesce(limit, new_limit), new_limit)
                )
            )
            connection.commit()
            deletion = connection.exec_driver_sql(
                f"DELETE HISTORY FROM `{table}` BEFORE SYSTEM_TIME {format_sql_literal(until)}"
            )
            deleted[table] = deletion.rowcount
            connection.commit()
    return PrunedHistory(until, deleted)
