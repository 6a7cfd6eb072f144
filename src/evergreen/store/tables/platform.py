"""The platform's own tables as SQLAlchemy tables, one each, for every statement that reads or writes them.

The migrations (`sql/*.sql`) make these tables and are the authority on keys and defaults. A test compares the
columns with those of a migrated database.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

_METADATA = sa.MetaData()


def _ascii(length: int) -> mysql.CHAR:
    return mysql.CHAR(length, charset="ascii")


def _state() -> mysql.VARCHAR:
    """The name of a state, such as 'loaded'. The code checks its values, not the database."""
    return mysql.VARCHAR(32, charset="ascii", collation="ascii_bin")


def _moment() -> mysql.DATETIME:
    return mysql.DATETIME(fsp=6)


def _document() -> mysql.LONGTEXT:
    # What MariaDB makes of JSON. Values go in and out as text, so that their owners decide on their form.
    return mysql.LONGTEXT()


def _table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    return sa.Table(name, _METADATA, *columns)


SCHEMA_MIGRATION = _table(
    "schema_migration",
    sa.Column("name", mysql.VARCHAR(100), primary_key=True),
    sa.Column("applied_at", _moment(), nullable=False),
)

GENERATED_TABLE_MIGRATION = _table(
    "generated_table_migration",
    sa.Column("table_name", mysql.VARCHAR(64), primary_key=True),
    sa.Column("number", mysql.INTEGER(), primary_key=True, autoincrement=False),
    sa.Column("name", mysql.VARCHAR(100), nullable=False),
    sa.Column("applied_at", _moment(), nullable=False),
)

INGEST_RUN = _table(
    "ingest_run",
    sa.Column("id", _ascii(36), primary_key=True),
    sa.Column("use_case", mysql.VARCHAR(48), nullable=False),
    sa.Column("as_of", _moment(), nullable=False),
    sa.Column("interval_start", _moment(), nullable=False),
    sa.Column("source_override", mysql.VARCHAR(1024), nullable=False),
    sa.Column("status", _state(), nullable=False),
    sa.Column("rows_in", mysql.BIGINT()),
    sa.Column("rows_loaded", mysql.BIGINT()),
    sa.Column("rows_rejected", mysql.BIGINT()),
    sa.Column("report", _document()),
    sa.Column("digest", _ascii(64)),
    sa.Column("started_at", _moment(), nullable=False),
    sa.Column("finished_at", _moment()),
    sa.Column("inputs", _document()),
    sa.Column("declaration", _ascii(64)),
    sa.Column("code_version", mysql.VARCHAR(100)),
    sa.Column("seconds", mysql.DOUBLE(asdecimal=False)),
)

INGEST_BATCH = _table(
    "ingest_batch",
    sa.Column("ingest_run_id", _ascii(36), primary_key=True),
    sa.Column("part", mysql.VARCHAR(100), primary_key=True),
    sa.Column("chunk", mysql.INTEGER(), primary_key=True, autoincrement=False),
    sa.Column("row_count", mysql.BIGINT(), nullable=False),
    sa.Column("payload", mysql.LONGBLOB(), nullable=False),
)

QUARANTINE = _table(
    "quarantine",
    sa.Column("ingest_run_id", _ascii(36), primary_key=True),
    sa.Column("part", mysql.VARCHAR(100), primary_key=True),
    sa.Column("source_row", mysql.BIGINT(), primary_key=True, autoincrement=False),
    sa.Column("reasons", _document(), nullable=False),
    sa.Column("content", _document(), nullable=False),
)

TRAINING_RUN = _table(
    "training_run",
    sa.Column("id", _ascii(36), primary_key=True),
    sa.Column("use_case", mysql.VARCHAR(48), nullable=False),
    sa.Column("as_of", _moment(), nullable=False),
    sa.Column("reason", mysql.VARCHAR(255), nullable=False),
    sa.Column("status", mysql.VARCHAR(32), nullable=False),
    sa.Column("dataset_digest", _ascii(64)),
    sa.Column("dataset_rows", mysql.BIGINT()),
    sa.Column("params", _document()),
    sa.Column("metrics", _document()),
    sa.Column("verdict", _document()),
    sa.Column("mlflow_run_id", mysql.VARCHAR(64)),
    sa.Column("model_version", mysql.INTEGER()),
    sa.Column("started_at", _moment(), nullable=False),
    sa.Column("finished_at", _moment()),
    sa.Column("dataset_query", _document()),
    sa.Column("dataset_read_at", _moment()),
    sa.Column("trigger_name", _state()),
    sa.Column("training_window", _document()),
)

REFERENCE_PROFILE = _table(
    "reference_profile",
    sa.Column("use_case", mysql.VARCHAR(48), primary_key=True),
    sa.Column("model_version", mysql.INTEGER(), primary_key=True, autoincrement=False),
    sa.Column("slice", mysql.VARCHAR(320), primary_key=True),
    sa.Column("feature", mysql.VARCHAR(48), primary_key=True),
    sa.Column("kind", _state(), nullable=False),
    sa.Column("bins", _document(), nullable=False),
    sa.Column("counts", _document(), nullable=False),
    sa.Column("slice_low", mysql.DOUBLE(asdecimal=False)),
    sa.Column("slice_high", mysql.DOUBLE(asdecimal=False)),
    sa.Column("range_low", mysql.DOUBLE(asdecimal=False)),
    sa.Column("range_high", mysql.DOUBLE(asdecimal=False)),
)

MODEL_RECORD = _table(
    "model_record",
    sa.Column("use_case", mysql.VARCHAR(48), primary_key=True),
    sa.Column("model_version", mysql.INTEGER(), primary_key=True, autoincrement=False),
    sa.Column("mlflow_run_id", mysql.VARCHAR(64), nullable=False),
    sa.Column("digest", _ascii(64), nullable=False),
    sa.Column("size_bytes", mysql.BIGINT(), nullable=False),
    sa.Column("signature_digest", _ascii(64), nullable=False),
    sa.Column("golden_rows", _document()),
    sa.Column("recorded_at", _moment(), nullable=False),
)

MODEL_TRIAL = _table(
    "model_trial",
    sa.Column("id", _ascii(36), primary_key=True),
    sa.Column("use_case", mysql.VARCHAR(48), nullable=False),
    sa.Column("mode", _state(), nullable=False),
    sa.Column("champion_version", mysql.INTEGER(), nullable=False),
    sa.Column("challenger_version", mysql.INTEGER(), nullable=False),
    sa.Column("challenger_run_id", mysql.VARCHAR(64), nullable=False),
    sa.Column("share", mysql.DOUBLE(asdecimal=False), nullable=False),
    sa.Column("limits", _document(), nullable=False),
    sa.Column("started_at", _moment(), nullable=False),
    sa.Column("ends_at", _moment(), nullable=False),
    sa.Column("started_by", mysql.VARCHAR(255), nullable=False),
    sa.Column("ended_at", _moment()),
    sa.Column("outcome", _state()),
    sa.Column("reason", mysql.TEXT()),
    sa.Column("ended_by", mysql.VARCHAR(255)),
    sa.Column("rival_version", mysql.INTEGER()),
    sa.Column("rival_run_id", mysql.VARCHAR(64)),
)

DRIFT_REPORT = _table(
    "drift_report",
    sa.Column("id", _ascii(36), primary_key=True),
    sa.Column("use_case", mysql.VARCHAR(48), nullable=False),
    sa.Column("as_of", _moment(), nullable=False),
    sa.Column("model_version", mysql.INTEGER()),
    sa.Column("window_start", _moment()),
    sa.Column("window_end", _moment()),
    sa.Column("row_count", mysql.BIGINT(), nullable=False),
    sa.Column("drifted", mysql.TINYINT(1)),
    sa.Column("report", _document()),
)

QUALITY_METRIC = _table(
    "quality_metric",
    sa.Column("use_case", mysql.VARCHAR(48), primary_key=True),
    sa.Column("model_version", mysql.INTEGER(), primary_key=True, autoincrement=False),
    sa.Column("day", mysql.DATE(), primary_key=True),
    sa.Column("slice", mysql.VARCHAR(191), primary_key=True),
    sa.Column("kind", _state(), primary_key=True),
    sa.Column("metric", mysql.VARCHAR(100), primary_key=True),
    sa.Column("value", mysql.DOUBLE(asdecimal=False)),
    sa.Column("low", mysql.DOUBLE(asdecimal=False)),
    sa.Column("high", mysql.DOUBLE(asdecimal=False)),
    sa.Column("row_count", mysql.BIGINT(), nullable=False),
    sa.Column("as_of", _moment(), nullable=False),
)

ERROR_PROFILE = _table(
    "error_profile",
    sa.Column("use_case", mysql.VARCHAR(48), primary_key=True),
    sa.Column("model_version", mysql.INTEGER(), primary_key=True, autoincrement=False),
    sa.Column("profile", _document(), nullable=False),
)

DRIFT_METRIC = _table(
    "drift_metric",
    sa.Column("check_id", _ascii(36), primary_key=True),
    sa.Column("slice", mysql.VARCHAR(320), primary_key=True),
    sa.Column("feature", mysql.VARCHAR(100), primary_key=True),
    sa.Column("metric", _state(), primary_key=True),
    sa.Column("use_case", mysql.VARCHAR(48), nullable=False),
    sa.Column("model_version", mysql.INTEGER(), nullable=False),
    sa.Column("as_of", _moment(), nullable=False),
    sa.Column("value", mysql.DOUBLE(asdecimal=False)),
    sa.Column("limit_value", mysql.DOUBLE(asdecimal=False)),
    sa.Column("severity", _state(), nullable=False),
)

REFUSED_COUNT = _table(
    "refused_count",
    sa.Column("id", _ascii(36), primary_key=True),
    sa.Column("use_case", mysql.VARCHAR(48), nullable=False),
    sa.Column("field", mysql.VARCHAR(100), nullable=False),
    sa.Column("kind", mysql.VARCHAR(100), nullable=False),
    sa.Column("row_count", mysql.BIGINT(), nullable=False),
    sa.Column("window_start", _moment(), nullable=False),
    sa.Column("window_end", _moment(), nullable=False),
    sa.Column("service", mysql.VARCHAR(191), nullable=False),
)

PREDICTION_HOUR = _table(
    "prediction_hour",
    sa.Column("use_case", mysql.VARCHAR(48), primary_key=True),
    sa.Column("model_version", mysql.INTEGER(), primary_key=True, autoincrement=False),
    sa.Column("channel", _state(), primary_key=True),
    sa.Column("hour", mysql.DATETIME(), primary_key=True),
    sa.Column("row_count", mysql.BIGINT(), nullable=False),
    sa.Column("counted", mysql.BIGINT(), nullable=False),
    sa.Column("profile", _ascii(32)),
)

PREDICTION_COUNT = _table(
    "prediction_count",
    sa.Column("use_case", mysql.VARCHAR(48), primary_key=True),
    sa.Column("model_version", mysql.INTEGER(), primary_key=True, autoincrement=False),
    sa.Column("channel", _state(), primary_key=True),
    sa.Column("hour", mysql.DATETIME(), primary_key=True),
    sa.Column("slice", mysql.VARCHAR(320), primary_key=True),
    sa.Column("feature", mysql.VARCHAR(48), primary_key=True),
    sa.Column("counts", _document(), nullable=False),
)

RETRAIN_DECISION = _table(
    "retrain_decision",
    sa.Column("id", _ascii(36), primary_key=True),
    sa.Column("use_case", mysql.VARCHAR(48), nullable=False),
    sa.Column("as_of", _moment(), nullable=False),
    sa.Column("retrain", mysql.TINYINT(1), nullable=False),
    sa.Column("reason", mysql.TEXT(), nullable=False),
    sa.Column("drift_report_id", _ascii(36)),
    sa.Column("created_at", _moment(), nullable=False),
    sa.Column("trigger_name", _state()),
    sa.Column("inputs", _document()),
    sa.Column("checks", _document()),
    sa.Column("training_window", _document()),
)

ALERT = _table(
    "alert",
    sa.Column("id", _ascii(36), primary_key=True),
    sa.Column("use_case", mysql.VARCHAR(48), nullable=False),
    sa.Column("kind", _state(), nullable=False),
    sa.Column("subject", mysql.VARCHAR(191), nullable=False),
    sa.Column("severity", _state(), nullable=False),
    sa.Column("title", mysql.VARCHAR(255), nullable=False),
    sa.Column("body", mysql.TEXT(), nullable=False),
    sa.Column("as_of", _moment(), nullable=False),
    sa.Column("raised_at", _moment(), nullable=False),
    sa.Column("status", _state(), nullable=False),
    sa.Column("attempts", mysql.INTEGER(), nullable=False),
    sa.Column("tried_at", _moment()),
    sa.Column("results", _document()),
)

HEALTH_FINDING = _table(
    "health_finding",
    sa.Column("report_id", _ascii(36), primary_key=True),
    sa.Column("position", mysql.INTEGER(), primary_key=True, autoincrement=False),
    sa.Column("use_case", mysql.VARCHAR(48), nullable=False),
    sa.Column("as_of", _moment(), nullable=False),
    sa.Column("what", _state(), nullable=False),
    sa.Column("subject", mysql.VARCHAR(191), nullable=False),
    sa.Column("value", mysql.DOUBLE(asdecimal=False)),
    sa.Column("limit_value", mysql.DOUBLE(asdecimal=False)),
    sa.Column("severity", _state(), nullable=False),
    sa.Column("sentence", mysql.TEXT(), nullable=False),
    sa.Column("counters", _document()),
)

STORE_STATE = _table(
    "store_state",
    sa.Column("table_name", mysql.VARCHAR(64), primary_key=True),
    sa.Column("changes", mysql.BIGINT(), nullable=False),
    sa.Column("history_from", _moment()),
)

RETIRED_COLUMN = _table(
    "retired_column",
    sa.Column("table_name", mysql.VARCHAR(64), primary_key=True),
    sa.Column("column_name", mysql.VARCHAR(64), nullable=False),
    sa.Column("retired_as", mysql.VARCHAR(64), primary_key=True),
    sa.Column("column_type", mysql.VARCHAR(64), nullable=False),
    sa.Column("retired_at", _moment(), nullable=False),
)

CHECK_REPORT = _table(
    "check_report",
    sa.Column("check_id", _ascii(36), primary_key=True),
    sa.Column("use_case", mysql.VARCHAR(48), nullable=False),
    sa.Column("as_of", _moment(), nullable=False),
    sa.Column("severity", _state(), nullable=False),
    sa.Column("document", _document()),
    sa.Column("mlflow_experiment_id", mysql.VARCHAR(64)),
    sa.Column("mlflow_run_id", mysql.VARCHAR(64)),
    sa.Column("created_at", _moment(), nullable=False),
)

# A test compares each of them with what the migrations make.
PLATFORM_TABLES = tuple(_METADATA.tables.values())

# MariaDB's own catalogues of tables, their columns and their partitions.
CATALOGUE_TABLES = sa.table(
    "tables",
    *map(sa.column, ("table_schema", "table_name", "create_time", "update_time", "table_rows")),
    schema="information_schema",
)
CATALOGUE_COLUMNS = sa.table(
    "columns",
    *map(sa.column, ("table_schema", "table_name", "column_name", "column_type", "column_key")),
    *map(sa.column, ("is_nullable", "ordinal_position")),
    schema="information_schema",
)
CATALOGUE_PARTITIONS = sa.table(
    "partitions",
    *map(sa.column, ("table_schema", "table_name", "partition_name", "partition_ordinal_position")),
    schema="information_schema",
)
