"""The rights on the ledger: MariaDB refuses to change a line. Lines of an earlier version are moved in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from evergreen.errors import StoreError
from evergreen.registry import ledger
from evergreen.registry.ledger_rights import is_ledger_protected
from evergreen.settings import Settings
from evergreen.store.connection.database import dispose_engines, get_engine, get_error_code
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.tables.sql_files import find_migrations_folder, split_statements
from support.own_servers import Database, private_mariadb

AT = datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture
def database(settings: Settings) -> sa.Engine:
    engine = get_engine(settings)
    apply_migrations(engine)
    return engine


def promote(database: sa.Engine, version: int = 1) -> ledger.Entry:
    return ledger.append_entry(
        database,
        use_case_name="toy",
        action="promote",
        from_version=None,
        to_version=version,
        training_run_id="a" * 36,
        mlflow_run_id="m" * 32,
        actor="gate",
        reason="because",
        at=AT,
    )


@pytest.mark.parametrize(
    "forbidden",
    [
        "UPDATE {ledger}.promotion SET actor = 'me'",
        "UPDATE {ledger}.promotion SET actor = 'me' WHERE FALSE",
        "DELETE FROM {ledger}.promotion",
        "TRUNCATE TABLE {ledger}.promotion",
        "DROP TABLE {ledger}.promotion",
        "DROP DATABASE {ledger}",
        "ALTER TABLE {ledger}.promotion ADD COLUMN extra INT",
        "RENAME TABLE {ledger}.promotion TO {database}.promotion",
        "CREATE OR REPLACE TABLE {ledger}.promotion (id INT)",
        "CREATE TRIGGER {ledger}.bend BEFORE INSERT ON {ledger}.promotion FOR EACH ROW SET NEW.actor = 'me'",
        "REPLACE INTO {ledger}.promotion (id, at, use_case, action, actor, reason)"
        " VALUES (1, NOW(), 'toy', 'promote', 'me', '')",
        "INSERT INTO {ledger}.promotion (id, at, use_case, action, actor, reason)"
        " VALUES (1, NOW(), 'toy', 'promote', 'me', '') ON DUPLICATE KEY UPDATE actor = 'me'",
        "GRANT ALL PRIVILEGES ON {ledger}.* TO CURRENT_USER()",
        "INSERT INTO {ledger}.promotion (id, at, use_case, action, actor, reason)"
        " VALUES (9223372036854775807, NOW(), 'toy', 'promote', 'me', '')",
        "INSERT INTO {ledger}.promotion (recorded_at, at, use_case, action, actor, reason)"
        " VALUES ('2026-03-01', '2026-03-01', 'toy', 'promote', 'me', '')",
        "DROP TRIGGER {ledger}.promotion_recorded",
    ],
)
def test_the_platforms_user_can_add_lines_and_change_none(database: sa.Engine, forbidden: str) -> None:
    line = promote(database)
    name = str(database.url.database)
    # A driver's connection: the engine would call a refusal "unreachable".
    raw = database.raw_connection()
    try:
        with pytest.raises(Exception, match="denied") as refused:
            raw.cursor().execute(forbidden.format(ledger=f"{name}_ledger", database=name))
    finally:
        raw.close()
    assert get_error_code(refused.value) in (1044, 1142, 1143)
    assert ledger.read_entries(database, "toy") == [line]
    assert is_ledger_protected(database)


@pytest.mark.parametrize(
    "grant",
    [
        "UPDATE ON {ledger}.promotion",
        "UPDATE (reason) ON {ledger}.promotion",
        "SELECT, DELETE ON `{ledger}`.*",
        "ALL PRIVILEGES ON `test%`.*",
        "ALL PRIVILEGES ON *.*",
        "DROP ON *.*",
        "INSERT ON {ledger}.promotion",
        "INSERT (reason, recorded_at) ON {ledger}.promotion",
        "SELECT, INSERT (id) ON {ledger}.promotion",
    ],
)
def test_whoever_could_change_lines_is_told_so(
    mariadb: Database, database: sa.Engine, settings: Settings, grant: str
) -> None:
    assert is_ledger_protected(database)
    account = "'more'@'localhost'"
    name = f"{settings.mariadb_database}_ledger"
    mariadb.administer(
        f"CREATE USER {account} IDENTIFIED BY 'secret'",
        f"GRANT ALL ON `{settings.mariadb_database}`.* TO {account}",
        f"GRANT {grant.format(ledger=name)} TO {account}",
    )
    other = settings.model_copy(update={"mariadb_user": "more", "mariadb_password": SecretStr("secret")})
    try:
        assert not is_ledger_protected(get_engine(other))
    finally:
        dispose_engines(other)
        mariadb.administer(f"DROP USER {account}")


def test_old_lines_move_into_the_new_ledger_once(database: sa.Engine) -> None:
    """Lines of an earlier version; the first migration is killed between its copy and its drop."""
    files = sorted(find_migrations_folder().glob("*.sql"))
    (old,) = [statement for statement in split_statements(files[0].read_text()) if " promotion " in statement]
    with database.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO training_run (id, use_case, as_of, reason, status, mlflow_run_id, started_at)"
            f" VALUES ('{'a' * 36}', 'toy', '2026-07-01', 'manual', 'promoted', 'mlflow-1', '2026-07-01')"
        )
    for _ in range(2):
        with database.begin() as connection:
            connection.exec_driver_sql("DELETE FROM schema_migration WHERE name LIKE '0003%%'")
            connection.exec_driver_sql(old)
            connection.exec_driver_sql(
                "INSERT INTO promotion"
                " (at, use_case, action, to_version, training_run_id, actor, reason, verdict)"
                f" VALUES ('2026-07-01 01:02:03.000004', 'toy', 'promote', 1, '{'a' * 36}', 'gate', 'good',"
                " '{\"passed\": true}'),"
                f" ('2026-07-02', 'toy', 'rollback', 1, NULL, 'deploy', 'bad', NULL)"
            )
        assert apply_migrations(database) == ["0003_ledger"]
        back, first = ledger.read_entries(database, "toy")
        assert (first.action, first.mlflow_run_id) == ("promote", "mlflow-1")
        assert first.to_json()["verdict"] == {"passed": True}
        assert first.at == datetime(2026, 7, 1, 1, 2, 3, 4, tzinfo=UTC)
        assert (back.action, back.training_run_id, back.reason) == ("rollback", None, "bad")
        assert "promotion" not in sa.inspect(database).get_table_names()


def test_a_server_that_nobody_prepared_says_what_an_administrator_runs(
    mariadb: Database, settings: Settings
) -> None:
    name = settings.mariadb_database
    mariadb.administer(f"DROP DATABASE {name}_ledger")
    with pytest.raises(StoreError, match=f"{name}_ledger is not there") as raised:
        apply_migrations(get_engine(settings))
    script = raised.value.hint.partition("\n")[2]
    mariadb.administer(*split_statements(script))
    assert "0003_ledger" in apply_migrations(get_engine(settings))
    promote(get_engine(settings))
    assert is_ledger_protected(get_engine(settings))


def test_a_user_who_may_do_everything_makes_the_ledger_and_is_told(
    mariadb: Database, settings: Settings
) -> None:
    account = "'everything'@'localhost'"
    mariadb.administer(
        f"DROP DATABASE {settings.mariadb_database}_ledger",
        f"CREATE USER {account} IDENTIFIED BY 'secret'",
        f"GRANT ALL PRIVILEGES ON *.* TO {account}",
    )
    credentials = {"mariadb_user": "everything", "mariadb_password": SecretStr("secret")}
    other = settings.model_copy(update=credentials)
    try:
        assert "0003_ledger" in apply_migrations(get_engine(other))
        promote(get_engine(other))
        assert not is_ledger_protected(get_engine(other))
    finally:
        dispose_engines(other)
        mariadb.administer(f"DROP USER {account}")


@pytest.fixture
def former_home(tmp_path: Path) -> Iterator[Database]:
    """An embedded server whose user has all rights everywhere, as earlier versions made it."""
    with private_mariadb(tmp_path) as server:
        server.administer(
            *(
                f"GRANT ALL PRIVILEGES ON *.* TO '{server.server.user}'@'{host}'"
                for host in ("127.0.0.1", "localhost")
            )
        )
        yield server


def test_the_next_start_takes_the_old_rights_away_and_keeps_those_on_other_databases(
    former_home: Database, tmp_path: Path
) -> None:
    server = former_home.server
    made = Settings(
        home=tmp_path,
        mariadb_port=server.port,
        mariadb_user=server.user,
        mariadb_password=SecretStr(server.password),
    )
    former_home.administer(f"GRANT SELECT ON warehouse.* TO '{server.user}'@'127.0.0.1'")
    try:
        apply_migrations(get_engine(made))
        assert not is_ledger_protected(get_engine(made))
        dispose_engines(made)
        former_home.stop()
        former_home.start()
        assert is_ledger_protected(get_engine(made))
        promote(get_engine(made))
        with get_engine(made).connect() as connection:
            grants = "\n".join(connection.exec_driver_sql("SHOW GRANTS").scalars())
        assert "`warehouse`" in grants
        assert "ALL PRIVILEGES ON *.*" not in grants
    finally:
        dispose_engines(made)
