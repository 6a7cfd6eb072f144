"""The accounts that containers sign in with, made by a program of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest

from evergreen.settings import Settings
from evergreen.stack.deploy import database_accounts
from evergreen.stack.deploy.facts import DATABASE_ACCOUNTS, GRAFANA_ACCOUNT, SERVICE_ACCOUNT
from evergreen.store.connection.database import get_engine
from evergreen.usecase import UseCase
from support.command_line import environment
from support.own_servers import Database


@pytest.fixture
def administration(
    mariadb: Database, toy_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The container's environment: the server's administrator, and a password for each account."""
    given = {
        **environment(toy_settings),
        "EVERGREEN_HOME": str(toy_settings.home),
        "EVERGREEN_MARIADB_USER": str(mariadb.server.administrator["user"]),
        **{account.password_variable: f"of {account.user}" for account in DATABASE_ACCOUNTS},
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    toy_settings.home.mkdir(exist_ok=True)
    yield
    mariadb.administer(*(f"DROP USER IF EXISTS '{account.user}'@'%'" for account in DATABASE_ACCOUNTS))


def read_grants(mariadb: Database, user: str) -> str:
    with mariadb.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute(f"SHOW GRANTS FOR '{user}'@'%'")
        return "\n".join(row[0] for row in cursor.fetchall())


def test_accounts_tables_and_rights_are_there_afterwards_and_a_second_run_changes_nothing(
    mariadb: Database, toy_settings: Settings, toy_use_case: UseCase, administration: None
) -> None:
    assert database_accounts.main() == 0
    first = {account.user: read_grants(mariadb, account.user) for account in DATABASE_ACCOUNTS}
    database = toy_settings.mariadb_database
    log = f"`{database}`.`{toy_use_case.prediction_table}`"
    assert f"GRANT SELECT, INSERT ON {log}" in first[SERVICE_ACCOUNT.user]
    assert toy_use_case.label_table not in first[SERVICE_ACCOUNT.user]
    # The examples are declared too.
    assert "credit_score__prediction" in first[SERVICE_ACCOUNT.user]
    assert "INSERT" not in first[GRAFANA_ACCOUNT.user]
    assert database_accounts.main() == 0
    assert first == {account.user: read_grants(mariadb, account.user) for account in DATABASE_ACCOUNTS}


def test_a_use_case_whose_table_cannot_follow_keeps_nobody_waiting(
    mariadb: Database,
    toy_settings: Settings,
    toy_use_case: UseCase,
    administration: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its key has another type than declared, for which `evergreen apply` asks for leave."""
    assert database_accounts.main() == 0
    with get_engine(toy_settings).begin() as connection:
        key, table = toy_use_case.entity.keys[0].name, toy_use_case.online_table(toy_use_case.views[0])
        connection.exec_driver_sql(f"ALTER TABLE {table} MODIFY `{key}` VARCHAR(20) NOT NULL")
    capsys.readouterr()
    assert database_accounts.main() == 0
    assert f"{toy_use_case.name}: " in capsys.readouterr().err
    assert "credit_score__prediction" in read_grants(mariadb, SERVICE_ACCOUNT.user)


def test_a_password_that_is_not_set_is_named_and_none_is_shown(
    administration: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(GRAFANA_ACCOUNT.password_variable)
    assert database_accounts.main() != 0
    shown = capsys.readouterr()
    assert f"{GRAFANA_ACCOUNT.password_variable} is not set" in shown.err
    assert f"of {SERVICE_ACCOUNT.user}" not in shown.out + shown.err


def test_the_data_source_of_grafana_names_its_account() -> None:
    from pathlib import Path

    source = Path(__file__).parents[3] / "deploy/grafana/provisioning/datasources"
    text = "".join(file.read_text() for file in source.iterdir())
    assert f"user: {GRAFANA_ACCOUNT.user}" in text
    assert f"${{{GRAFANA_ACCOUNT.password_variable}}}" in text


def test_the_password_of_an_account_works(
    mariadb: Database, toy_settings: Settings, administration: None
) -> None:
    assert database_accounts.main() == 0
    pymysql.connect(
        unix_socket=str(mariadb.server.socket),
        user=SERVICE_ACCOUNT.user,
        password=f"of {SERVICE_ACCOUNT.user}",
        database=toy_settings.mariadb_database,
    ).close()
