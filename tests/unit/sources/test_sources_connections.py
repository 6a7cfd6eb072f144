"""Connections as Airflow writes them, found outside of Airflow."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from evergreen.errors import SettingsError, SourceError
from evergreen.settings import STACK_ENV, Settings
from evergreen.sources.connections import find_connection_url, parse_connection
from support.drivers import hide_mysqlclient


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    # Another test of this process may have imported Airflow, which would be asked first.
    monkeypatch.delitem(sys.modules, "airflow", raising=False)
    return Settings(home=tmp_path)


def test_a_uri_from_the_environment(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BANK", "mysql://us%40er:p%2Fw%3A@db.local:3307/bank?charset=utf8mb4")
    url = find_connection_url("bank", home)
    assert (url.drivername, url.username, url.password) == ("mysql+mysqldb", "us@er", "p/w:")
    assert (url.host, url.port, url.database, dict(url.query)) == (
        "db.local",
        3307,
        "bank",
        {"charset": "utf8mb4"},
    )


@pytest.mark.parametrize(
    ("scheme", "driver", "alone"),
    [
        ("mysql", "mysql+mysqldb", "mysql+pymysql"),
        ("mariadb", "mysql+mysqldb", "mysql+pymysql"),
        ("mysql+pymysql", "mysql+pymysql", "mysql+pymysql"),
        ("mysql+mysqldb", "mysql+mysqldb", "mysql+mysqldb"),
    ],
)
def test_a_declared_driver_is_kept_and_the_default_is_the_fast_one(
    scheme: str, driver: str, alone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = json.dumps({"conn_type": scheme, "host": "h", "schema": "d"})
    for value in (f"{scheme}://h/d", fields):
        assert parse_connection("bank", value).drivername == driver
    hide_mysqlclient(monkeypatch)
    for value in (f"{scheme}://h/d", fields):
        assert parse_connection("bank", value).drivername == alone


def test_json_from_the_environment(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"conn_type": "postgres", "host": "h", "login": "u", "password": "p", "schema": "d", "port": 1}
    monkeypatch.setenv("AIRFLOW_CONN_BANK", json.dumps({**fields, "extra": '{"sslmode": "require"}'}))
    assert find_connection_url("bank", home).render_as_string(hide_password=False) == (
        "postgresql+psycopg2://u:p@h:1/d?sslmode=require"
    )


def test_the_running_stacks_file_comes_after_the_environment(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.home / STACK_ENV).write_text("AIRFLOW_CONN_BANK='mysql://stack@h/d'\n")
    assert find_connection_url("bank", home).username == "stack"
    monkeypatch.setenv("AIRFLOW_CONN_BANK", "mysql://shell@h/d")
    assert find_connection_url("bank", home).username == "shell"


def test_an_unknown_connection_says_how_to_define_it(home: Settings) -> None:
    with pytest.raises(SourceError, match="no connection 'bank'") as raised:
        find_connection_url("bank", home)
    assert "AIRFLOW_CONN_BANK" in raised.value.hint


@pytest.mark.parametrize(
    "value",
    [
        "mysql://u:SECRET@h:no-port/d",
        "SECRET",
        '{"host": "SECRET"}',
        '{"SECRET',
        "[1]",
        "carrier://u:SECRET@h",
    ],
)
def test_a_malformed_connection_never_shows_its_password(value: str) -> None:
    with pytest.raises(SettingsError, match="'bank'") as raised:
        parse_connection("bank", value)
    assert "SECRET" not in str(raised.value)
