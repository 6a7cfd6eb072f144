"""The stack's home: a private folder, and the lock files in it.

Three locks: `stack.lock` is held while a supervisor or its warden lives, `up.lock` by the caller who starts
the stack, `restart.lock` by the caller who restarts a server. The kernel frees a lock when its last holder
dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from evergreen.errors import StackError
from evergreen.waiting import POLL_SECONDS, wait_until

STACK_LOCK = "stack.lock"
UP_LOCK = "up.lock"
RESTART_LOCK = "restart.lock"


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
        raise build_access_error(home, error) from None


def open_lock_file(home: Path, name: str = STACK_LOCK) -> int:
    """Open a lock file of a home; its descriptor. Raises StackError when it cannot be written."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(home / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise build_access_error(home, error) from None


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open lock file if nobody holds it; whether it was taken."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def hold_lock(
    home: Path, name: str, on_wait: Callable[[], None], *, poll_seconds: float = POLL_SECONDS
) -> Iterator[int]:
    """Wait for a lock of the home and hold it within this block; yields its descriptor.

    `on_wait` is called each time that somebody else still holds it. Raises StackError when the home cannot be
    written.
    """
    descriptor = open_lock_file(home, name)

    def take() -> bool:
        """Whether the lock was taken."""
        if try_lock(descriptor):
            return True
        on_wait()
        return False

    try:
        wait_until(take, poll_seconds=poll_seconds)
        yield descriptor
    finally:
        os.close(descriptor)


def is_stack_alive(home: Path) -> bool:
    """Whether a supervisor (or its warden, still sweeping up) holds the stack's lock.

    Raises StackError when the home cannot be read.
    """
    try:
        descriptor = os.open(home / STACK_LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise build_access_error(home, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def build_access_error(home: Path, error: OSError) -> StackError:
    """The error of a home that cannot be read or written."""
    return StackError(
        f"cannot use the stack's home {home}: {error.strerror}",
        hint="set EVERGREEN_HOME to a folder that you may read and write, or mend this one's permissions",
    )
