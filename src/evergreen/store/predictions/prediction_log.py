"""Reads the prediction log: a row per prediction, with the outcome once it is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
import sqlalchemy as sa

from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.connection.values import FeatureValue
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.predictions.outcomes import build_newest_outcomes, join_outcomes
from evergreen.store.predictions.prediction_id import format_id_prefix
from evergreen.store.tables import declared
from evergreen.store.tables.frames import read_frame
from evergreen.usecase import UseCase


@dataclass(frozen=True)
class PredictionCounts:
    """Logged predictions: in all, by model version (as text), by channel, and when the last was made (aware
    UTC)."""

    total: int
    by_version: Mapping[str, int]
    by_channel: Mapping[str, int]
    last_at: datetime | None

    def to_json(self) -> Mapping[str, int | str | Mapping[str, int] | None]:
        """The part `predictions` of `evergreen status --json`."""
        return {**vars(self), "last_at": self.last_at.isoformat() if self.last_at else None}


def read_predictions(
    engine: sa.Engine,
    use_case: UseCase,
    start: datetime,
    end: datetime,
    channels: Sequence[str] = TRAFFIC,
) -> pd.DataFrame:
    """Logged predictions with start < predicted_at <= end, oldest first.

    Columns as in the table, and `actual` and `actual_at`, missing where no outcome is known. Features have
    the shared dtypes; `probabilities` are dicts or None, integer keys Int64 where some are missing.
    """
    table = declared.build_prediction_table(use_case)
    outcomes = build_newest_outcomes(use_case, predicted=(start, end))
    statement = (
        sa.select(*table.c, outcomes.c.actual, outcomes.c.actual_at)
        .select_from(join_outcomes(table, outcomes))
        .where(table.c.predicted_at > to_naive_utc(start), table.c.predicted_at <= to_naive_utc(end))
        .where(table.c.channel.in_(list(channels)))
        .order_by(table.c.predicted_at, table.c.prediction_id)
    )
    with get_fast_engine(engine).connect() as connection:
        frame = read_frame(connection, statement, use_case)
    frame["probabilities"] = [json.loads(text) if text else None for text in frame["probabilities"]]
    return frame


def read_newest_predictions(
    engine: sa.Engine, use_case: UseCase, start: datetime, end: datetime, limit: int
) -> pd.DataFrame:
    """The newest answered requests with start < predicted_at <= end, newest first: keys, stored and on-demand
    features, and `predicted_at`, with the dtypes of `read_predictions`."""
    table = declared.build_prediction_table(use_case)
    stored_names = [feature.name for feature in use_case.stored_features]
    computed = [feature.name for feature in use_case.on_demand_order]
    names = [*use_case.entity.key_names, *stored_names, *computed, "predicted_at"]
    statement = (
        sa.select(*(table.c[name] for name in names))
        .where(table.c.channel.in_(TRAFFIC))
        .where(table.c.predicted_at > to_naive_utc(start), table.c.predicted_at <= to_naive_utc(end))
        # The order of the ids is that of the moments, and the primary key's: no other row is looked at.
        .where(table.c.prediction_id >= format_id_prefix(start))
        .where(table.c.prediction_id < format_id_prefix(end + timedelta(milliseconds=1)))
        .order_by(table.c.prediction_id.desc())
        .limit(limit)
    )
    with get_fast_engine(engine).connect() as connection:
        return read_frame(connection, statement, use_case)


def read_recent_inputs(
    engine: sa.Engine, use_case: UseCase, until: datetime, limit: int
) -> list[dict[str, FeatureValue]]:
    """The inputs of the newest answered requests up to a moment, in the form of a request; newest first."""
    table = declared.build_prediction_table(use_case)
    names = [*use_case.entity.key_names, *(feature.name for feature in use_case.stored_features)]
    statement = (
        sa.select(*(table.c[name] for name in names))
        .where(table.c.channel.in_(TRAFFIC), table.c.predicted_at <= to_naive_utc(until))
        .order_by(table.c.predicted_at.desc(), table.c.prediction_id.desc())
        .limit(limit)
    )
    keys = set(use_case.entity.key_names)
    with engine.connect() as connection:
        return [
            {name: value for name, value in row.items() if value is not None or name not in keys}
            for row in connection.execute(statement).mappings()
        ]


def find_newest_moment(engine: sa.Engine, use_case: UseCase, since: datetime) -> datetime | None:
    """When the newest answered request from `since` on was predicted (aware UTC); None without one.

    It reads one row of an index for each channel of traffic, in the partitions from that day on.
    """
    table = declared.build_prediction_table(use_case)
    moments = []
    with engine.connect() as connection:
        for channel in TRAFFIC:
            statement = (
                sa.select(table.c.predicted_at)
                .where(table.c.channel == channel, table.c.predicted_at >= to_naive_utc(since))
                .order_by(table.c.predicted_at.desc())
                .limit(1)
            )
            moments += [row.predicted_at for row in execute_if_table_exists(connection, statement)]
    return to_aware_utc(max(moments)) if moments else None


def count_predictions(engine: sa.Engine, use_case: UseCase) -> PredictionCounts:
    """How many predictions are logged; none before the use case's tables exist. Raises StoreUnreachable."""
    table = declared.build_prediction_table(use_case)
    statement = sa.select(
        table.c.model_version, table.c.channel, sa.func.count(), sa.func.max(table.c.predicted_at)
    ).group_by(table.c.model_version, table.c.channel)
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)
    by_version: dict[str, int] = {}
    by_channel: dict[str, int] = {}
    for version, channel, count, _ in sorted(rows, key=lambda row: row[0]):
        by_version[str(version)] = by_version.get(str(version), 0) + count
        by_channel[channel] = by_channel.get(channel, 0) + count
    last = max((row[3] for row in rows), default=None)
    return PredictionCounts(
        total=sum(by_channel.values()),
        by_version=by_version,
        by_channel=by_channel,
        last_at=to_aware_utc(last) if last else None,
    )
