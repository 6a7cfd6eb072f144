"""What the supervisor tells the world, in `stack.json` (no secrets), and the lock that says it lives."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from evergreen import errors
from evergreen.errors import StackError

STATE_FILE = "stack.json"
LOCK_FILE = "stack.lock"

Phase = Literal["starting", "running", "stopping", "stopped", "failed"]
ProcessPhase = Literal["waiting", "starting", "ready", "unhealthy", "back-off", "done", "stopped", "failed"]


@dataclass
class ProcessState:
    """One server (or one-off step) of the stack. `since`: when it entered this state, ISO 8601 UTC."""

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
    write_private(home / STATE_FILE, json.dumps(asdict(state), indent=1))


def read_state(home: Path) -> StackState | None:
    """The last written state, or None when there is none (or an older Evergreen wrote it)."""
    try:
        raw: dict[str, Any] = json.loads((home / STATE_FILE).read_text())
        processes = [ProcessState(**process) for process in raw.pop("processes")]
        return StackState(processes=processes, **raw)
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
        return None


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically; only its owner may read it (mode 600)."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    new.replace(path)


def forget_half_made(database: Path, stamp: Path) -> None:
    """Remove an SQLite database whose creation was killed; one that ever was complete has its stamp."""
    if not stamp.exists():
        for file in database.parent.glob(f"{database.name}*"):
            file.unlink()


def open_lock(home: Path, name: str = LOCK_FILE) -> int:
    """Open the lock file of a home; raises StackError when the home cannot be written."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(home / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StackError(
            f"cannot write to the stack's home {home}: {error.strerror}",
            hint="set EVERGREEN_HOME to a folder that you may write, or mend this one's permissions",
        ) from None


def try_lock(fd: int) -> bool:
    """Take the lock if nobody holds it. The kernel frees it when the last holder dies, however it dies."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_alive(home: Path) -> bool:
    """Whether a supervisor (or its warden, still sweeping up) holds the stack's lock."""
    path = home / LOCK_FILE
    if not path.exists():
        return False
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
