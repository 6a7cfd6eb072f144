"""The prediction log: a row per prediction, and the outcome once it is known."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from evergreen.errors import KeyNotFound, StoreError
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.connection.values import FeatureValue, StoredRow, StoredValue
from evergreen.store.predictions.channels import CHANNELS, ONLINE
from evergreen.store.tables import declared
from evergreen.store.tables.frames import read_frame
from evergreen.usecase import UseCase

_INSERT_ROWS = 500

# A prediction to log, by column; values may be NumPy scalars, and `probabilities` a mapping of classes.
LogRow = Mapping[str, StoredValue | np.generic | Mapping[str, float]]


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


def parse_prediction_time(prediction_id: str) -> datetime:
    """The moment (UTC, milliseconds) that a UUIDv7 carries in its first 48 bits (RFC 9562).

    Raises StoreError when the text is no UUIDv7.
    """
    try:
        identifier = uuid.UUID(prediction_id)
    except ValueError:
        identifier = None
    if identifier is None or identifier.version != 7:
        raise StoreError(
            f"{prediction_id!r} is not a prediction id", hint="send the prediction_id of an answer (a UUIDv7)"
        )
    seconds, milliseconds = divmod(identifier.int >> 80, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=1000 * milliseconds)


def insert_predictions(engine: sa.Engine, use_case: UseCase, rows: Sequence[LogRow]) -> int:
    """Log predictions, all of them or none; how many were new. Rows that are logged already are not changed.

    A row holds prediction_id (UUIDv7), model_version, channel, keys, stored features, prediction, and maybe
    probability and probabilities (by class); what is left out is NULL. `predicted_at` follows from the id.
    Raises StoreError for an unknown field or channel, SQLAlchemy's DataError for a value that its column
    cannot hold.
    """
    table = declared.build_prediction_table(use_case)
    values: dict[str, StoredRow] = {}
    moments: list[datetime] = []
    for row in rows:
        prediction_id, moment, log_row = _build_log_row(table, row)
        if prediction_id not in values:
            values[prediction_id] = log_row
            moments.append(moment)
    if not values:
        return 0
    # Not INSERT IGNORE, which would cut a value that does not fit without an error.
    statement = sa.dialects.mysql.insert(table)
    statement = statement.on_duplicate_key_update(prediction_id=table.c.prediction_id)
    with engine.begin() as connection:
        # The time bounds let MariaDB look into the partitions of these moments only.
        existing_ids = set(
            connection.execute(
                sa.select(table.c.prediction_id).where(
                    table.c.prediction_id.in_(list(values)),
                    table.c.predicted_at.between(min(moments), max(moments)),
                )
            ).scalars()
        )
        new = [row for prediction_id, row in values.items() if prediction_id not in existing_ids]
        for start in range(0, len(new), _INSERT_ROWS):
            connection.execute(statement, new[start : start + _INSERT_ROWS])
    return len(new)


def read_predictions(
    engine: sa.Engine,
    use_case: UseCase,
    start: datetime,
    end: datetime,
    channels: Sequence[str] = (ONLINE,),
) -> pd.DataFrame:
    """Logged predictions with start < predicted_at <= end, oldest first.

    Columns as in the table, features with the shared dtypes; `probabilities` as dicts or None, integer keys
    as Int64 where some are missing.
    """
    table = declared.build_prediction_table(use_case)
    statement = (
        sa.select(*table.c)
        .where(table.c.predicted_at > to_naive_utc(start), table.c.predicted_at <= to_naive_utc(end))
        .where(table.c.channel.in_(list(channels)))
        .order_by(table.c.predicted_at, table.c.prediction_id)
    )
    with engine.connect() as connection:
        frame = read_frame(connection, statement, use_case)
    frame["probabilities"] = [json.loads(text) if text else None for text in frame["probabilities"]]
    return frame


def read_recent_inputs(
    engine: sa.Engine, use_case: UseCase, until: datetime, limit: int
) -> list[dict[str, FeatureValue]]:
    """The newest online predictions' inputs up to a moment, in the form of a request; newest first."""
    table = declared.build_prediction_table(use_case)
    names = [*use_case.entity.key_names, *(feature.name for feature in use_case.stored_features)]
    statement = (
        sa.select(*(table.c[name] for name in names))
        .where(table.c.channel == ONLINE, table.c.predicted_at <= to_naive_utc(until))
        .order_by(table.c.predicted_at.desc(), table.c.prediction_id.desc())
        .limit(limit)
    )
    keys = set(use_case.entity.key_names)
    with engine.connect() as connection:
        return [
            {name: value for name, value in row.items() if value is not None or name not in keys}
            for row in connection.execute(statement).mappings()
        ]


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


def record_actual(
    engine: sa.Engine, use_case: UseCase, prediction_id: str, actual: str | float, at: datetime
) -> None:
    """Record the outcome of a prediction, and when it was learned (aware UTC). It replaces an earlier one.

    Raises KeyNotFound when no logged prediction has that id.
    """
    table = declared.build_prediction_table(use_case)
    unknown = KeyNotFound(
        f"{use_case.name} has no prediction {prediction_id!r} in its log",
        hint="send the prediction_id of an answer of this service, within the log's retention",
    )
    try:
        moment = to_naive_utc(parse_prediction_time(prediction_id))
    except StoreError:
        raise unknown from None
    statement = (
        sa.update(table)
        .where(table.c.prediction_id == str(uuid.UUID(prediction_id)), table.c.predicted_at == moment)
        .values(actual=actual, actual_at=to_naive_utc(at))
    )
    with engine.begin() as connection:
        if connection.execute(statement).rowcount == 0:
            raise unknown


def _build_log_row(table: sa.Table, row: LogRow) -> tuple[str, datetime, StoredRow]:
    """The id in its usual form, the moment of the prediction (naive UTC), and the row to insert."""
    stray = sorted(set(row) - set(table.c.keys()))
    if stray:
        raise StoreError(
            f"{table.name} has no column {', '.join(stray)}",
            hint="log the use case's keys, stored features and the prediction's own fields",
        )
    if row.get("channel") not in CHANNELS:
        raise StoreError(
            f"{table.name} takes no predictions of the channel {row.get('channel')!r}",
            hint=f"the channels are {', '.join(sorted(CHANNELS))}",
        )
    values = {column.name: _to_plain_value(row.get(column.name)) for column in table.columns}
    moment = to_naive_utc(parse_prediction_time(str(row["prediction_id"])))
    prediction_id = str(uuid.UUID(str(row["prediction_id"])))
    values |= {"prediction_id": prediction_id, "predicted_at": moment}
    if isinstance(row.get("probabilities"), Mapping):
        values["probabilities"] = json.dumps(row["probabilities"])
    actual_at = row.get("actual_at")
    if isinstance(actual_at, datetime):
        values["actual_at"] = to_naive_utc(actual_at)
    return prediction_id, moment, values


def _to_plain_value(value: Any) -> Any:
    """NumPy scalars as Python's own; NaN and infinity, which DOUBLE cannot hold, as NULL."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not (abs(value) < float("inf")):
        return None
    return value
