"""What a service's and a reader's account of MariaDB may do, and what MariaDB refuses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pymysql
import pytest
from pydantic import SecretStr

from evergreen.errors import SettingsError
from evergreen.registry.ledger import read_entries
from evergreen.registry.refusals import record_refusal
from evergreen.serving.following.declaration_check import find_table_fault
from evergreen.settings import Settings
from evergreen.stack.servers.mariadb import generate_password
from evergreen.store.connection.database import dispose_engines, get_engine
from evergreen.store.rights.roles import ROLES, Role, build_role_grants
from evergreen.store.tables.create import create_tables
from evergreen.store.tables.declared import build_tables
from evergreen.store.tables.platform import PLATFORM_TABLES
from evergreen.store.tables.sql_files import get_ledger_schema
from evergreen.usecase import UseCase
from support.command_line import CommandLine, environment
from support.own_servers import Database

# MariaDB's errors for a statement that an account has no right to.
DENIED = {1044, 1142, 1143}
PASSWORD = generate_password()

Accounts = Mapping[Role, pymysql.connections.Connection]


@pytest.fixture
def accounts(mariadb: Database, toy_settings: Settings, toy_use_case: UseCase) -> Iterator[Accounts]:
    """A connection per role to the toy use case's database."""
    create_tables(get_engine(toy_settings), toy_use_case)
    database = toy_settings.mariadb_database
    users = {role: f"{role}_{database}"[:48] for role in ROLES}
    for role, user in users.items():
        grants = build_role_grants(role, (user, "localhost"), database, [toy_use_case])
        mariadb.administer(f"CREATE USER '{user}'@'localhost' IDENTIFIED BY '{PASSWORD}'", *grants)
    socket = str(mariadb.server.socket)
    opened = {
        role: pymysql.connect(unix_socket=socket, user=user, password=PASSWORD, database=database)
        for role, user in users.items()
    }
    yield opened
    for connection in opened.values():
        connection.close()
    mariadb.administer(*(f"DROP USER '{user}'@'localhost'" for user in users.values()))


