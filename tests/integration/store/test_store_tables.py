"""Migrations and generated tables on a real MariaDB."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from evergreen.errors import SchemaMismatch, StoreError, StoreUnreachable
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.connection.locks import hold_lock
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records.ingest_run import start_ingest
from evergreen.store.records.summary import summarize_store
from evergreen.store.tables.create import create_tables
from evergreen.store.tables.declared import build_tables
from evergreen.store.tables.forget import erase_use_case, is_empty
from evergreen.store.tables.sql_files import find_migrations_folder
from evergreen.usecase import TIMELESS, Entity, Feature, Key, UseCase
from evergreen.waiting import wait_until

PLATFORM = {
    *("schema_migration", "ingest_run", "ingest_batch", "training_run"),
    *("reference_profile", "drift_report", "retrain_decision"),
}


def names(database: sa.Engine) -> set[str]:
    return set(sa.inspect(database).get_table_names())


def test_migrations_run_once_and_bear_running_again(settings: Settings) -> None:
    database = get_engine(settings)
    applied = apply_migrations(database)
    assert applied == sorted(path.stem for path in find_migrations_folder().glob("*.sql"))
    assert names(database) >= PLATFORM
    assert apply_migrations(database) == []
    with database.begin() as connection:
        # As if killed after the DDL and before its record.
        connection.execute(sa.text("DELETE FROM schema_migration"))
    assert apply_migrations(database) == applied


def test_migrations_at_the_same_time_wait_for_each_other(settings: Settings) -> None:
    database = get_engine(settings)
    with ThreadPoolExecutor(4) as pool:
        applied = [name for names in pool.map(apply_migrations, [database] * 4) for name in names]
    assert sorted(applied) == sorted(path.stem for path in find_migrations_folder().glob("*.sql"))


def test_a_table_of_before_gets_the_wider_slice_and_others_use_it_meanwhile(
    settings: Settings, tmp_path: Path
) -> None:
    database, folder = get_engine(settings), find_migrations_folder()
    for path in folder.glob("*.sql"):
        if path.name < "0018":
            shutil.copy(path, tmp_path)
    apply_migrations(database, tmp_path)
    columns = (
        "SELECT character_maximum_length FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name = 'drift_metric' AND column_name = 'slice'"
    )
    with database.connect() as connection:
        assert connection.exec_driver_sql(columns).scalar() == 255
    with ThreadPoolExecutor(1) as pool:
        with database.connect() as reader:
            reader.exec_driver_sql("SELECT COUNT(*) FROM drift_metric").scalar()
            migration = pool.submit(apply_migrations, database)
            assert wait_until(lambda: is_waiting(database, "drift_metric"), 30)
            with database.begin() as writer:
                # Were it queued behind the change, it would wait as long as the reader does.
                writer.exec_driver_sql("SET STATEMENT lock_wait_timeout = 10 FOR DELETE FROM drift_metric")
            assert not migration.done()
            reader.rollback()
        migration.result(60)
    with database.connect() as connection:
        assert connection.exec_driver_sql(columns).scalar() == 320


def is_waiting(database: sa.Engine, table: str) -> bool:
    """Whether a change of that table waits for another session."""
    processes = (
        "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%%'"
        f" AND info LIKE '%%ALTER TABLE%%{table}%%'"
    )
    with database.connect() as connection:
        return bool(connection.exec_driver_sql(processes).scalar())


def test_a_broken_migration_is_not_recorded(settings: Settings, tmp_path: Path) -> None:
    database = get_engine(settings)
    apply_migrations(database)
    broken = tmp_path / "0999_broken.sql"
    broken.write_text("CREATE TABLE IF NOT EXISTS extra (a INT);\nTHIS IS NOT SQL;\n")
    with pytest.raises(sa.exc.ProgrammingError):
        apply_migrations(database, tmp_path)
    broken.write_text(
        "CREATE TABLE IF NOT EXISTS extra (a INT);\nALTER TABLE extra ADD COLUMN IF NOT EXISTS b INT;\n"
    )
    assert apply_migrations(database, tmp_path) == ["0999_broken"]


def test_tables_follow_from_the_declaration(settings: Settings, toy_use_case: UseCase) -> None:
    database = get_engine(settings)
    expected = ["toy__facts", "toy__facts__online", "toy__label", "toy__prediction", "toy__outcome"]
    assert create_tables(database, toy_use_case) == expected
    assert create_tables(database, toy_use_case) == []
    inspector = sa.inspect(database)
    keys = {name: inspector.get_pk_constraint(name)["constrained_columns"] for name in expected}
    assert keys == {
        "toy__facts": ["client_id", "event_time", "ingested_at"],
        "toy__facts__online": ["client_id"],
        "toy__label": ["client_id", "event_time", "ingested_at"],
        "toy__prediction": ["prediction_id", "predicted_at"],
        "toy__outcome": ["outcome_id", "predicted_at"],
    }
    with database.connect() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT table_name FROM information_schema.tables"
                " WHERE table_schema = DATABASE() AND table_type = 'SYSTEM VERSIONED'"
            )
        )
        versioned = set(rows.scalars())
    assert versioned == {"toy__facts", "toy__label"}


def test_text_keys_and_regression_targets_have_tables_too(settings: Settings, toy_use_case: UseCase) -> None:
    other = replace(
        toy_use_case,
        entity=Entity("pair", (Key("shop", "text", ""), Key("client_id", "int", ""))),
        label=replace(toy_use_case.label, classes=()),
    )
    database = get_engine(settings)
    assert len(create_tables(database, other)) == 5
    assert create_tables(database, other) == []


def test_a_changed_type_is_refused_by_column(settings: Settings, toy_use_case: UseCase) -> None:
    database = get_engine(settings)
    create_tables(database, toy_use_case)
    view = toy_use_case.views[0]
    changed = replace(view, features=(Feature("age", "float", ""), *view.features[1:]))
    with pytest.raises(SchemaMismatch, match="toy__facts, column age: declared double, found bigint"):
        create_tables(database, replace(toy_use_case, views=(changed,)))


def test_a_removed_feature_is_refused_as_well(settings: Settings, toy_use_case: UseCase) -> None:
    database = get_engine(settings)
    create_tables(database, toy_use_case)
    view = toy_use_case.views[0]
    fewer = replace(toy_use_case, views=(replace(view, features=view.features[:-1]),))
    with pytest.raises(SchemaMismatch, match="column mood: declared not at all"):
        create_tables(database, fewer)


def test_an_empty_database_has_an_empty_summary(settings: Settings, toy_use_case: UseCase) -> None:
    nothing = {"rows": 0, "newest_event_time": None}
    expected = {"views": {"facts": {**nothing, "keys": 0}}, "label": nothing, "last_ingest": None}
    assert summarize_store(get_engine(settings), toy_use_case).to_json() == expected
    assert is_empty(get_engine(settings), toy_use_case)


def test_forgetting_touches_one_use_case_only(settings: Settings, toy_use_case: UseCase) -> None:
    database = get_engine(settings)
    apply_migrations(database)
    other = replace(toy_use_case, name="toy_two")
    for use_case in (toy_use_case, other):
        create_tables(database, use_case)
        start_ingest(database, use_case, TIMELESS)
    assert not is_empty(database, toy_use_case)
    erase_use_case(database, toy_use_case)
    erase_use_case(database, toy_use_case)
    assert is_empty(database, toy_use_case)
    assert not is_empty(database, other)
    assert {table.name for table in build_tables(other)} <= names(database)


def test_a_lock_that_another_session_keeps_is_told(settings: Settings) -> None:
    database = get_engine(settings)
    with database.connect() as one, database.connect() as two, hold_lock(one, "x"):
        with pytest.raises(StoreError, match="another session"), hold_lock(two, "x", seconds=0):
            pass
        with hold_lock(two, "y", seconds=0):
            pass
    with database.connect() as three, hold_lock(three, "x", seconds=0):
        pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mariadb_socket": None, "mariadb_port": 1}, "127.0.0.1:1/"),
        ({"mariadb_socket": Path("/nowhere/mariadb.sock")}, "/nowhere/mariadb.sock/"),
        ({"mariadb_password": SecretStr("wrong")}, "refuses us"),
        ({"mariadb_database": "nowhere"}, "refuses us"),
    ],
)
def test_an_unreachable_store_says_where(
    settings: Settings, toy_use_case: UseCase, change: dict[str, object], words: str
) -> None:
    database = get_engine(settings.model_copy(update=change))
    for call in (
        lambda: apply_migrations(database),
        lambda: create_tables(database, toy_use_case),
        lambda: summarize_store(database, toy_use_case).to_json(),
    ):
        with pytest.raises(StoreUnreachable) as raised:
            call()
        assert words in raised.value.message
        assert "wrong" not in str(raised.value)
        assert raised.value.hint
