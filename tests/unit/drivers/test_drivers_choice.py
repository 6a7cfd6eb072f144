"""Which driver a URL gets, with and without mysqlclient."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from evergreen.drivers.choice import build_driver_options, choose_fast_driver, decide_driver
from evergreen.drivers.guarded_pymysql import GUARDED_PYMYSQL
from support.drivers import hide_mysqlclient, write_missing_mysqlclient


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
def test_who_names_no_driver_gets_the_faster_one(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = sa.make_url(f"{scheme}://u:p@h/d?charset=utf8mb4")
    decided = decide_driver(url)
    assert decided.drivername == "mysql+mysqldb"
    assert decided.set(drivername=scheme) == url
    hide_mysqlclient(monkeypatch)
    assert decide_driver(url).drivername == "mysql+pymysql"


@pytest.mark.parametrize(
    "name", ["mysql+pymysql", "mariadb+pymysql", "mysql+mysqldb", "postgresql", "sqlite"]
)
def test_a_driver_that_is_named_is_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = sa.make_url(f"{name}://h/d")
    assert decide_driver(url) == url
    hide_mysqlclient(monkeypatch)
    assert decide_driver(url) == url


@pytest.mark.parametrize(
    ("name", "guarded"), [("mysql+pymysql", True), ("mariadb+pymysql", True), ("mysql+mysqldb", False)]
)
def test_pymysql_is_guarded_however_it_is_named(name: str, guarded: bool) -> None:
    url = sa.make_url(f"{name}://u:p@h/d")
    assert build_driver_options(url) == ({"module": GUARDED_PYMYSQL} if guarded else {})


def test_a_process_without_mysqlclient_says_so(tmp_path: Path) -> None:
    code = "from evergreen.drivers.choice import choose_fast_driver; print(choose_fast_driver())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=write_missing_mysqlclient(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "mysql+pymysql"
    assert choose_fast_driver() == "mysql+mysqldb"


def test_the_flags_of_the_protocol_are_those_of_mysqlclient() -> None:
    """Else an UPDATE would count the rows that it changed, not those that it found."""
    flags = {
        name: sa.create_engine(url, **build_driver_options(url)).dialect.create_connect_args(url)[1][
            "client_flag"
        ]
        for name in ("pymysql", "mysqldb")
        for url in [sa.make_url(f"mysql+{name}://u:p@h/d")]
    }
    assert flags["pymysql"] == flags["mysqldb"] > 0