def run(connection: pymysql.connections.Connection, statement: str) -> int:
    """0, or the code of the error with which MariaDB refuses the statement."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except pymysql.MySQLError as error:
        return int(error.args[0])
    finally:
        connection.rollback()
    return 0


def test_a_reader_reads_every_table_and_the_ledger_and_changes_nothing(
    accounts: Accounts, toy_settings: Settings, toy_use_case: UseCase
) -> None:
    ledger = f"`{get_ledger_schema(toy_settings.mariadb_database)}`.promotion"
    own_tables = [table.name for table in build_tables(toy_use_case)]
    tables = [*own_tables, *(table.name for table in PLATFORM_TABLES), ledger]
    reader = accounts["reader"]
    for table in tables:
        assert run(reader, f"SELECT COUNT(*) FROM {table}") == 0, table
        assert run(reader, f"DELETE FROM {table}") in DENIED, table
        assert run(reader, f"INSERT INTO {table} SELECT * FROM {table}") in DENIED, table
        assert run(reader, f"DROP TABLE {table}") in DENIED, table
    assert run(reader, "CREATE TABLE mine (id INT)") in DENIED


def test_a_service_cannot_read_what_models_learn_from(accounts: Accounts, toy_use_case: UseCase) -> None:
    service = accounts["service"]
    for view in toy_use_case.views:
        assert run(service, f"SELECT COUNT(*) FROM {toy_use_case.online_table(view)}") == 0
        assert run(service, f"SELECT COUNT(*) FROM {toy_use_case.history_table(view)}") in DENIED
    assert run(service, f"SELECT COUNT(*) FROM {toy_use_case.label_table}") in DENIED
    assert run(service, "SELECT COUNT(*) FROM ingest_run") in DENIED


def test_a_service_appends_to_its_log_and_can_neither_change_nor_delete_it(
    accounts: Accounts, toy_settings: Settings, toy_use_case: UseCase
) -> None:
    service = accounts["service"]
    ledger = f"`{get_ledger_schema(toy_settings.mariadb_database)}`.promotion"
    for table in (toy_use_case.prediction_table, toy_use_case.outcome_table):
        assert run(service, f"INSERT INTO {table} SELECT * FROM {table}") == 0
        assert run(service, f"DELETE FROM {table}") in DENIED
        assert run(service, f"TRUNCATE TABLE {table}") in DENIED
        assert run(service, f"ALTER TABLE {table} COMMENT 'x'") in DENIED
    assert run(service, f"UPDATE {toy_use_case.prediction_table} SET prediction = 'x'") in DENIED
    for harm in ("DELETE FROM {}", "UPDATE {} SET reason = 'x'", "INSERT INTO {} (id) VALUES (1)"):
        assert run(service, harm.format(ledger)) in DENIED


def test_a_service_may_count_end_trials_and_append_to_the_ledger(
    accounts: Accounts, toy_settings: Settings, toy_use_case: UseCase
) -> None:
    service = accounts["service"]
    for table in ("refused_count", "prediction_hour", "prediction_count"):
        assert run(service, f"INSERT INTO {table} SELECT * FROM {table}") == 0, table
    # Counts of a version whose number another training was given again are deleted.
    assert run(service, "DELETE FROM prediction_count WHERE use_case = 'toy'") == 0
    assert run(service, "SELECT COUNT(*) FROM model_record") == 0
    end = "UPDATE model_trial SET ended_at = NOW(6), outcome = 'x', reason = 'x', ended_by = 'x'"
    assert run(service, f"{end} WHERE id = 'none'") == 0
    assert run(service, "UPDATE model_trial SET share = 1 WHERE id = 'none'") in DENIED

    own = get_engine(sign_in_as_service(toy_settings))
    line = record_refusal(own, toy_use_case.name, 3, "run", "a test")
    assert [entry.id for entry in read_entries(get_engine(toy_settings), toy_use_case.name)] == [line.id]
    dispose_engines(sign_in_as_service(toy_settings))


def test_a_service_finds_the_tables_as_declared_though_it_sees_no_histories(
    accounts: Accounts, toy_settings: Settings, toy_use_case: UseCase
) -> None:
    """So that it takes over a changed declaration. A table that it works with is missed."""
    settings = sign_in_as_service(toy_settings)
    assert find_table_fault(settings, toy_use_case, "digest") is None
    with get_engine(toy_settings).begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {toy_use_case.outcome_table}")
    fault = find_table_fault(settings, toy_use_case, "digest")
    assert fault is not None
    assert toy_use_case.outcome_table in fault.reason
    dispose_engines(settings)


def sign_in_as_service(settings: Settings) -> Settings:
    """The settings of a service with an account of its own."""
    user = f"service_{settings.mariadb_database}"[:48]
    return settings.model_copy(update={"mariadb_user": user, "mariadb_password": SecretStr(PASSWORD)})


@pytest.mark.parametrize("account", [("a'b", "%"), ("shop", "%'; DROP"), ("", "%"), ("a b", "%")])
def test_an_account_that_is_no_plain_name_is_refused(account: tuple[str, str]) -> None:
    with pytest.raises(SettingsError, match="cannot be part of an account"):
        build_role_grants("reader", account, "evergreen", [])


def test_rights_may_be_given_again(
    mariadb: Database, accounts: Accounts, toy_settings: Settings, toy_use_case: UseCase
) -> None:
    """As the set-up of containers does at each start."""
    database = toy_settings.mariadb_database
    user = f"service_{database}"[:48]
    mariadb.administer(*build_role_grants("service", (user, "localhost"), database, [toy_use_case]))
    assert run(accounts["service"], f"SELECT 1 FROM {toy_use_case.prediction_table}") == 0


def test_an_administrator_makes_the_account_its_rights_and_missing_tables_by_one_command(
    mariadb: Database,
    toy_settings: Settings,
    toy_use_case: UseCase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing is there but the databases. Run again, with another password, it changes that alone."""
    user = f"front_{toy_settings.mariadb_database}"[:48]
    administrator = mariadb.server.administrator["user"]
    given = {**environment(toy_settings), "EVERGREEN_MARIADB_USER": administrator}
    file = tmp_path / "password"
    words = ("rights", "service", "--user", user, "--host", "localhost", "--use-case", toy_use_case.name)
    for password in ("it's %s new", "another"):
        file.write_text(f"{password}\n")
        done = CommandLine(monkeypatch, capsys).run(
            *words, "--apply", "--password-file", str(file), home=toy_settings.home, **given
        )
        assert done.returncode == 0, done.stderr
        assert password not in done.stdout + done.stderr
        connection = pymysql.connect(
            unix_socket=str(mariadb.server.socket),
            user=user,
            password=password,
            database=toy_settings.mariadb_database,
        )
        assert run(connection, f"SELECT COUNT(*) FROM {toy_use_case.prediction_table}") == 0
        assert run(connection, f"SELECT COUNT(*) FROM {toy_use_case.label_table}") in DENIED
        connection.close()
    mariadb.administer(f"DROP USER '{user}'@'localhost'")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("writer", "--user", "x"), "there is no role 'writer'"),
        (("reader", "--user", "x", "--password-file", "key"), "--password-file is for --apply"),
        (("service", "--user", "x", "--use-case", "nothing"), "there is no use case 'nothing'"),
        (("reader", "--user", "x", "--apply", "--password-file", "none"), "none cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    words: tuple[str, ...],
    told: str,
    toy_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = environment(toy_settings)
    done = CommandLine(monkeypatch, capsys).run("rights", *words, home=toy_settings.home, **given)
    assert done.returncode == 2
    assert told in done.stderr


def test_a_name_of_the_database_is_no_pattern() -> None:
    """In a GRANT on all tables an underscore stands for any character."""
    statements = build_role_grants("reader", ("grafana", "%"), "my_data", [])
    assert statements == [
        r"GRANT SELECT ON `my\_data`.* TO 'grafana'@'%'",
        r"GRANT SELECT ON `my\_data\_ledger`.* TO 'grafana'@'%'",
    ]
