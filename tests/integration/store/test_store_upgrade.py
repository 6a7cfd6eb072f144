"""A database of the version before is brought along with its rows; the platform's tables are as declared."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from uuid_utils import uuid7

from evergreen.documents import write_document
from evergreen.errors import StoreError
from evergreen.model.reference_profile import load_reference_profile
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.predictions.channels import CHANNELS
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_log import count_predictions, read_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.records.checks.decision import describe_latest_decision
from evergreen.store.records.checks.drift import FeatureDrift, Quality, find_latest_report
from evergreen.store.records.ingest_run import find_last_load, list_ingests
from evergreen.store.records.training_run import get_run_of_version
from evergreen.store.tables.compare import normalize_column_type
from evergreen.store.tables.create import create_tables
from evergreen.store.tables.evolve import apply_declaration, diff_tables
from evergreen.store.tables.forget import erase_use_case, is_empty
from evergreen.store.tables.platform import CATALOGUE_COLUMNS, PLATFORM_TABLES
from evergreen.store.tables.sql_files import find_migrations_folder
from evergreen.usecase import UseCase
from support.previous_version import load_previous_database
from support.toy_loads import content
from support.toy_schema import LOG, rows

START, END = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC)
# The first prediction of that database, of the channel "online".
FIRST = "019f1af9-b400-7000-8000-000000000000"
# What this version does to the tables of the one before.
CHANGES = [
    (LOG, "channel", "migrate"),
    (LOG, "spend_per_visit", "add"),
    (LOG, "actual", "migrate"),
    (LOG, "actual_at", "migrate"),
    ("toy__outcome", "", "create table"),
]


@pytest.fixture
def previous(settings: Settings) -> sa.Engine:
    """The database of the version before, as it left it."""
    database = get_engine(settings)
    load_previous_database(database)
    with database.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE {LOG} SET actual = 'no', actual_at = '2026-07-09 01:02:03.000004'"
            f" WHERE prediction_id = '{FIRST}'"
        )
    return database


def log_row(channel: str) -> PredictionRow:
    fields = {
        "prediction_id": str(uuid7()),
        "model_version": 1,
        "channel": channel,
        "age": 40,
        "prediction": "yes",
        "probability": 0.75,
    }
    return PredictionRow.from_json(fields)


def test_a_use_case_of_before_is_erased(previous: sa.Engine, toy_use_case: UseCase) -> None:
    assert not is_empty(previous, toy_use_case)
    erase_use_case(previous, toy_use_case)
    assert is_empty(previous, toy_use_case)


def test_the_rows_of_before_are_all_there_and_probes_can_be_logged(
    previous: sa.Engine, toy_use_case: UseCase
) -> None:
    known_before = replace(toy_use_case, on_demand=())
    before = content(previous, known_before, without=("toy__outcome",))
    states = rows(previous, "SELECT id, status FROM ingest_run ORDER BY id")
    stems = sorted(path.stem for path in find_migrations_folder().glob("*.sql"))
    assert apply_migrations(previous) == stems[stems.index("0004_varchar_states") :]
    assert [(c.table, c.column, c.kind) for c in diff_tables(previous, toy_use_case)] == CHANGES
    assert create_tables(previous, toy_use_case) == [LOG, "toy__outcome"]
    assert diff_tables(previous, toy_use_case) == []
    assert content(previous, known_before, without=("toy__outcome",)) == before
    assert rows(previous, "SELECT * FROM toy__outcome ORDER BY outcome_id") == [
        (FIRST, datetime(2026, 7, 1), FIRST, "no", datetime(2026, 7, 9, 1, 2, 3, 4)),  # noqa: DTZ001
    ]
    logged = read_predictions(previous, toy_use_case, START, END, ("online",))
    assert logged["actual"].tolist() == ["no", None]
    assert logged["actual_at"][0] == datetime(2026, 7, 9, 1, 2, 3, 4, tzinfo=UTC)
    assert logged["spend_per_visit"].isna().all()
    assert rows(previous, "SELECT id, status FROM ingest_run ORDER BY id") == states
    assert {status for _, status in states} == {"extracting", "extracted", "validated", "failed", "loaded"}
    one_of_each = [log_row(channel) for channel in sorted(CHANNELS)]
    assert insert_predictions(previous, toy_use_case, one_of_each) == len(CHANNELS)
    assert count_predictions(previous, toy_use_case).by_channel == {
        "online": 3,
        "batch": 2,
        "canary": 3,
        "challenger": 1,
        "probe": 1,
        "shadow": 1,
    }
    indexes = {index["name"] for index in sa.inspect(previous).get_indexes(LOG)}
    assert indexes == {"by_channel"}


def test_apply_brings_the_tables_along_and_says_so(previous: sa.Engine, toy_use_case: UseCase) -> None:
    assert [(c.table, c.column, c.kind) for c in apply_declaration(previous, toy_use_case)] == CHANGES
    assert apply_declaration(previous, toy_use_case) == []


def test_what_was_recorded_before_is_read(previous: sa.Engine, toy_use_case: UseCase) -> None:
    create_tables(previous, toy_use_case)
    assert len(list_ingests(previous, toy_use_case)) == 6
    last = find_last_load(previous, toy_use_case, datetime(2026, 12, 1, tzinfo=UTC))
    assert last is not None
    assert last.status == "loaded"
    training = get_run_of_version(previous, "toy", 1)
    assert training.status == "promoted"
    assert training.verdict == {"passed": True}
    assert load_reference_profile(previous, "toy", 1)["age"].kind == "numeric"
    report = find_latest_report(previous, "toy")
    assert report is not None
    assert report.quality is not None
    assert (report.reason, report.largest_psi) == ("1 of 1 features drifted", {"age": 0.31})
    assert report.features[0].bins == ("missing", "< 50", "other")
    assert report.quality.metrics == {"accuracy": 0.5}
    decision = describe_latest_decision(previous, "toy")
    assert decision is not None
    assert decision.retrain
    logged = read_predictions(previous, toy_use_case, START, END, ("canary",))
    assert logged["probabilities"].tolist() == [{"no": 0.25, "yes": 0.75}] * 2


def test_a_channel_that_is_not_declared_is_refused(database: sa.Engine, toy_use_case: UseCase) -> None:
    with pytest.raises(StoreError, match="channel 'somewhere'") as refusal:
        insert_predictions(database, toy_use_case, [log_row("online"), log_row("somewhere")])
    assert "batch, canary, challenger, online, probe, shadow" in refusal.value.hint
    assert count_predictions(database, toy_use_case).total == 0


def test_a_stored_report_is_written_as_it_was_read(previous: sa.Engine) -> None:
    document = json.loads(rows(previous, "SELECT report FROM drift_report")[0][0])
    [feature] = document["features"]
    since = {"severity": "drift", "p_value": None}
    assert json.dumps(write_document(FeatureDrift.from_json(feature))) == json.dumps(feature | since)
    assert json.dumps(Quality.from_json(document["quality"]).to_json()) == json.dumps(document["quality"])


@pytest.mark.parametrize("origin", ["new", "previous"])
def test_the_platform_tables_are_declared_as_the_migrations_make_them(
    origin: str, settings: Settings
) -> None:
    database = get_engine(settings)
    if origin == "previous":
        load_previous_database(database)
    apply_migrations(database)
    c = CATALOGUE_COLUMNS.c
    statement = sa.select(c.table_name, c.column_name, c.column_type, c.is_nullable, c.column_key)
    statement = statement.where(c.table_schema == sa.func.database(), c.table_name.not_like("toy%"))
    statement = statement.where(c.table_name != "prediction_count_bin")  # a view
    with database.connect() as connection:
        actual = {
            (
                row.table_name,
                row.column_name,
                normalize_column_type(row.column_type),
                row.is_nullable,
                row.column_key == "PRI",
            )
            for row in connection.execute(statement)
        }
    declared = {
        (
            table.name,
            column.name,
            normalize_column_type(column.type.compile(dialect=sa.dialects.mysql.dialect())),
            "YES" if column.nullable else "NO",
            column.primary_key,
        )
        for table in PLATFORM_TABLES
        for column in table.columns
    }
    assert declared == actual
