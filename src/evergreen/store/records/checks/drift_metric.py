"""The figures of drift checks as MariaDB keeps them: a row per check, slice, feature and metric, for charts
and for SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

import sqlalchemy as sa

from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.tables.platform import DRIFT_METRIC

Severity: TypeAlias = Literal["none", "unknown", "warning", "drift"]
# From the least to the most; "unknown" stands for too few rows, or for what the counts cannot show.
SEVERITIES: Final[tuple[Severity, ...]] = ("none", "unknown", "warning", "drift")


@dataclass(frozen=True, slots=True)
class DriftMetric:
    """One figure of a check.

    `slice` is "" for all rows, else "feature=value"; `feature` is "" for what is about no single one. `limit`
    is what `value` is compared with; None where nothing is. A value is None where it cannot be computed.
    Metrics: `psi`, `js_distance`, `g_test_p` and `ks_p` (p-values, corrected within the check; their limit is
    what the check may spend), `missing_change` and `unseen_share` (differences of shares), `rows`,
    `drifted_features`, `refused_share` (`feature` is the field), `auc`, `outliers` (numbers far beyond the
    training data, of the rows looked at; only of features that have any).
    """

    slice: str
    feature: str
    metric: str
    value: float | None
    limit: float | None
    severity: Severity


@dataclass(frozen=True)
class MetricPoint:
    """A figure in the course of time: the moment of its check (aware UTC) and the check's id."""

    as_of: datetime
    check_id: str
    model_version: int
    metric: DriftMetric


def get_worst_severity(severities: Sequence[Severity]) -> Severity:
    """The greatest of some severities; "none" of none."""
    return max(severities, key=SEVERITIES.index, default="none")


def insert_drift_metrics(
    connection: sa.Connection,
    check_id: str,
    use_case_name: str,
    model_version: int,
    as_of: datetime,
    metrics: Sequence[DriftMetric],
) -> None:
    """Write the figures of a check in the transaction of `connection`."""
    common = {
        "check_id": check_id,
        "use_case": use_case_name,
        "model_version": model_version,
        "as_of": to_naive_utc(as_of),
    }
    if metrics:
        rows: list[Mapping[str, object]] = [
            {
                **common,
                "slice": each.slice,
                "feature": each.feature,
                "metric": each.metric,
                "value": each.value,
                "limit_value": each.limit,
                "severity": each.severity,
            }
            for each in metrics
        ]
        connection.execute(sa.insert(DRIFT_METRIC), rows)


def read_drift_metrics(
    engine: sa.Engine, check_id: str, *, slice_name: str | None = None
) -> list[DriftMetric]:
    """The figures of one check, or those of one slice of it ("" for all rows); none for a check of a version
    that kept none. Raises StoreUnreachable."""
    c = DRIFT_METRIC.c
    statement = sa.select(DRIFT_METRIC).where(c.check_id == check_id).order_by(c.slice, c.feature, c.metric)
    if slice_name is not None:
        statement = statement.where(c.slice == slice_name)
    with engine.connect() as connection:
        return [_build_metric(row) for row in execute_if_table_exists(connection, statement)]


def read_metric_course(
    engine: sa.Engine,
    use_case_name: str,
    metric: str,
    since: datetime,
    until: datetime,
    *,
    slice_name: str = "",
) -> list[MetricPoint]:
    """One metric of every feature in a slice, of the checks with since < as_of <= until (aware UTC), oldest
    first. Raises StoreUnreachable."""
    c = DRIFT_METRIC.c
    statement = (
        sa.select(DRIFT_METRIC)
        .where(c.use_case == use_case_name, c.metric == metric, c.slice == slice_name)
        .where(c.as_of > to_naive_utc(since), c.as_of <= to_naive_utc(until))
        .order_by(c.as_of, c.feature)
    )
    with engine.connect() as connection:
        return [
            MetricPoint(to_aware_utc(row.as_of), row.check_id, row.model_version, _build_metric(row))
            for row in execute_if_table_exists(connection, statement)
        ]


def _build_metric(row: sa.Row[tuple[object, ...]]) -> DriftMetric:
    return DriftMetric(row.slice, row.feature, row.metric, row.value, row.limit_value, row.severity)
