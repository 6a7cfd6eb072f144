"""The platform's columns change while others write, and after a kill at any statement; real MariaDB."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from uuid_utils import uuid7

from evergreen.errors import SchemaMismatch
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations import migrate_generated
from evergreen.store.migrations.generated_migrations import (
    MIGRATIONS,
    AddColumn,
    GeneratedMigration,
    TableKind,
)
from evergreen.store.migrations.migrate_generated import migrate_generated_tables
from evergreen.store.predictions.prediction_id import parse_prediction_time
from evergreen.store.predictions.prediction_log import count_predictions
from evergreen.store.tables.create import create_tables
from evergreen.store.tables.forget import erase_use_case
from evergreen.usecase import UseCase
from support.outcomes import record_outcome
from support.previous_version import load_previous_database
from support.toy_schema import FACTS, LOG, rows

OLD_ROWS = 30_000
ID = "019f1af9-b400-7000-8000-000000000000"
# Each outcome: its id, its prediction and the moment of that, what happened, and when it was learned.
OUTCOMES = "SELECT outcome_id, prediction_id, predicted_at, actual, recorded_at FROM toy__outcome"
_COLUMNS_BEFORE = "prediction_id, prediction_id, predicted_at, actual, actual_at"
OUTCOMES_BEFORE = f"SELECT {_COLUMNS_BEFORE} FROM {LOG} WHERE actual IS NOT NULL"


def adding(number: int, kind: TableKind) -> list[GeneratedMigration]:
    """Two migrations of a kind: a nullable column, and one that every row has."""
    state = mysql.VARCHAR(32, charset="ascii")
    optional = AddColumn(sa.Column("trace", state, nullable=True))
    required = AddColumn(sa.Column("origin", state, nullable=False, server_default="unknown"))
    return [
        GeneratedMigration(number, kind, "trace", (optional,)),
        GeneratedMigration(number + 1, kind, "origin", (required,)),
    ]


@pytest.fixture
def previous(settings: Settings) -> sa.Engine:
    """The database of the version before, with some more predictions in its log."""
    database = get_engine(settings)
    load_previous_database(database)
    with database.begin() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO {LOG} (prediction_id, predicted_at, model_version, channel, prediction, actual,"
            " actual_at) SELECT UUID(), '2026-07-01' + INTERVAL seq SECOND, 1,"
            " ELT(1 + MOD(seq, 3), 'online', 'batch', 'canary'), 'yes', IF(MOD(seq, 2), 'no', NULL),"
            f" IF(MOD(seq, 2), '2026-07-03' + INTERVAL seq SECOND, NULL) FROM seq_1_to_{OLD_ROWS}"
        )
    return database


def insert_as_before(database: sa.Engine, channel: str) -> str:
    """Log a prediction with the columns that the version before knew; its id."""
    prediction_id = uuid7()
    moment = datetime.fromtimestamp(prediction_id.timestamp / 1000, UTC).replace(tzinfo=None)
    with database.begin() as connection:
        connection.execute(
            sa.text(
                f"INSERT INTO {LOG} (prediction_id, predicted_at, model_version, channel, prediction)"
                " VALUES (:id, :moment, 1, :channel, 'no')"
            ),
            {"id": str(prediction_id), "moment": moment, "channel": channel},
        )
    return str(prediction_id)


def record_as_before(database: sa.Engine, prediction_id: str) -> None:
    """Note the outcome of a prediction in the columns that the version before had."""
    with database.begin() as connection:
        connection.execute(
            sa.text(
                f"UPDATE {LOG} SET actual = 'yes', actual_at = UTC_TIMESTAMP(6) WHERE prediction_id = :id"
            ),
            {"id": prediction_id},
        )


@contextmanager
def writing(database: sa.Engine, use_case: UseCase) -> Iterator[dict[str, str]]:
    """Rows that are inserted every few milliseconds meanwhile, each with its outcome: channel by id.

    The outcome is first written as the version before did, and where MariaDB has no such column any more, as
    this version does.
    """
    logged: dict[str, str] = {}
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            channel = ("online", "batch", "canary")[len(logged) % 3]
            prediction_id = insert_as_before(database, channel)
            logged[prediction_id] = channel
            try:
                record_as_before(database, prediction_id)
            except SchemaMismatch:
                record_outcome(database, use_case, prediction_id, "yes", datetime.now(UTC))
            stop.wait(0.002)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            while not logged and not writer.done():
                time.sleep(0.01)
            yield logged
        finally:
            stop.set()
            writer.result()


def channels_of(database: sa.Engine, prediction_ids: set[str]) -> dict[str, str]:
    return {
        i: c for i, c in rows(database, f"SELECT prediction_id, channel FROM {LOG}") if i in prediction_ids
    }


@pytest.mark.slow
def test_no_row_is_lost_while_columns_change(previous: sa.Engine, toy_use_case: UseCase) -> None:
    before = dict(rows(previous, f"SELECT prediction_id, channel FROM {LOG}"))
    outcomes = set(rows(previous, OUTCOMES_BEFORE))
    assert len(outcomes) == OLD_ROWS / 2
    with writing(previous, toy_use_case) as logged:
        early = len(logged)
        applied = migrate_generated_tables(previous, toy_use_case, [*MIGRATIONS, *adding(90, "prediction")])
        late = len(logged)
        time.sleep(0.2)
    assert applied == [
        f"{LOG}: {name}" for name in ("channel_as_text", "outcomes_of_their_own", "trace", "origin")
    ]
    assert late > early
    assert channels_of(previous, set(before)) == before
    assert channels_of(previous, set(logged)) == logged
    moved = {row[1]: row for row in rows(previous, OUTCOMES)}
    assert {i: moved.pop(i)[3] for i in logged} == dict.fromkeys(logged, "yes")
    assert set(moved.values()) == outcomes
    insert_as_before(previous, "probe")
    assert rows(previous, f"SELECT trace, origin FROM {LOG} WHERE channel = 'probe'") == [(None, "unknown")]
    assert count_predictions(previous, toy_use_case).total == len(before) + len(logged) + 1
    columns = {column["name"] for column in sa.inspect(previous).get_columns(LOG)}
    assert {name for name in columns if name.startswith("_")} == set()


class Killed(BaseException):
    """As if the process had died: nothing of ours runs after it."""


@pytest.mark.slow
def test_killed_at_any_statement_a_second_run_ends_the_work(
    previous: sa.Engine, toy_use_case: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate_generated, "_CHUNK_ROWS", 10_000)
    before = dict(rows(previous, f"SELECT prediction_id, channel FROM {LOG}"))
    outcomes = set(rows(previous, OUTCOMES_BEFORE))
    assert len(outcomes) == OLD_ROWS / 2
    logged: dict[str, str] = {}
    remaining = 0

    def die_before(_: Any, __: Any, statement: str, *___: Any) -> None:
        nonlocal remaining
        if statement.strip().startswith(("SET STATEMENT", "UPDATE", "INSERT", "CREATE")):
            remaining -= 1
            if remaining < 0:
                raise Killed

    todo = [*MIGRATIONS, *adding(90, "prediction")]
    deaths = 0
    for survived in range(80):
        remaining = survived
        sa.event.listen(previous, "before_cursor_execute", die_before)
        try:
            migrate_generated_tables(previous, toy_use_case, todo)
            break
        except Killed:
            deaths += 1
        finally:
            sa.event.remove(previous, "before_cursor_execute", die_before)
        # The service of before goes on, whatever state the table is in.
        logged[insert_as_before(previous, "canary")] = "canary"
    assert deaths > 10
    assert migrate_generated_tables(previous, toy_use_case, todo) == []
    assert channels_of(previous, set(before)) == before
    assert channels_of(previous, set(logged)) == logged
    recorded = rows(previous, f"SELECT number FROM generated_table_migration WHERE table_name = '{LOG}'")
    assert recorded == [(1,), (2,), (90,), (91,)]
    assert set(rows(previous, OUTCOMES)) == outcomes
    names = {column["name"] for column in sa.inspect(previous).get_columns(LOG)}
    assert {name for name in names if name.startswith(("_", "actual"))} == set()


def test_versioned_tables_get_columns_in_the_rows_of_the_past_too(
    previous: sa.Engine, toy_use_case: UseCase
) -> None:
    with previous.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {FACTS} WHERE client_id = 2")
    migrations = [*MIGRATIONS, *adding(90, "history"), *adding(92, "label"), *adding(94, "online")]
    assert len(migrate_generated_tables(previous, toy_use_case, migrations)) == 8
    values = rows(previous, f"SELECT trace, origin FROM {FACTS} FOR SYSTEM_TIME ALL")
    assert values == [(None, "unknown")] * 3
    assert migrate_generated_tables(previous, toy_use_case, migrations) == []


def test_numbers_move_too_and_a_label_of_another_type_is_told(
    previous: sa.Engine, toy_use_case: UseCase
) -> None:
    numbers = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    with pytest.raises(SchemaMismatch, match="column actual: declared double, found varchar"):
        migrate_generated_tables(previous, numbers)
    assert len(rows(previous, OUTCOMES_BEFORE)) == OLD_ROWS / 2
    erase_use_case(previous, toy_use_case)
    create_tables(previous, numbers)
    moment = parse_prediction_time(ID).replace(tzinfo=None)
    with previous.begin() as connection:
        connection.exec_driver_sql(
            f"ALTER TABLE {LOG} ADD COLUMN actual DOUBLE, ADD COLUMN actual_at DATETIME(6)"
        )
        connection.exec_driver_sql(f"DELETE FROM generated_table_migration WHERE table_name = '{LOG}'")
        connection.execute(
            sa.text(
                f"INSERT INTO {LOG} (prediction_id, predicted_at, model_version, channel, prediction, actual)"
                " VALUES (:id, :moment, 1, 'online', 0.1, 1e308)"
            ),
            {"id": ID, "moment": moment},
        )
    assert migrate_generated_tables(previous, numbers)[-1] == f"{LOG}: outcomes_of_their_own"
    # Where nobody noted when it was learned, it was when it was predicted.
    assert rows(previous, OUTCOMES) == [(ID, ID, moment, 1e308, moment)]


def test_several_at_once_apply_each_migration_once(previous: sa.Engine, toy_use_case: UseCase) -> None:
    with ThreadPoolExecutor(3) as pool:
        runs = pool.map(lambda _: migrate_generated_tables(previous, toy_use_case), range(3))
    assert sorted(map(len, runs)) == [0, 0, 2]


def test_a_reader_that_holds_the_table_delays_the_migration_and_not_the_writers(
    previous: sa.Engine, toy_use_case: UseCase
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with previous.connect() as reader:
            reader.exec_driver_sql(f"SELECT COUNT(*) FROM {LOG}").scalar()
            migrating = pool.submit(migrate_generated_tables, previous, toy_use_case)
            time.sleep(1.5)
            prediction_id = insert_as_before(previous, "online")
            assert not migrating.done()
            reader.rollback()
        assert migrating.result() == [f"{LOG}: channel_as_text", f"{LOG}: outcomes_of_their_own"]
    assert channels_of(previous, {prediction_id}) == {prediction_id: "online"}


def test_new_tables_are_made_in_the_newest_form(settings: Settings, toy_use_case: UseCase) -> None:
    database = get_engine(settings)
    create_tables(database, toy_use_case)
    assert rows(database, "SELECT table_name, number, name FROM generated_table_migration") == [
        (LOG, 1, "channel_as_text"),
        (LOG, 2, "outcomes_of_their_own"),
    ]
    assert migrate_generated_tables(database, toy_use_case) == []
    assert {index["name"] for index in sa.inspect(database).get_indexes(LOG)} == {"by_channel"}
    erase_use_case(database, toy_use_case)
    assert rows(database, "SELECT COUNT(*) FROM generated_table_migration") == [(0,)]
    assert len(create_tables(database, toy_use_case)) == 5
