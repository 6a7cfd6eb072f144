"""What is dropped of old monitoring checks, and what stays of them.

A check leaves rows in several tables. What is large or of the day goes: the document of its report, the bins
of its features, its figures by slice, its findings on data and service, and its alerts. What an audit needs
stays: when it was, of which version and window, the verdict and its reason, its figures over all rows, the
quality by day, and the decision with its inputs. So does what the next check needs, however old it is: the
newest findings, the newest that kept counters, and the alerts of what is told once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
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


def prune_checks(
    engine: sa.Engine, use_case_name: str, before: datetime, kept_alerts: Collection[str]
) -> PrunedChecks:
    """Drop the details of a use case's checks as of moments before `before` (aware UTC), and its alerts that
    were raised before it, but for those that still wait to be sent and those of the kinds `kept_alerts`.

    Run again it finds nothing. Raises StoreUnreachable.
    """
    moment, checks, alerts = to_naive_utc(before), 0, 0
    report = DRIFT_REPORT.c.report
    old = (
        sa.select(DRIFT_REPORT.c.id)
        .where(DRIFT_REPORT.c.use_case == use_case_name, DRIFT_REPORT.c.as_of < moment)
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
    with ignore_missing_table():
        _drop_findings(engine, use_case_name, moment)
    with ignore_missing_table(), engine.begin() as connection:
        c = ALERT.c
        is_kept = sa.or_(c.status == "pending", c.kind.in_(kept_alerts))
        statement = sa.delete(ALERT).where(
            c.use_case == use_case_name, c.raised_at < moment, sa.not_(is_kept)
        )
        alerts = connection.execute(statement).rowcount
    return PrunedChecks(checks, alerts)


def _drop_details(connection: sa.Connection, ids: Sequence[str]) -> None:
    connection.execute(
        sa.update(CHECK_REPORT).where(CHECK_REPORT.c.check_id.in_(ids)).values(document=sa.null())
    )
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


def _drop_findings(engine: sa.Engine, use_case_name: str, moment: datetime) -> None:
    """Delete the findings of checks before a moment (naive UTC), but for those of the newest report and those
    of the newest one with counters, from which the next check subtracts."""
    c = HEALTH_FINDING.c
    newest = sa.select(sa.func.max(c.as_of)).where(c.use_case == use_case_name)
    with engine.connect() as connection:
        kept = {connection.execute(each).scalar() for each in (newest, newest.where(c.counters.is_not(None)))}
    old = (
        sa.select(c.report_id)
        .distinct()
        .where(c.use_case == use_case_name, c.as_of < moment, c.as_of.not_in(kept - {None}))
        .limit(_CHECKS_AT_ONCE)
    )
    while True:
        with engine.begin() as connection:
            ids = connection.execute(old).scalars().all()
            if not ids:
                return
            connection.execute(sa.delete(HEALTH_FINDING).where(c.report_id.in_(ids)))
