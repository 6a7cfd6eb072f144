"""The files by which the processes of a service share their metrics: those of dead processes become one.

Prometheus' client writes a file per process and kind, and reads all of them for each page. A worker that died
leaves its files, so pages grow slower with each restart. Its counters must stay in the sums, which would else
fall and look to Prometheus like a restart; so they are added up in a file of their own.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import mmap_dict

logger = logging.getLogger(__name__)

# Prometheus' client gives it no types.
_MmapedDict: Any = mmap_dict.MmapedDict

# The archive has the form of a process's file; no process has the number 0.
_ARCHIVE = 0
_FILE = re.compile(r"(?P<kind>counter|histogram|summary|gauge_[a-z]+)_(?P<pid>\d+)\.db")
_LOCK = ".archive.lock"


def archive_dead_files(folder: Path) -> int:
    """Add the files of processes that no longer run to the archives, and remove them; how many there were.

    A gauge says what is now, so those of the dead are dropped. Workers may call it at the same time.
    """
    archived = 0
    with lock_metric_files(folder, fcntl.LOCK_EX):
        for path in sorted(folder.glob("*.db")):
            match = _FILE.fullmatch(path.name)
            if match is None or _is_running(int(match["pid"])):
                continue
            if not match["kind"].startswith("gauge"):
                _add_to_archive(path, folder / f"{match['kind']}_{_ARCHIVE}.db")
            path.unlink()
            archived += 1
    return archived


@contextmanager
def lock_metric_files(folder: Path, mode: int = fcntl.LOCK_SH) -> Iterator[None]:
    """Hold the lock of the files: shared to read them, so that no value is seen twice or not at all while it
    goes to the archive."""
    with (folder / _LOCK).open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, mode)
        yield


def _add_to_archive(path: Path, archive_path: Path) -> None:
    try:
        values = list(_MmapedDict.read_all_values_from_file(str(path)))
    except (OSError, RuntimeError, ValueError, struct.error) as error:
        # Its process was killed while it made the file.
        logger.warning("the metrics in %s cannot be read and are left out: %s", path.name, error)
        return
    archive = _MmapedDict(str(archive_path))
    try:
        for key, value, timestamp, *_ in values:
            archive.write_value(key, archive.read_value(key)[0] + value, timestamp)
    finally:
        archive.close()


def _is_running(pid: int) -> bool:
    if pid == _ARCHIVE:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
