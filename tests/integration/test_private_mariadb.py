"""A private server must not disturb another one on the same machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from evergreen.stack.mariadb import PrivateMariaDB, new_password
from evergreen.stack.ports import LOOPBACK, any_free


@pytest.fixture
def second_home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="evergreen-second-"))
    yield home
    shutil.rmtree(home)


def test_a_server_that_starts_leaves_the_temporary_tables_of_others_alone(
    mariadb_server: PrivateMariaDB, second_home: Path
) -> None:
    connection = pymysql.connect(
        host=LOOPBACK, port=mariadb_server.port, user=mariadb_server.user, password=mariadb_server.password
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE mysql.parked (n INT) ENGINE=Aria")
        cursor.execute("INSERT INTO mysql.parked VALUES (1), (2)")
        second = PrivateMariaDB(home=second_home, port=any_free(), user="second", password=new_password())
        second.initialise()
        process = subprocess.Popen(second.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _until_up(second)
            cursor.execute("SELECT COUNT(*) FROM mysql.parked")
            assert cursor.fetchone() == (2,)
            cursor.execute("DROP TEMPORARY TABLE mysql.parked")
        finally:
            process.terminate()
            process.wait(60)


def _until_up(server: PrivateMariaDB) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            pymysql.connect(
                host=LOOPBACK, port=server.port, user=server.user, password=server.password
            ).close()
            return
        except pymysql.err.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
