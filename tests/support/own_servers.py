"""Servers that a test starts for itself: on free ports, stopped at its end, gone when pytest is killed."""

from __future__ import annotations

import atexit
import functools
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from pydantic import SecretStr

from evergreen.settings import Settings
from evergreen.stack.processes import warden
from evergreen.stack.processes.ports import LOOPBACK, find_free_port
from evergreen.stack.servers.mariadb import HOSTS, PrivateMariaDB, generate_password
from evergreen.store.tables.sql_files import (
    build_full_grants,
    build_ledger_grants,
    build_ledger_statements,
    get_ledger_schema,
)
from support.waiting import eventually

_STOP_SECONDS = 60.0
# No fsync: a test kills the server's process, which loses nothing that was written, and never the machine.
# The redo log is still written at each commit, and pages still go through the doublewrite buffer.
WITHOUT_SYNC = ("--debug-no-sync", "--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=2")


def start_tied(
    command: Sequence[str],
    *,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start one process that the kernel ends (SIGTERM) when this one dies, however it dies."""
    return _start(["launch", str(os.getpid())], command, log, environment, folder)


def start_guarded(
    command: Sequence[str],
    *,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Like `start_tied` for a program with workers: with it, all of its descendants end."""
    return _start(["guard", "-1", str(os.getpid()), "10"], command, log, environment, folder)


def _start(
    mode: list[str],
    command: Sequence[str],
    log: Path | None,
    environment: Mapping[str, str] | None,
    folder: Path | None,
) -> subprocess.Popen[bytes]:
    with (log or Path(os.devnull)).open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", warden.__file__, *mode, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            process_group=0,
        )


def stop(process: subprocess.Popen[bytes], seconds: float = _STOP_SECONDS) -> None:
    """SIGTERM, as an operator would; SIGKILL to it and all below it after `seconds`. Then it is reaped."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        warden.signal_processes({process.pid, *warden.find_descendants(process.pid)}, 9)
        process.wait(seconds)
        raise


@dataclass
class Database:
    """A private MariaDB that a test may stop and start again."""

    server: PrivateMariaDB
    options: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        command = [*self.server.command(), *self.options]
        self.process = start_tied(command, log=self.server.home / "server.log")
        eventually(self._answers)

    def stop(self) -> None:
        """Returns when it has ended. Safe to call again."""
        process, self.process = self.process, None
        if process is not None:
            stop(process)

    def connect(self) -> pymysql.connections.Connection:
        """An own connection as the server's user, in autocommit mode, without a database."""
        server = self.server
        return pymysql.connect(
            host=LOOPBACK, port=server.port, user=server.user, password=server.password, autocommit=True
        )

    def connect_as_administrator(self) -> pymysql.connections.Connection:
        """The same as the one who may do everything, which the server's user may not."""
        return pymysql.connect(**self.server.administrator, autocommit=True)

    def administer(self, *statements: str) -> None:
        """Run statements as that one."""
        with self.connect_as_administrator() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def build_settings(self, folder: Path, database: str | None = None, **more: Any) -> Settings:
        """Settings on this server (the given database, or its usual one), everything else within `folder`."""
        return Settings(
            home=folder / "home",
            use_cases=str(folder / "usecases"),
            mariadb_port=self.server.port,
            mariadb_socket=self.server.socket,
            mariadb_user=self.server.user,
            mariadb_password=SecretStr(self.server.password),
            mariadb_database=database or self.server.database,
            **more,
        )

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """The name of a new database with its ledger, where the server's user has the platform's rights.

        Both are dropped at the end, with the rights.
        """
        name, user = f"test_{secrets.token_hex(6)}", self.server.user
        grants = [*build_full_grants(name, user, HOSTS), *build_ledger_grants(name, user, HOSTS)]
        self.administer(f"CREATE DATABASE {name}", *build_ledger_statements(name), *grants)
        try:
            yield name
        finally:
            self.administer(
                f"DROP DATABASE IF EXISTS {name}",
                f"DROP DATABASE IF EXISTS {get_ledger_schema(name)}",
                *(
                    f"REVOKE ALL PRIVILEGES ON {place} FROM '{user}'@'{host}'"
                    for place in (
                        rf"`{name.replace('_', chr(92) + '_')}`.*",
                        f"{get_ledger_schema(name)}.promotion",
                    )
                    for host in HOSTS
                ),
            )

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except pymysql.err.OperationalError:
            assert self.process is not None
            log = self.server.home / "server.log"
            assert self.process.poll() is None, f"MariaDB ended: {log.read_text(errors='replace')[-2000:]}"
            return False
        return True


@functools.cache
def make_new_data() -> Path:
    """The data folder of a server that has never run. Made once in a process, because that takes seconds of
    processor time, and deleted at its end."""
    home = Path(tempfile.mkdtemp(prefix="evergreen-new-data-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    server = PrivateMariaDB(home=home, port=0, user="evergreen", password=generate_password())
    server.initialise()
    return server.data


@contextmanager
def private_mariadb(
    folder: Path, options: Sequence[str] = (), *, makes_data: bool = False
) -> Iterator[Database]:
    """A running MariaDB of one's own in that folder; stopped and deleted at the end.

    `options` are added to the stack's own command line. With `makes_data` the server makes its own data
    folder and waits for the disk as the stack's does; else it gets a copy of a new folder and does not wait.
    A folder of pytest's: what a killed run leaves of the data is deleted with that run's other files.
    """
    home = folder / "mariadb"
    server = PrivateMariaDB(home=home, port=find_free_port(), user="evergreen", password=generate_password())
    try:
        if makes_data:
            server.initialise()
        else:
            server.prepare()
            shutil.copytree(make_new_data(), server.data)
            options = (*WITHOUT_SYNC, *options)
        database = Database(server, options)
        try:
            database.start()
            yield database
        finally:
            database.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
        if server.socket.parent != home:
            shutil.rmtree(server.socket.parent, ignore_errors=True)
