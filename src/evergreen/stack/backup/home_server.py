"""The MariaDB of a home for a backup: the running stack's, or started for it alone while the stack stands."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pymysql
from pydantic import SecretStr

from evergreen.errors import ChildFailed, StackNotRunning
from evergreen.settings import Settings, load_settings
from evergreen.stack.processes import logs, warden
from evergreen.stack.processes.home import STACK_LOCK, is_stack_alive, open_lock_file, try_lock
from evergreen.stack.servers.keys import KEYS_FILE, load_or_create_keys
from evergreen.stack.servers.mariadb import PrivateMariaDB, build_stack_server
from evergreen.store.connection.database import dispose_engines
from evergreen.waiting import wait_until

_START_SECONDS = 300.0  # a server that was killed mends its tables first
_STOP_SECONDS = 300.0  # it writes its pages


@dataclass(frozen=True)
class HomeServer:
    """A MariaDB that answers. `settings` reach it by its socket as the platform's user; `is_stack_up` says
    whether it is the running stack's."""

    server: PrivateMariaDB
    settings: Settings
    is_stack_up: bool


def build_client_options(server: PrivateMariaDB) -> tuple[str, ...]:
    """How MariaDB's programs reach the server, as the account with all rights. Without a password."""
    account = server.administrator
    return ("--no-defaults", f"--socket={account['unix_socket']}", f"--user={account['user']}")


def connect_as_administrator(server: PrivateMariaDB) -> pymysql.Connection:
    """A connection of that account. Raises pymysql.err.MySQLError."""
    account = server.administrator
    return pymysql.connect(unix_socket=account["unix_socket"], user=account["user"])


@contextlib.contextmanager
def reach_server(home: Path) -> Iterator[HomeServer]:
    """The MariaDB of the stack in `home`. Where the stack is down it runs for the time of this block, in
    which `evergreen up` waits.

    Raises StackNotRunning where there never was a stack, ChildFailed, MissingProgram.
    """
    if not (home / KEYS_FILE).exists() or not (home / "mariadb" / "data").exists():
        raise StackNotRunning(
            f"there is no stack in {home}",
            hint="name its home with EVERGREEN_HOME; for containers see docs/operations.md",
        )
    keys = load_or_create_keys(home)
    server = build_stack_server(home, 0, keys.mariadb_password)
    settings = load_settings(home).model_copy(
        update={
            "mariadb_socket": server.socket,
            "mariadb_user": server.user,
            "mariadb_password": SecretStr(keys.mariadb_password),
            "mariadb_database": server.database,
        }
    )
    try:
        with lock_stack(home) as is_ours:
            if not is_ours:
                yield HomeServer(server, settings, True)
                return
            server.prepare()
            with run_server(server, logs.build_log_path(home, "mariadb")):
                yield HomeServer(server, settings, False)
    finally:
        dispose_engines(settings)


@contextlib.contextmanager
def lock_stack(home: Path) -> Iterator[bool]:
    """Hold the lock of a stack that is down, so that `evergreen up` waits; yields whether it is held, which
    it is not while the stack is up or starting. Raises StackError where the home cannot be written."""
    handle = open_lock_file(home, STACK_LOCK)
    try:
        # Whoever asks whether the stack lives holds the lock for a moment.
        wait_until(lambda: try_lock(handle) or is_stack_alive(home))
        yield try_lock(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def run_server(server: PrivateMariaDB, log: Path, options: Sequence[str] = ()) -> Iterator[None]:
    """Run a private server for the time of this block, reached by its socket alone; it ends with this
    process, however that ends. Raises ChildFailed when it does not come up or does not end."""
    handle = logs.open_log(log)
    try:
        process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", warden.__file__, "launch", str(os.getpid()), "--"),
                *(*server.command(), "--skip-networking", *options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            # Ctrl-C at a terminal ends the work first, then the server.
            process_group=0,
        )
    finally:
        os.close(handle)

    def answers() -> bool:
        """Whether it takes connections."""
        if process.poll() is not None:
            raise _build_failure(server, log, "ended at its start")
        with contextlib.suppress(pymysql.err.MySQLError):
            connect_as_administrator(server).close()
            return True
        return False

    try:
        if not wait_until(answers, _START_SECONDS, poll_seconds=0.05):
            raise _build_failure(server, log, f"does not answer after {_START_SECONDS:.0f} s")
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise _build_failure(server, log, f"did not end in {_STOP_SECONDS:.0f} s") from None


def _build_failure(server: PrivateMariaDB, log: Path, reason: str) -> ChildFailed:
    return ChildFailed(
        f"MariaDB in {server.home} {reason}; the last lines of {log}:\n{logs.read_log_tail(log)}",
        hint="the log says why; mend it and run the same command again",
    )
