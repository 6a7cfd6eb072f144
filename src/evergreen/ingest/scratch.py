"""Temporary folders of ingests. Each ingest first removes the folders that killed processes have left."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "evergreen-scratch-"
_NAME = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")


@contextmanager
def open_scratch_folder() -> Iterator[Path]:
    """An empty folder under TMPDIR, which is removed at the end of the block. It is locked as long as its
    process runs."""
    _remove_abandoned_folders()
    folder, lock = _create_locked_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _create_locked_folder() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # another process removed it before it was locked
        # On a file system without locks no process gets one, so none removes the folder.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)


def _remove_abandoned_folders() -> None:
    """Remove the folders whose lock is free: their processes have ended."""
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).iterdir():
            if not _NAME.fullmatch(folder.name):
                continue
            with suppress(OSError):  # another user's, in use, or removed meanwhile
                _remove_if_free(folder)


def _remove_if_free(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
