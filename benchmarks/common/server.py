"""A private MariaDB for the run, with as many empty stores as wanted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import MySQLdb
from pydantic import SecretStr

from evergreen.settings import Settings
from evergreen.stack.processes import warden
from evergreen.stack.processes.ports import LOOPBACK, find_free_port
from evergreen.stack.servers.envfile import build_variables
from evergreen.stack.servers.mariadb import HOSTS, PrivateMariaDB, generate_password
from evergreen.stack.servers.server_list import build_child_environment
from evergreen.store.connection.database import dispose_engines, get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.tables.create import create_tables
from evergreen.store.tables.sql_files import (
    build_full_grants,
    build_ledger_grants,
    build_ledger_statements,
    get_ledger_schema,
)
from evergreen.usecases import load_use_case

_START_SECONDS = 60.0
_STOP_SECONDS = 120.0
_SETTLE_SECONDS = 30.0
_SETTLED_PAGES = 500


@dataclass
class Bench:
    """The server, and the folder of this run: files to ingest, declarations, caches.

    The server may be stopped, killed and held up, for runs that ask what follows.
    """

    server: PrivateMariaDB
    folder: Path
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server; returns when it answers. Raises SystemExit with the end of its log otherwise."""
        # To the end of the log: what the server said before it was stopped is not lost.
        with (self.server.home / "server.log").open("ab") as log:
            self._process = start_tied(self.server.command(), log)
        _await(self, self._process)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop the server, as an operator would; returns when it has ended. Safe to call again."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            stop(process)

    def kill(self) -> None:
        """SIGKILL to the server; returns when it has ended."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait()

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Meanwhile the server takes connections and answers nothing (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @property
    def use_cases(self) -> Path:
        return self.folder / "usecases"

    def connect(self) -> MySQLdb.Connection:
        """An own connection as the administrator, without a database, in autocommit mode."""
        made = MySQLdb.connect(**self.server.administrator, connect_timeout=5)
        made.autocommit(True)
        return made

    def settings(self, database: str, mlflow: str = "") -> Settings:
        """Settings for that database and, where one is given, the MLflow server at that address."""
        settings = Settings(
            home=self.folder / "home",
            use_cases=str(self.use_cases),
            mariadb_host=LOOPBACK,
            mariadb_port=self.server.port,
            mariadb_socket=self.server.socket,
            mariadb_user=self.server.user,
            mariadb_password=SecretStr(self.server.password),
            mariadb_database=database,
        )
        return settings.model_copy(update={"mlflow_tracking_uri": mlflow}) if mlflow else settings

    @contextmanager
    def store(self, use_case_name: str, database: str, mlflow: str = "") -> Iterator[Settings]:
        """Settings of a new database that holds the use case's empty tables; dropped at the end."""
        self._sql(
            f"CREATE DATABASE {database}",
            *build_ledger_statements(database),
            *build_full_grants(database, self.server.user, HOSTS),
            *build_ledger_grants(database, self.server.user, HOSTS),
        )
        made = self.settings(database, mlflow)
        made.home.mkdir(exist_ok=True)
        try:
            apply_migrations(get_engine(made))
            create_tables(get_engine(made), load_use_case(use_case_name, made))
            self._settle()
            yield made
        finally:
            dispose_engines(made)
            self._sql(f"DROP DATABASE {database}", f"DROP DATABASE {get_ledger_schema(database)}")

    def _sql(self, *statements: str) -> None:
        connection = self.connect()
        try:
            for statement in statements:
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
def running(folder: Path, foreign: tuple[str, ...] = ()) -> Iterator[Bench]:
    """A server with its data in `folder`, configured as the embedded stack's; gone at the end.

    `foreign` databases play other people's servers. The kernel ends it when this process dies, however it
    dies.
    """
    home = folder / "mariadb"
    server = PrivateMariaDB(
        home=home, port=find_free_port(), user="evergreen", password=generate_password(), foreign=foreign
    )
    try:
        server.initialise()
        bench = Bench(server, folder)
        try:
            bench.start()
            yield bench
        finally:
            bench.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def environment(settings: Settings) -> dict[str, str]:
    """What a process of its own inherits, to work with these settings as one of the embedded stack does."""
    fields = ("mariadb_socket", "mariadb_user", "mariadb_password", "mariadb_database")
    told = {name: getattr(settings, name) for name in (*fields, "mlflow_tracking_uri")}
    return {**build_child_environment(settings), **build_variables(told)}


def start_tied(
    command: Sequence[str],
    log: IO[bytes],
    environment: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
    workers: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a process that ends when this one dies, however it dies; with `workers`, all below it too."""
    mode = ("guard", "-1", str(os.getpid()), "10") if workers else ("launch", str(os.getpid()))
    return subprocess.Popen(
        [sys.executable, "-I", "-S", warden.__file__, *mode, "--", *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=folder,
        process_group=0,
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL to one that does not end for long."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    if process.poll() is None:
        process.kill()
        process.wait()


def _await(bench: Bench, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            bench.connect().close()
        except MySQLdb.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                log = (bench.server.home / "server.log").read_text("utf-8", errors="replace")
                raise SystemExit(f"the private MariaDB does not answer ({error}):\n{log[-2000:]}") from error
            time.sleep(0.1)
        else:
            return
