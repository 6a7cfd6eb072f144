"""A private MariaDB for the run, with as many empty stores as wanted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import MySQLdb
from pydantic import SecretStr

from evergreen.settings import Settings
from evergreen.stack import warden
from evergreen.stack.mariadb import PrivateMariaDB, new_password
from evergreen.stack.ports import LOOPBACK, any_free
from evergreen.store.database import dispose, engine
from evergreen.store.migrations import migrate
from evergreen.store.tables import create_tables
from evergreen.usecases import load

_START_SECONDS = 60.0
_STOP_SECONDS = 120.0
_SETTLE_SECONDS = 30.0
_SETTLED_PAGES = 500


@dataclass(frozen=True)
class Bench:
    """The server, and the folder of this run: files to ingest, declarations, caches."""

    server: PrivateMariaDB
    folder: Path

    @property
    def use_cases(self) -> Path:
        return self.folder / "usecases"

    def connect(self) -> MySQLdb.Connection:
        """An own connection without a database, in autocommit mode."""
        server = self.server
        made = MySQLdb.connect(
            host=LOOPBACK, port=server.port, user=server.user, password=server.password, connect_timeout=5
        )
        made.autocommit(True)
        return made

    def settings(self, database: str) -> Settings:
        return Settings(
            home=self.folder / "home",
            use_cases=str(self.use_cases),
            mariadb_host=LOOPBACK,
            mariadb_port=self.server.port,
            mariadb_user=self.server.user,
            mariadb_password=SecretStr(self.server.password),
            mariadb_database=database,
        )

    @contextmanager
    def store(self, use_case: str, database: str) -> Iterator[Settings]:
        """Settings of a new database that holds the use case's empty tables; dropped at the end."""
        self._sql(f"CREATE DATABASE {database}")
        made = self.settings(database)
        made.home.mkdir(exist_ok=True)
        try:
            migrate(engine(made))
            create_tables(engine(made), load(use_case, made))
            self._settle()
            yield made
        finally:
            dispose(made)
            self._sql(f"DROP DATABASE {database}")

    def _sql(self, statement: str) -> None:
        connection = self.connect()
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()

    def _settle(self) -> None:
        """Wait until the server has written what the run before left in memory: nobody shall inherit it."""
        connection = self.connect()
        try:
            cursor = connection.cursor()
            cursor.execute("SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0.001")
            cursor.execute("SET GLOBAL innodb_max_dirty_pages_pct = 0")
            deadline = time.monotonic() + _SETTLE_SECONDS
            while time.monotonic() < deadline:
                cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'")
                if int(cursor.fetchone()[1]) < _SETTLED_PAGES:
                    break
                time.sleep(0.2)
            cursor.execute("SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT")
            cursor.execute("SET GLOBAL innodb_max_dirty_pages_pct_lwm = DEFAULT")
        finally:
            connection.close()


@contextmanager
def running(folder: Path) -> Iterator[Bench]:
    """A server with its data in `folder`, configured as the embedded stack's; gone at the end.

    The kernel ends it when this process dies, however it dies.
    """
    home = folder / "mariadb"
    server = PrivateMariaDB(home=home, port=any_free(), user="evergreen", password=new_password())
    try:
        server.initialise()
        with (home / "server.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    warden.__file__,
                    "launch",
                    str(os.getpid()),
                    "--",
                    *server.command(),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        try:
            bench = Bench(server, folder)
            _await(bench, process)
            yield bench
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            if process.poll() is None:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _await(bench: Bench, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            bench.connect().close()
        except MySQLdb.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                log = (bench.server.home / "server.log").read_text(errors="replace")
                raise SystemExit(f"the private MariaDB does not answer ({error}):\n{log[-2000:]}") from error
            time.sleep(0.1)
        else:
            return
