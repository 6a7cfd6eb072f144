"""How long overwritten and deleted rows are kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from evergreen.store.connection.arrow import format_sql_literal
from evergreen.store.connection.database import hold_lock
from evergreen.store.connection.times import to_naive_utc
from evergreen.usecase import UseCase


def prune_history(engine: sa.Engine, use_case: UseCase, days: int, now: datetime) -> dict[str, Any]:
    """Delete the system versions that ended more than `days` before `now` (aware UTC); 0 days: none.

    What holds now, and every version of what was known when (both clocks), stays; but training sets that were
    read before then can no longer be reproduced, and `store_state` says so. Safe to run again. Returns
    {"history_from": ISO text or None, "deleted": {table: rows}}. Raises StoreUnreachable.
    """
    if not days:
        return {"history_from": None, "deleted": {}}
    until = now - timedelta(days=days)
    deleted = {}
    with engine.connect() as connection, hold_lock(connection, f"ingest.{use_case.name}"):
        existing = set(sa.inspect(connection).get_table_names())
        for table in (use_case.label_table, *map(use_case.history_table, use_case.views)):
            if table not in existing:
                continue
            # Written down first: killed in between, the store promises too little, never too much.
            connection.execute(
                sa.text(
                    "INSERT INTO store_state (table_name, history_from) VALUES (:table, :until)"
                    " ON DUPLICATE KEY UPDATE history_from = GREATEST(COALESCE(history_from, :until), :until)"
                ),
                {"table": table, "until": to_naive_utc(until)},
            )
            connection.commit()
            gone = connection.exec_driver_sql(
                f"DELETE HISTORY FROM `{table}` BEFORE SYSTEM_TIME {format_sql_literal(until)}"
            )
            deleted[table] = gone.rowcount
            connection.commit()
    return {"history_from": until.isoformat(), "deleted": deleted}
