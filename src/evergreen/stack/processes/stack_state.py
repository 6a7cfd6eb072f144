"""What the supervisor tells the world, in `stack.json` (no secrets), and the lock that says it lives."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from evergreen import errors
from evergreen.errors import StackError
from evergreen.private import write_private_file

STATE_FILE = "stack.json"
LOCK_FILE = "stack.lock"

Phase = Literal["starting", "running", "stopping", "stopped", "failed"]
ProcessPhase = Literal[
    "waiting", "starting", "ready", "unhealthy", "restarting", "back-off", "done", "stopped", "failed"
]


@dataclass
class ProcessState:
    """One server (or one-off step) of the stack. `since`: when it entered this state, ISO 8601 UTC.

    `restarts` counts those after a crash; `request` is the last request to restart it for which the present
    process was started.
    """

    name: str
    state: ProcessPhase = "waiting"
    one_off: bool = False
    pid: int | None = None
    port: int | None = None
    url: str = ""
    since: str = ""
    restarts: int = 0
    last_exit: str = ""
    detail: str = ""
    log: str = ""
    request: str = ""


@dataclass
class StackState:
    """The whole stack. `error` is {type, message, hint} of the error that ended it, if one did."""

    id: str
    phase: Phase = "stopped"
    since: str = ""
    supervisor_pid: int | None = None
    ports: dict[str, int] = field(default_factory=dict)
    processes: list[ProcessState] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    error: dict[str, str] | None = None

    @property
    def urls(self) -> dict[str, str]:
        """The URL of each server that has one, by name."""
        return {process.name: process.url for process in self.processes if process.url}

    def raise_error(self) -> None:
        """Raise the error that ended the stack, as the kind it was in the supervisor."""
        if self.error is None:
            return
        kind = getattr(errors, self.error["type"], StackError)
        raise kind(self.error["message"], hint=self.error["hint"])


def write_state(home: Path, state: StackState) -> None:
    """Replace `stack.json` atomically: a reader never sees half of it."""
    write_private_file(home / STATE_FILE, json.dumps(asdict(state), indent=1))


def read_state(home: Path) -> StackState | None:
    """The last written state, or None when there is none (or an older Evergreen wrote it).

    Raises StackError when the home cannot be read.
    """
    try:
        raw: dict[str, Any] = json.loads((home / STATE_FILE).read_text("utf-8"))
        processes = [ProcessState(**process) for process in raw.pop("processes")]
        return StackState(processes=processes, **raw)
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
        return None
    except OSError as error:
        raise _build_access_error(home, error) from None


def build_unfinished_path(database: Path) -> Path:
    """The path at which a database is made, before it is renamed to `database`. What stands there may be
    deleted, what has its final name never is."""
    return database.with_name(f"{database.name}.new")


def build_sqlite_url(database: Path) -> str:
    """The SQLAlchemy URL of a SQLite file, whose path may hold what means something else in a URL."""
    return f"sqlite:///{str(database).replace('%', '%25').replace('?', '%3F')}"


def remove_unfinished_database(database: Path) -> None:
    """Remove what a killed creation of this SQLite database left; never the database itself."""
    for file in database.parent.glob(f"{build_unfinished_path(database).name}*"):
        file.unlink()


def finish_database(database: Path) -> None:
    """Give the SQLite database that was just made its name, unless there is one of that name."""
    if database.exists():
        remove_unfinished_database(database)
        return
    new = build_unfinished_path(database)
    # mode=rw: a database that nobody has made is an error, and no empty one.
    with contextlib.closing(sqlite3.connect(f"{new.resolve().as_uri()}?mode=rw", uri=True)) as connection:
        # What may still stand in a write-ahead log beside it would not be renamed with it.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    new.rename(database)


def make_home_private(home: Path) -> None:
    """Make the stack's home if need be, and readable by its owner only, whoever made it.

    Raises StackError when that cannot be, and for a folder that everybody shares (`/tmp`).
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if home == home.parent or home.stat().st_mode & stat.S_ISVTX:
            raise StackError(
                f"{home} is shared by everybody on this machine and cannot be the stack's home",
                hint="set EVERGREEN_HOME to a folder of its own",
            )
        home.chmod(0o700)
    except OSError as error:
        raise _build_access_error(home, error) from None


def open_lock_file(home: Path, name: str = LOCK_FILE) -> int:
    """Open the lock file of a home; raises StackError when the home cannot be written."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(home / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _build_access_error(home, error) from None


def try_lock(fd: int) -> bool:
    """Take the lock if nobody holds it. The kernel frees it when the last holder dies, however it dies."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_stack_alive(home: Path) -> bool:
    """Whether a supervisor (or its warden, still sweeping up) holds the stack's lock.

    Raises StackError when the home cannot be read.
    """
    try:
        fd = os.open(home / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _build_access_error(home, error) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def is_stack_supervised(home: Path, state: StackState) -> bool:
    """Whether the supervisor that wrote `state` still runs.

    The lock alone does not say so: after a SIGKILL of the supervisor its warden holds it while it sweeps up.
    A supervisor that is only just starting has not written its pid yet.
    """
    if not is_stack_alive(home):
        return False
    if state.supervisor_pid is None:
        return state.phase == "starting"
    try:
        os.kill(state.supervisor_pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _build_access_error(home: Path, error: OSError) -> StackError:
    return StackError(
        f"cannot use the stack's home {home}: {error.strerror}",
        hint="set EVERGREEN_HOME to a folder that you may read and write, or mend this one's permissions",
    )
