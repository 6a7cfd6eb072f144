"""Upkeep of a use case's tables: daily partitions of the prediction log, and pruning of history and checks.

The prediction log and its outcomes have one partition per day. Upkeep adds the partitions of the next days
and drops those that are older than `serving.retention`; counts of predictions and of refused rows that are as
old go with them. The history and label tables are system-versioned: upkeep deletes their overwritten and
deleted row versions once these are older than `EVERGREEN_HISTORY_DAYS` days. Of monitoring checks the details
go after `EVERGREEN_CHECK_DAYS` days; `store.records.checks.old_checks` says which.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TypedDict

import sqlalchemy as sa

from evergreen.moments import refuse_future
from evergreen.monitoring.alerts.alert import TOLD_ONCE
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.predictions.counts import delete_counts
from evergreen.store.predictions.refused import delete_refused_counts
from evergreen.store.records.checks.old_checks import PrunedChecks, prune_checks
from evergreen.store.tables.partitions import maintain_partitions
from evergreen.store.tables.prediction_tables import update_prediction_tables
from evergreen.store.tables.retention import prune_history
from evergreen.usecases import load_use_case

logger = logging.getLogger(__name__)


class UpkeepResult(TypedDict):
    """What one upkeep changed, JSON-able.

    `as_of` and `history_from` are ISO text in UTC. Partitions are named by day, such as `p20260131`.
    `versions_pruned` has the number of deleted row versions by table. `history_from` is the moment from which
    row versions are kept; None where all of them are. `checks_pruned` counts the monitoring checks that lost
    their details, `alerts_pruned` the alerts that were deleted.
    """

    use_case: str
    as_of: str
    partitions_added: list[str]
    partitions_dropped: list[str]
    versions_pruned: dict[str, int]
    history_from: str | None
    checks_pruned: int
    alerts_pruned: int


def run_upkeep(settings: Settings, use_case_name: str, as_of: datetime) -> UpkeepResult:
    """Maintain the partitions of the prediction log and prune history and checks, as of a moment (aware).

    It needs no champion and no logged predictions. Tables that do not exist yet are left out, and a second
    run of the same moment changes nothing. Raises SettingsError for a future `as_of`, because rows would be
    dropped before their time, and StoreUnreachable.
    """
    refuse_future(as_of)
    use_case, database = load_use_case(use_case_name, settings), get_engine(settings)
    partitions: dict[str, list[str]] = {"added": [], "dropped": []}
    if sa.inspect(database).has_table(use_case.prediction_table):
        update_prediction_tables(database, use_case)
        partitions = maintain_partitions(database, use_case, as_of)
    delete_refused_counts(database, use_case, as_of - use_case.serving.retention)
    delete_counts(database, use_case.name, as_of - use_case.serving.retention)
    history = prune_history(database, use_case, settings.history_days, as_of)
    checks = PrunedChecks(0, 0)
    if settings.check_days:
        apply_migrations(database)
        kept_since = as_of - timedelta(days=settings.check_days)
        checks = prune_checks(database, use_case.name, kept_since, kept_alerts=TOLD_ONCE)
    result = UpkeepResult(
        use_case=use_case_name,
        as_of=as_of.isoformat(),
        partitions_added=partitions["added"],
        partitions_dropped=partitions["dropped"],
        versions_pruned=dict(history.deleted),
        history_from=history.history_from.isoformat() if history.history_from else None,
        checks_pruned=checks.checks,
        alerts_pruned=checks.alerts,
    )
    logger.info("%s: %s", use_case_name, describe_upkeep(result))
    return result


def describe_upkeep(result: UpkeepResult) -> str:
    """An upkeep's changes in one line of text."""
    pruned = sum(result["versions_pruned"].values())
    if result["history_from"] is None:
        history = "no row version pruned (EVERGREEN_HISTORY_DAYS is 0: all are kept)"
    else:
        history = f"{pruned:,} row versions that ended before {result['history_from'][:10]} pruned"
    return (
        f"partitions of the prediction log: {_describe_days(result['partitions_added'])} added,"
        f" {_describe_days(result['partitions_dropped'])} dropped; {history};"
        f" details of {result['checks_pruned']:,} old checks and {result['alerts_pruned']:,} old alerts"
        " dropped"
    )


def _describe_days(partitions: list[str]) -> str:
    """The number of partitions with the first and last of them: "8 (p20260801 to p20260808)"."""
    if len(partitions) < 2:
        return f"1 ({partitions[0]})" if partitions else "none"
    return f"{len(partitions)} ({partitions[0]} to {partitions[-1]})"
