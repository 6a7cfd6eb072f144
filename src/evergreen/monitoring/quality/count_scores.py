"""Logged predictions counted in MariaDB by day, version and cell; no row leaves the server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from evergreen.model.error_profile.partition import Partition
from evergreen.model.error_profile.profile import CONFIDENCE, PREDICTED
from evergreen.monitoring.quality.score_cells import CONFIDENCE_CELLS, Floats, ScoreCells
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.usecase import UseCase

# What a condition of a partition is about, by the log's columns.
_LOG_COLUMNS = {PREDICTED: "prediction", CONFIDENCE: "probability"}
_LEAST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Group:
    """The rows of one day (UTC) and version that lie in one slice; `slice_name` is "" for all."""

    day: date
    version: int
    slice_name: str


@dataclass(frozen=True, eq=False)
class CountedScores:
    """The cells of a group, and how many rows of each are right, of shape (cells,); NaN where outcomes were
    not joined."""

    cells: ScoreCells
    right: Floats


@dataclass(frozen=True)
class ErrorSums:
    """Rows of predicted numbers: sums of |error|, error^2 and error^4."""

    rows: int
    absolute: float
    squares: float
    fourth_powers: float


def count_scores(
    connection: sa.Connection,
    use_case: UseCase,
    rows: sa.FromClause,
    *,
    condition: sa.ColumnElement[bool] | None = None,
    slice_name: sa.ColumnElement[Any] | None = None,
    partition: Partition = 0,
) -> dict[Group, CountedScores]:
    """The cells of predicted classes, of the rows that meet the condition.

    `rows` have the log's columns, and `actual` where outcomes are joined. Rows without a probability are left
    out. Empty before there is a prediction log.
    """
    c = rows.c
    confidence = c.probability
    place = sa.func.least(sa.func.floor(confidence * CONFIDENCE_CELLS), CONFIDENCE_CELLS - 1)
    classes = use_case.label.classes
    positive = sa.case((c.prediction == classes[-1], 1), else_=0) if len(classes) == 2 else sa.literal(0)
    has_outcome = "actual" in c
    right = sa.case((c.prediction == c.actual, 1.0), else_=0.0) if has_outcome else sa.null()
    name = sa.literal("") if slice_name is None else slice_name
    keys = (
        sa.func.date(c.predicted_at).label("day"),
        c.model_version.label("version"),
        name.label("slice_name"),
        name_region(partition, rows).label("region"),
        positive.label("positive"),
        place.label("place"),
        right.label("is_right"),
    )
    scored = sa.select(*keys, confidence.label("confidence")).where(confidence.is_not(None))
    if condition is not None:
        scored = scored.where(condition)
    g = scored.subquery("scored").c
    own = (g.day, g.version, g.slice_name, g.region, g.positive, g.place)
    loss_right: sa.ColumnElement[Any] = -sa.func.ln(sa.func.greatest(g.confidence, _LEAST))
    loss_wrong: sa.ColumnElement[Any] = -sa.func.ln(sa.func.greatest(1.0 - g.confidence, _LEAST))
    if has_outcome:
        loss_right, loss_wrong = g.is_right * loss_right, (1.0 - g.is_right) * loss_wrong
    statement = sa.select(
        *own,
        sa.func.count(),
        sa.func.avg(g.confidence),
        sa.func.sum(g.is_right),
        sa.func.sum(loss_right),
        sa.func.sum(loss_wrong),
    ).group_by(*own)
    collected: defaultdict[Group, list[Any]] = defaultdict(list)
    for row in execute_if_table_exists(connection, statement):
        collected[Group(row[0], int(row[1]), str(row[2]))].append(row[3:])
    return {group: _build_counted_scores(cells) for group, cells in sorted(collected.items(), key=_sort_key)}


def count_regions(
    connection: sa.Connection,
    rows: sa.FromClause,
    condition: sa.ColumnElement[bool],
    partition: Partition,
    regions: int,
    slice_name: sa.ColumnElement[Any] | None = None,
) -> dict[Group, npt.NDArray[np.int64]]:
    """The numbers of rows by region, of shape (regions,), of each day, version and slice."""
    inner = (
        sa.select(
            sa.func.date(rows.c.predicted_at).label("day"),
            rows.c.model_version.label("version"),
            (sa.literal("") if slice_name is None else slice_name).label("slice_name"),
            name_region(partition, rows).label("region"),
        )
        .where(condition)
        .subquery("placed")
    )
    own = (inner.c.day, inner.c.version, inner.c.slice_name, inner.c.region)
    counts: dict[Group, npt.NDArray[np.int64]] = {}
    for row in execute_if_table_exists(connection, sa.select(*own, sa.func.count()).group_by(*own)):
        group = Group(row[0], int(row[1]), str(row[2]))
        counts.setdefault(group, np.zeros(regions, dtype=np.int64))[int(row[3])] = int(row[4])
    return counts


def sum_errors(
    connection: sa.Connection, rows: sa.FromClause, slice_name: sa.ColumnElement[Any] | None = None
) -> dict[Group, ErrorSums]:
    """The errors of predicted numbers by day, version and slice; `rows` have `actual`."""
    name = sa.literal("") if slice_name is None else slice_name
    inner = sa.select(
        sa.func.date(rows.c.predicted_at).label("day"),
        rows.c.model_version.label("version"),
        name.label("slice_name"),
        sa.func.abs(rows.c.prediction - rows.c.actual).label("error"),
    ).subquery("erring")
    own, error = (inner.c.day, inner.c.version, inner.c.slice_name), inner.c.error
    statement = sa.select(
        *own,
        sa.func.count(),
        sa.func.sum(error),
        sa.func.sum(error * error),
        sa.func.sum(sa.func.power(error, 4)),
    ).group_by(*own)
    return {
        Group(row[0], int(row[1]), str(row[2])): ErrorSums(int(row[3]), *map(float, row[4:]))
        for row in execute_if_table_exists(connection, statement)
    }


def name_region(partition: Partition, rows: sa.FromClause) -> sa.ColumnElement[Any]:
    """The number of each row's region in an error profile's partition."""
    if isinstance(partition, int):
        return sa.literal(partition)
    column = rows.c[_LOG_COLUMNS.get(partition.feature, partition.feature)]
    # A comparison with NULL is not true, so a missing value goes where the condition does not hold.
    holds = column == partition.at if isinstance(partition.at, str) else column <= partition.at
    return sa.case((holds, name_region(partition.yes, rows)), else_=name_region(partition.no, rows))


def list_log_columns(features: Sequence[str]) -> list[str]:
    """The columns of the log that counting needs beside those named."""
    own = ["predicted_at", "model_version", "prediction", "probability"]
    return [
        *own,
        *(_LOG_COLUMNS.get(name, name) for name in features if _LOG_COLUMNS.get(name, name) not in own),
    ]


def _build_counted_scores(rows: Sequence[Any]) -> CountedScores:
    region, positive, _, count, confidence, right, loss_right, loss_wrong = zip(*rows, strict=True)
    cells = ScoreCells(
        np.array(count, dtype=np.float64),
        np.array(region, dtype=np.intp),
        np.array(positive, dtype=np.int64) > 0,
        np.array(confidence, dtype=np.float64),
        np.array(loss_right, dtype=np.float64),
        np.array(loss_wrong, dtype=np.float64),
    )
    if right[0] is None:
        return CountedScores(cells, np.full(len(cells), np.nan))
    return build_judged_scores(cells, np.array(right, dtype=np.float64))


def build_judged_scores(cells: ScoreCells, right: Floats) -> CountedScores:
    """Cells whose right rows are known, of shape (cells,), and whose losses are those that the right and the
    wrong rows really had.

    The losses are scaled to what all rows would have, so that their shares give the real sums again.
    """
    wrong = cells.rows - right
    with np.errstate(divide="ignore", invalid="ignore"):
        loss_right = np.where(right > 0.0, cells.loss_right * cells.rows / right, 0.0)
        loss_wrong = np.where(wrong > 0.0, cells.loss_wrong * cells.rows / wrong, 0.0)
    return CountedScores(replace(cells, loss_right=loss_right, loss_wrong=loss_wrong), right)


def _sort_key(item: tuple[Group, Any]) -> tuple[date, int, str]:
    group = item[0]
    return group.day, group.version, group.slice_name
