"""The folders of the spool: each process makes and locks one of its own, and looks at those of others.

The lock is inherited by the process's shipper. A folder whose lock is free belongs to processes that have
ended: another shipper takes its segments over. So no row waits forever, and no two processes insert the same
segment.

The bytes of all folders of a use case on a volume count towards the limit of the spool: a service that is
started again while MariaDB is away begins a new folder each time, beside those that wait.
"""

from __future__ import annotations

import fcntl
import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from evergreen.private import make_private_folder, open_private_file
from evergreen.serving.predictions.segments import (
    FINISHED_SUFFIX,
    OPEN_SUFFIX,
    TAKEN_SUFFIX,
    count_segment_rows,
    delete_segment,
    parse_segment_name,
)

LOCK_NAME = "lock"
# The file by which who takes a folder over says that the process that wrote it has ended.
ENDED_NAME = "ended"

_SUFFIXES = {FINISHED_SUFFIX, OPEN_SUFFIX, TAKEN_SUFFIX}


@dataclass
class OtherFolders:
    """What waits in folders of other processes: `size` in bytes, and since when the oldest segment does (in
    seconds since 1970; None where there is none).

    `ended_segments` are finished segments of processes that have ended, as far as another one has taken their
    folders over, with their bytes: folder by folder, the oldest of each first. `living` is the number of all
    other folders.
    """

    ended_segments: deque[tuple[Path, int]] = field(default_factory=deque)
    living: int = 0
    size: int = 0
    oldest_at: float | None = None

    def drop_segment(self) -> int:
        """Delete the first of the `ended_segments`: its rows, or 0 where another process was faster. In both
        cases its bytes count no more. Raises OSError."""
        path, size = self.ended_segments.popleft()
        self.size -= size
        try:
            rows = count_segment_rows(path)
        except FileNotFoundError:
            return 0
        return rows if delete_segment(path) else 0


def lock_folder(folder: Path) -> int | None:
    """Lock a spool's folder; the descriptor that holds the lock until it is closed, also in a child that
    inherits it. None when another process holds it.

    Raises FileNotFoundError for a folder that another process has just removed, and OSError, also where the
    file system has no locks.
    """
    path = folder / LOCK_NAME
    handle = open_private_file(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.stat()  # who removes a folder holds its lock until then
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
        os.close(handle)
        raise
    return handle


def make_locked_folder(folder: Path) -> int:
    """Make a folder that is locked from the first moment at which others see it; the lock's descriptor.

    Shippers look for folders by their names, and take over those that nobody holds.
    """
    draft = folder.with_name(f".{folder.name}")
    make_private_folder(draft)
    lock = lock_folder(draft)
    assert lock is not None, "nobody else knows the folder"
    draft.rename(folder)
    return lock


def sync_folder(folder: Path) -> None:
    """Have the names of a folder's files on disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def list_spool_folders(home: Path, use_case_name: str) -> list[Path]:
    """The folders of all processes of a use case."""
    return sorted(home.glob(f"{use_case_name}-*/"))


def measure_other_folders(own_folder: Path, use_case_name: str) -> OtherFolders:
    """Look at the folders beside one's own."""
    others = OtherFolders()
    for folder in list_spool_folders(own_folder.parent, use_case_name):
        if folder == own_folder:
            continue
        is_ended = False
        finished: list[tuple[Path, int]] = []
        for path in _list_files(folder):
            is_ended = is_ended or path.name == ENDED_NAME
            with suppress(FileNotFoundError):  # shipped meanwhile
                state = path.stat()
                others.size += state.st_size
                if path.suffix in _SUFFIXES:
                    others.oldest_at = min(state.st_mtime, others.oldest_at or state.st_mtime)
                if path.suffix == FINISHED_SUFFIX and parse_segment_name(path.name):
                    finished.append((path, state.st_size))
        if is_ended:
            others.ended_segments += sorted(finished)
        else:
            others.living += 1
    return others


def _list_files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, PermissionError):
        return []
