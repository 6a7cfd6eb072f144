"""Whether files of a folder have changed, by what the file system says of them: cheap enough for every
second."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

# Of each file: its path, size, number and time of change in nanoseconds.
Fingerprint: TypeAlias = frozenset[tuple[str, int, int, int]]

_CACHE_FOLDER = "__pycache__"


def compute_fingerprint(folder: Path) -> Fingerprint:
    """What differs after any file of the folder was written, replaced, added or removed.

    Hidden files and Python's caches do not count. A folder that cannot be read has no files.
    """
    entries: list[tuple[str, int, int, int]] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != _CACHE_FOLDER and not name.startswith(".")]
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            try:
                status = path.stat()
            except OSError:
                continue  # it was removed meanwhile, or is a link to nowhere
            entries.append((str(path), status.st_size, status.st_ino, status.st_mtime_ns))
    return frozenset(entries)
