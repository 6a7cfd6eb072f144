"""Numbers far beyond the training data, such as by a wrong unit: a few of them move no bin.

They are a warning and never drift: what has to change is the sender, and retraining would learn the fault.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from evergreen.model.prediction_counter import get_column_name
from evergreen.model.reference_profile import PREDICTION, FeatureProfile
from evergreen.monitoring.drift.sample import select_bounded_rows
from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.records.checks.drift_metric import DriftMetric
from evergreen.store.tables.declared import build_prediction_table
from evergreen.usecase import UseCase

# How many times the width of the reference's range a number lies beyond it.
_FACTOR = 10
# The same where only the edges of the reference's bins are known, outside of which a tenth of its rows lies.
_FACTOR_OF_EDGES = 1_000
# Edges that are closer to each other, relative to their size, are taken for those of a constant.
_LEAST_WIDTH_OF_EDGES = 1e-9


@dataclass(frozen=True)
class OutlierLimits:
    """The numbers from which on a value is an outlier: below `low` or above `high`. `words` say what they
    are."""

    low: float
    high: float
    words: str


@dataclass(frozen=True)
class Outliers:
    """`count` of `rows` values of a feature are beyond its limits; `farthest` is the one that is farthest
    away."""

    feature: str
    count: int
    rows: int
    farthest: float
    limits: OutlierLimits


def find_outliers(
    engine: sa.Engine,
    use_case: UseCase,
    profiles: Mapping[str, FeatureProfile],
    version: int,
    start: datetime,
    end: datetime,
    channels: Sequence[str] = TRAFFIC,
) -> tuple[Outliers, ...]:
    """The numbers far beyond those of `profiles` (of all rows, by feature) among a version's predictions with
    start <= predicted_at < end (aware UTC), most first.

    MariaDB looks at the rows of `select_bounded_rows`: all up to 200,000, so that the cost is bounded; no row
    travels. Raises StoreUnreachable.
    """
    log = build_prediction_table(use_case)
    columns: dict[str, tuple[sa.ColumnElement[float], OutlierLimits]] = {}
    for name, profile in profiles.items():
        limits = choose_outlier_limits(profile)
        if limits is not None and get_column_name(name) in log.c:
            columns[name] = log.c[get_column_name(name)], limits
    if not columns:
        return ()
    conditions = select_bounded_rows(engine, use_case, log, version, start, end, channels)
    with get_fast_engine(engine).connect() as connection:
        extremes: list[sa.ColumnElement[Any]] = [sa.func.count()]
        for column, _ in columns.values():
            extremes += (sa.func.min(column), sa.func.max(column))
        rows, *values = _select_row(connection, extremes, log, conditions) or (0,)
        farthest = {
            name: value
            for (name, (_, limits)), least, greatest in zip(
                columns.items(), values[::2], values[1::2], strict=False
            )
            if (value := _find_farthest(limits, least, greatest)) is not None
        }
        # Most windows have none: then this one look is all.
        if not farthest:
            return ()
        beyond: list[sa.ColumnElement[Any]] = []
        for name in farthest:
            column, limits = columns[name]
            is_beyond = sa.or_(column < limits.low, column > limits.high)
            beyond.append(sa.func.sum(sa.case((is_beyond, 1), else_=0)))
        counts = _select_row(connection, beyond, log, conditions) or ()
    outliers = [
        Outliers(name, int(count or 0), int(rows), value, columns[name][1])
        for (name, value), count in zip(farthest.items(), counts, strict=True)
    ]
    return tuple(sorted(outliers, key=lambda each: (-each.count, each.feature)))


def choose_outlier_limits(profile: FeatureProfile) -> OutlierLimits | None:
    """The limits that follow from a profile: 10 times the width of the training data's range beyond it, or
    1,000 times that of the bins' edges where the range was not kept. None for categories, and where neither
    is known."""
    if profile.kind != "numeric":
        return None
    if profile.range is not None:
        (low, high), factor = profile.range, _FACTOR
        words = f"{_FACTOR} times the reference's range ({low:.6g} to {high:.6g})"
    elif len(profile.bins) > 1:
        low, high, factor = float(profile.bins[0]), float(profile.bins[-1]), _FACTOR_OF_EDGES
        words = f"{_FACTOR_OF_EDGES:,} times the range of the reference's bins ({low:.6g} to {high:.6g})"
    else:
        return None
    size, width = max(abs(low), abs(high)), high - low
    # The edges of a constant's bin are neighbouring floating-point numbers: their distance tells nothing.
    if profile.range is None and (profile.is_constant or width <= _LEAST_WIDTH_OF_EDGES * size):
        width = 0.0
    # A constant has the width of its own size.
    width = width or abs(high) or 1.0
    most = sys.float_info.max
    return OutlierLimits(max(-most, low - factor * width), min(most, high + factor * width), words)


def describe_outliers(outliers: Iterable[Outliers]) -> tuple[str, ...]:
    """A warning for each feature."""
    return tuple(map(_describe, outliers))


def build_outlier_metrics(outliers: Iterable[Outliers]) -> tuple[DriftMetric, ...]:
    """The rows `outliers` of the table of figures: of the features that have any."""
    return tuple(DriftMetric("", each.feature, "outliers", each.count, 0, "warning") for each in outliers)


def _describe(outliers: Outliers) -> str:
    name = "the predictions" if outliers.feature == PREDICTION else outliers.feature
    verb = "lies" if outliers.count == 1 else "lie"
    return (
        f"{name}: {outliers.count:,} of {outliers.rows:,} rows looked at {verb} beyond "
        f"{outliers.limits.words}, the farthest is {outliers.farthest:.6g}"
    )


def _find_farthest(limits: OutlierLimits, *extremes: float | None) -> float | None:
    """Of the extremes of a column, None without values, the one that is farthest beyond the limits; None
    where none is."""
    distances = [
        (max(limits.low - float(value), float(value) - limits.high), float(value))
        for value in extremes
        if value is not None
    ]
    distance, value = max(distances, default=(0.0, 0.0))
    return value if distance > 0 else None


def _select_row(
    connection: sa.Connection,
    columns: Sequence[sa.ColumnElement[Any]],
    log: sa.Table,
    conditions: Sequence[sa.ColumnElement[bool]],
) -> Sequence[Any] | None:
    statement = sa.select(*columns).select_from(log).where(*conditions)
    return next((tuple(row) for row in execute_if_table_exists(connection, statement)), None)
