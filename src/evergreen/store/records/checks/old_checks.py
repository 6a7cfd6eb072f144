"""What is dropped of old monitoring checks, and what stays of them.

A check leaves rows in several tables. What is large or of the day goes: the document of its report, the bins
of its features, its figures by slice, its findings on data and service, and its alerts. What an audit needs
stays: when it was, of which version and window, the verdict and its reason, its figures over all rows, the
quality by day, and the decision with its inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from evergreen.store.connection.missing import ignore_missing_table
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.tables.platform import ALERT, CHECK_REPORT, DRIFT_METRIC, DRIFT_REPORT, HEALTH_FINDING

# Checks of one transaction: some 500 figures each.
_CHECKS_AT_ONCE = 50


@dataclass(frozen=True)
class PrunedChecks:
    """How many checks lost their details, and how many alerts were deleted."""

    checks: int
    alerts: int


def prune_checks(engine: sa.Engine, use_case: str, before: datetime) -> PrunedChecks:
    """Drop the details of a use case's checks as of moments before `before` (aware UTC), and its alerts that
    were raised before it, but for those that still wait to be sent.

    Run again it finds nothing. Raises StoreUnreachable.
    """
    moment, checks, alerts = to_naive_utc(before), 0, 0
    report = DRIFT_REPORT.c.report
    old = (
        sa.select(DRIFT_REPORT.c.id)
        .where(DRIFT_REPORT.c.use_case == use_case, DRIFT_REPORT.c.as_of < moment)
        .where(report.is_not(None), sa.func.json_value(report, "$.pruned").is_(None))
        .order_by(DRIFT_REPORT.c.as_of)
        .limit(_CHECKS_AT_ONCE)
    )
    with ignore_missing_table():
        while True:
            with engine.begin() as connection:
                ids = connection.execute(old).scalars().all()
                if not ids:
                    break
                _drop_details(connection, ids)
            checks += len(ids)
    with ignore_missing_table(), engine.begin() as connection:
        c = ALERT.c
        waiting = c.status == "pending"
        statement = sa.delete(ALERT).where(c.use_case == use_case, c.raised_at < moment, sa.not_(waiting))
        alerts = connection.execute(statement).rowcount
    return PrunedChecks(checks, alerts)


def _drop_details(connection: sa.Connection, ids: Sequence[str]) -> None:
    connection.execute(
        sa.update(CHECK_REPORT).where(CHECK_REPORT.c.check_id.in_(ids)).values(document=sa.null())
    )
    connection.execute(sa.delete(HEALTH_FINDING).where(HEALTH_FINDING.c.report_id.in_(ids)))
    connection.execute(
        sa.delete(DRIFT_METRIC).where(DRIFT_METRIC.c.check_id.in_(ids), DRIFT_METRIC.c.slice != "")
    )
    # The names are those of `DriftReport`'s document.
    without_bins = sa.func.json_set(
        DRIFT_REPORT.c.report, "$.features", sa.func.json_array(), "$.pruned", sa.true()
    )
    connection.execute(
        sa.update(DRIFT_REPORT)
        .where(DRIFT_REPORT.c.id.in_(ids))
        .values(report=sa.func.json_remove(without_bins, "$.prediction", "$.multivariate"))
    )
