"""Fixtures on real servers: a private MariaDB per test process, one empty database per test."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from pydantic import SecretStr

from evergreen.settings import Settings
from evergreen.stack.mariadb import PrivateMariaDB, new_password

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def _no_inherited_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own EVERGREEN_* and Airflow connections must not leak into a test."""
    for name in list(os.environ):
        if name.startswith(("EVERGREEN_", "AIRFLOW_CONN_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[PrivateMariaDB]:
    """A private MariaDB for this test process; gone with it, data and all."""
    # Not under pytest's tmp_path: its name is too long for a Unix socket.
    home = Path(tempfile.mkdtemp(prefix="evergreen-test-"))
    server = PrivateMariaDB(home=home, port=free_port(), user="evergreen", password=new_password())
    server.initialise()
    process = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(home, ignore_errors=True)


def _wait_for(server: PrivateMariaDB, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            _connect(server).close()
            return
        except pymysql.err.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _connect(server: PrivateMariaDB) -> pymysql.connections.Connection:
    return pymysql.connect(
        host="127.0.0.1", port=server.port, user=server.user, password=server.password, autocommit=True
    )


@pytest.fixture
def settings(mariadb_server: PrivateMariaDB, tmp_path: Path) -> Iterator[Settings]:
    """Settings with an empty database of this test's own and an MLflow store in its temporary folder."""
    database = f"test_{secrets.token_hex(6)}"
    connection = _connect(mariadb_server)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {database}")
    yield Settings(
        home=tmp_path / "home",
        use_cases=str(tmp_path / "usecases"),
        mariadb_port=mariadb_server.port,
        mariadb_user=mariadb_server.user,
        mariadb_password=SecretStr(mariadb_server.password),
        mariadb_database=database,
        mlflow_tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}",
        threads=1,
    )
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {database}")
    connection.close()


@pytest.fixture(scope="session")
def titanic_csv() -> Path:
    """The real Titanic training file; its tests are skipped where it is absent."""
    path = SHARED_DATA / "titanic" / "train.csv"
    if not path.exists():
        pytest.skip(f"the Titanic file is not there: {path}")
    return path
