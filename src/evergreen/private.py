"""Files that hold people's data or secrets: written whole or not at all, and readable by their owner only."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700


@contextmanager
def replace_file(path: Path, *, keep_mode: bool = False) -> Iterator[Path]:
    """The path of an empty neighbour to write to; it takes the place of `path` when the block ends well.

    Nobody ever sees half a file, a former one stays when the block fails, and only the owner may read the
    file, whatever the umask. With `keep_mode` a file of the caller's that is there keeps its permissions, for
    people who share what they named themselves. A link is replaced, not followed: in a folder of many people
    another one may have put it there. Raises OSError.
    """
    mode = FILE_MODE
    if keep_mode:
        with suppress(FileNotFoundError):
            former = path.lstat()
            if stat.S_ISREG(former.st_mode) and former.st_uid == os.geteuid():
                mode = stat.S_IMODE(former.st_mode) & 0o777
    # By process and thread: what a killed one left is written over instead of lying there for ever.
    stem = os.fsencode(path.name)[:120].decode(errors="ignore")
    draft = path.with_name(f".{stem}.{os.getpid()}-{threading.get_native_id()}.part")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    try:
        yield draft
        if mode != FILE_MODE:
            draft.chmod(mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_private_file(path: Path, content: str | bytes, *, keep_mode: bool = False) -> None:
    """Replace a file at once by that content (text as UTF-8); see `replace_file`. Raises OSError."""
    with replace_file(path, keep_mode=keep_mode) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def open_private_file(path: Path, flags: int) -> int:
    """Open a file for writing with those flags of `os.open`, made or narrowed to its owner's eyes.

    For files that grow; returns the descriptor. Raises OSError.
    """
    handle = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    # One that an earlier version made may be readable by all.
    os.fchmod(handle, FILE_MODE)
    return handle


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above that are missing, for their owner only. One that is there stays as it
    is: it may be shared on purpose. Raises OSError."""
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
