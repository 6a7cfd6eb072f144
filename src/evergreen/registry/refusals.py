"""Versions that a service refused to serve, as lines of the ledger."""

from __future__ import annotations

import sqlalchemy as sa

from evergreen.registry.ledger import (
    Entry,
    append_entry,
    build_after_erase_condition,
    get_ledger_table,
    query_newest_entry,
)
from evergreen.registry.lock import lock_use_case

# Who stands in the ledger for what a prediction service decided.
SERVICE_ACTOR = "service"


def record_refusal(
    database: sa.Engine,
    use_case_name: str,
    version: int,
    run_id: str,
    reason: str,
    *,
    serving_version: int | None = None,
) -> Entry:
    """Append a `refuse` line, unless there is one of that version, run and reason; the line.

    Several workers and replicas refuse a version for the same reason and leave one line. `serving_version`
    stays in service (None: no model is). Raises StoreUnreachable, StoreError.
    """
    standing = _find_refusal(database, use_case_name, version, run_id, reason)
    if standing is not None:
        return standing
    with lock_use_case(database, use_case_name, seconds=30.0, purpose="refusal"):
        standing = _find_refusal(database, use_case_name, version, run_id, reason)
        return standing or append_entry(
            database,
            use_case_name=use_case_name,
            action="refuse",
            from_version=serving_version,
            to_version=version,
            training_run_id=None,
            mlflow_run_id=run_id or None,
            actor=SERVICE_ACTOR,
            reason=reason,
        )


def _find_refusal(
    database: sa.Engine, use_case_name: str, version: int, run_id: str, reason: str
) -> Entry | None:
    table = get_ledger_table(database)
    return query_newest_entry(
        database,
        table.c.use_case == use_case_name,
        table.c.action == "refuse",
        table.c.to_version == version,
        table.c.mlflow_run_id.is_not_distinct_from(run_id or None),
        table.c.reason == reason,
        build_after_erase_condition(table, use_case_name),
    )
