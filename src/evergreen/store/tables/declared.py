"""The tables of a use case, generated from its declaration, with the platform's own columns in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from evergreen.store.migrations.generated_migrations import CHANNEL_TYPE
from evergreen.usecase import (
    CATEGORY_CHARACTERS,
    EVENT_TIME,
    KEY_CHARACTERS,
    DType,
    FeatureView,
    UseCase,
)

INGESTED_AT = "ingested_at"

# What the names of columns begin with that Evergreen has put aside or is about to make; no declared name
# begins with it.
RESERVED_PREFIX = "_"
# A column or an index that is being made, and takes the place of the one with the rest of its name.
COMING_PREFIX = f"{RESERVED_PREFIX}coming_"

# A comparison without padding: 'a' and 'a ' are two categories.
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_nopad_bin",
}


def build_moment_type() -> sa.types.TypeEngine[Any]:
    """A naive UTC moment with microseconds."""
    return mysql.DATETIME(fsp=6)


def build_value_type(dtype: DType) -> sa.types.TypeEngine[Any]:
    """The column type of a feature."""
    match dtype:
        case "int":
            return mysql.BIGINT()
        case "float":
            return mysql.DOUBLE(asdecimal=False)
        case "category":
            return mysql.VARCHAR(CATEGORY_CHARACTERS)
        case "text":
            return mysql.TEXT()


def build_history_table(use_case: UseCase, view: FeatureView) -> sa.Table:
    """Every version of every row of a view: key, event_time, ingested_at, features. System-versioned."""
    return _build_table(
        use_case.history_table(view),
        [*_build_key_columns(use_case), *_build_clock_columns(), *_build_feature_columns(view)],
    )


def build_online_table(use_case: UseCase, view: FeatureView) -> sa.Table:
    """The newest row per key of a view's history."""
    clocks = [sa.Column(column.name, column.type, nullable=False) for column in _build_clock_columns()]
    return _build_table(
        use_case.online_table(view), [*_build_key_columns(use_case), *clocks, *_build_feature_columns(view)]
    )


def build_label_table(use_case: UseCase) -> sa.Table:
    """Every version of every label. System-versioned."""
    target = sa.Column(use_case.label.name, _target_type(use_case), nullable=False)
    return _build_table(
        use_case.label_table, [*_build_key_columns(use_case), *_build_clock_columns(), target]
    )


def build_prediction_table(use_case: UseCase) -> sa.Table:
    """The prediction log, partitioned by day. The id is a UUIDv7, so it carries `predicted_at`.

    On-demand features are NULL in rows of versions that did not log them.
    """
    keys = [sa.Column(key.name, _key_type(key.dtype), nullable=True) for key in use_case.entity.keys]
    features = [column for view in use_case.views for column in _build_feature_columns(view)]
    # What is computed is float64 or text, whatever the declared number.
    on_demand = [
        sa.Column(f.name, build_value_type("float" if f.numeric else f.dtype), nullable=True)
        for f in use_case.on_demand_order
    ]
    return _build_table(
        use_case.prediction_table,
        [
            sa.Column("prediction_id", _build_id_type(), primary_key=True),
            sa.Column("predicted_at", build_moment_type(), primary_key=True),
            sa.Column("model_version", sa.Integer, nullable=False),
            # Its values: `predictions.channels`.
            sa.Column("channel", CHANNEL_TYPE, nullable=False),
            *keys,
            *features,
            *on_demand,
            sa.Column("prediction", _target_type(use_case), nullable=False),
            sa.Column("probability", mysql.DOUBLE(asdecimal=False)),
            sa.Column("probabilities", mysql.LONGTEXT),
        ],
        sa.Index("by_channel", "channel", "predicted_at"),
    )


def build_outcome_table(use_case: UseCase) -> sa.Table:
    """What really happened after predictions: rows are appended only. Partitioned by day like the log.

    `prediction_id` carries `predicted_at`, by which the rows of a prediction lie in the partition of its day.
    A row's prediction may come into the log later, or never.
    """
    return _build_table(
        use_case.outcome_table,
        [
            sa.Column("outcome_id", _build_id_type(), primary_key=True),
            sa.Column("predicted_at", build_moment_type(), primary_key=True),
            sa.Column("prediction_id", _build_id_type(), nullable=False),
            sa.Column("actual", _target_type(use_case), nullable=False),
            sa.Column("recorded_at", build_moment_type(), nullable=False),
        ],
        sa.Index("by_prediction", "prediction_id", "predicted_at", "recorded_at"),
        sa.Index("by_moment", "recorded_at"),
    )


def build_tables(use_case: UseCase) -> tuple[sa.Table, ...]:
    """All tables of a use case."""
    views = [
        table(use_case, view)
        for view in use_case.views
        for table in (build_history_table, build_online_table)
    ]
    own = (build_label_table, build_prediction_table, build_outcome_table)
    return (*views, *(build(use_case) for build in own))


def _build_table(name: str, columns: Sequence[sa.Column[Any]], *more: sa.Index) -> sa.Table:
    items: list[sa.schema.SchemaItem] = [*columns, *more]
    return sa.Table(name, sa.MetaData(), *items, **_OPTIONS)


def _build_key_columns(use_case: UseCase) -> list[sa.Column[Any]]:
    return [
        sa.Column(key.name, _key_type(key.dtype), primary_key=True, autoincrement=False)
        for key in use_case.entity.keys
    ]


def _build_clock_columns() -> list[sa.Column[Any]]:
    return [sa.Column(name, build_moment_type(), primary_key=True) for name in (EVENT_TIME, INGESTED_AT)]


def _build_feature_columns(view: FeatureView) -> list[sa.Column[Any]]:
    return [sa.Column(f.name, build_value_type(f.dtype), nullable=True) for f in view.features]


def _build_id_type() -> sa.types.TypeEngine[Any]:
    return mysql.CHAR(36, charset="ascii")


def _key_type(dtype: str) -> sa.types.TypeEngine[Any]:
    return mysql.BIGINT() if dtype == "int" else mysql.VARCHAR(KEY_CHARACTERS)


def _target_type(use_case: UseCase) -> sa.types.TypeEngine[Any]:
    return mysql.VARCHAR(CATEGORY_CHARACTERS) if use_case.label.classes else mysql.DOUBLE(asdecimal=False)
