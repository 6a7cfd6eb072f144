"""Metrics of quality as MariaDB keeps them: a row per day of prediction, version, slice, kind and metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import sqlalchemy as sa

from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.tables.platform import QUALITY_METRIC
from evergreen.usecase import UseCase

# Of the answers with a known outcome, or of all answers without looking at outcomes.
QualityKind = Literal["realised", "estimated"]

_ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class QualityEstimate:
    """A metric as it is estimated without labels, over so many `rows`, with the ends of its 95 % band.

    `reference` is the same metric of the hold-out; None where it was undefined there.
    """

    metric: str
    value: float
    low: float
    high: float
    rows: int
    reference: float | None


@dataclass(frozen=True)
class EstimatedQuality:
    """The estimates of a window, and whether they can be trusted.

    Without estimates `reason` says why; otherwise what they are valid for. `trusted` is None where it is not
    known yet, `trust_reason` says why.
    """

    estimates: tuple[QualityEstimate, ...]
    reason: str
    trusted: bool | None = None
    trust_reason: str = ""

    def find(self, metric: str) -> QualityEstimate | None:
        """The estimate of that metric."""
        return next((each for each in self.estimates if each.metric == metric), None)


@dataclass(frozen=True)
class QualityMetric:
    """A metric over the predictions that a version made on one day (UTC).

    `slice_name` is "" for all of them, or "feature=value". `value` is None where it is undefined, and so are
    the ends of its 95 % interval where the rows are too few. `rows` are those with an outcome, for an
    estimate all. It was computed as of the moment `as_of` (aware UTC).
    """

    model_version: int
    day: date
    slice_name: str
    kind: QualityKind
    metric: str
    value: float | None
    low: float | None
    high: float | None
    rows: int
    as_of: datetime


def replace_quality_metrics(
    engine: sa.Engine,
    use_case: UseCase,
    kind: QualityKind,
    days: Sequence[tuple[date, int]],
    metrics: Sequence[QualityMetric],
    as_of: datetime,
) -> None:
    """Write the metrics of that kind of these days and versions, in place of all former ones of theirs.

    Rows that were computed as of a later moment stand. One transaction.
    """
    if not days:
        return
    c, moment = QUALITY_METRIC.c, to_naive_utc(as_of)
    rows = [
        {
            "use_case": use_case.name,
            "model_version": metric.model_version,
            "day": metric.day,
            "slice": metric.slice_name,
            "kind": metric.kind,
            "metric": metric.metric,
            "value": metric.value,
            "low": metric.low,
            "high": metric.high,
            "row_count": metric.rows,
            "as_of": moment,
        }
        for metric in metrics
    ]
    insert = sa.dialects.mysql.insert(QUALITY_METRIC)
    insert = insert.on_duplicate_key_update(use_case=c.use_case)
    with engine.begin() as connection:
        for day, version in days:
            connection.execute(
                sa.delete(QUALITY_METRIC).where(
                    c.use_case == use_case.name,
                    c.model_version == version,
                    c.day == day,
                    c.kind == kind,
                    c.as_of <= moment,
                )
            )
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            connection.execute(insert, rows[start : start + _ROWS_AT_ONCE])


def read_quality_metrics(
    engine: sa.Engine,
    use_case_name: str,
    *,
    since: date | None = None,
    until: date | None = None,
    kind: QualityKind | None = None,
    slice_name: str | None = "",
    as_of: datetime | None = None,
) -> list[QualityMetric]:
    """The metrics of the days from `since` to `until`, both included, oldest day first.

    `slice_name` None: of all slices. `as_of` (aware UTC): only those computed as of then or earlier. None
    before there is such a table. Raises StoreUnreachable.
    """
    c = QUALITY_METRIC.c
    statement = sa.select(QUALITY_METRIC).where(c.use_case == use_case_name)
    if since is not None:
        statement = statement.where(c.day >= since)
    if until is not None:
        statement = statement.where(c.day <= until)
    if kind is not None:
        statement = statement.where(c.kind == kind)
    if slice_name is not None:
        statement = statement.where(c.slice == slice_name)
    if as_of is not None:
        statement = statement.where(c.as_of <= to_naive_utc(as_of))
    statement = statement.order_by(c.day, c.model_version, c.slice, c.metric, c.kind)
    with engine.connect() as connection:
        return [_parse_metric(row) for row in execute_if_table_exists(connection, statement)]


def find_last_measurement(engine: sa.Engine, use_case_name: str, before: datetime) -> datetime | None:
    """As of which moment (aware UTC) realised quality was computed last, up to `before`."""
    c = QUALITY_METRIC.c
    statement = sa.select(sa.func.max(c.as_of)).where(
        c.use_case == use_case_name, c.kind == "realised", c.as_of <= to_naive_utc(before)
    )
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)
    return to_aware_utc(rows[0][0]) if rows and rows[0][0] else None


def _parse_metric(row: sa.Row[Any]) -> QualityMetric:
    return QualityMetric(
        model_version=row.model_version,
        day=row.day,
        slice_name=row.slice,
        kind=row.kind,
        metric=row.metric,
        value=row.value,
        low=row.low,
        high=row.high,
        rows=row.row_count,
        as_of=to_aware_utc(row.as_of),
    )
