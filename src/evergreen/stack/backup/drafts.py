"""Folders that come into being as a whole: filled under another name, then renamed.

While it is filled, its maker holds the folder's lock, which the kernel frees when the maker dies. So what a
killed process left is known by its name and its free lock, and the next one removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

_DRAFT_PREFIX = ".evergreen-unfinished-"


@contextlib.contextmanager
def make_folder(target: Path, make_room: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """A new private folder beside `target` to fill; it takes the name `target` when the block ends without
    error, and is removed otherwise.

    `target` must then not exist, or be an empty folder: `make_room` may see to that, which is called with the
    complete draft, right before it is renamed. Drafts in the same folder that killed processes left are
    removed first. Raises OSError.
    """
    for leftover in target.parent.glob(f"{_DRAFT_PREFIX}*"):
        _remove_abandoned(leftover)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT_PREFIX, dir=target.parent))
    handle = os.open(draft, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield draft
        sync_tree(draft)
        if make_room is not None:
            make_room(draft)
        draft.rename(target)
        sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Have everything below `folder` on disk before it is named. Raises OSError."""
    for parent, _, names in os.walk(folder):
        for name in names:
            _sync(Path(parent) / name, os.O_RDONLY | os.O_NOFOLLOW)
        sync_folder(Path(parent))


def sync_folder(folder: Path) -> None:
    """Have the entries of a folder on disk. Raises OSError."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_abandoned(draft: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(draft, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(draft, ignore_errors=True)
        finally:
            os.close(handle)
