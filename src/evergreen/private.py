"""Writes files that may hold personal data or secrets: atomically, and readable by their owner only."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700
DRAFT_SUFFIX = ".part"


def create_draft(path: Path) -> Path:
    """Create an empty file beside `path` that only its owner may read, to be renamed to `path` when it is
    complete; its path. Raises OSError.

    It is named by process and thread, so that the draft of a killed process is overwritten some day.
    """
    stem = os.fsencode(path.name)[:120].decode(errors="ignore")
    draft = path.with_name(f".{stem}.{os.getpid()}-{threading.get_native_id()}{DRAFT_SUFFIX}")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    return draft


@contextmanager
def replace_file(path: Path, *, keep_mode: bool = False) -> Iterator[Path]:
    """The path of an empty draft beside `path` to write to; it replaces `path` when the block ends without
    error.

    So no reader sees an incomplete file, an existing one remains when the block fails, and only the owner may
    read the file, whatever the umask. With `keep_mode` the permissions of an existing file of the caller are
    kept, for people who share a file that they chose. A link is replaced, not followed, because in a shared
    folder another user may have created it. Raises OSError.
    """
    mode = FILE_MODE
    if keep_mode:
        with suppress(FileNotFoundError):
            existing = path.lstat()
            if stat.S_ISREG(existing.st_mode) and existing.st_uid == os.geteuid():
                mode = stat.S_IMODE(existing.st_mode) & 0o777
    draft = create_draft(path)
    try:
        yield draft
        if mode != FILE_MODE:
            draft.chmod(mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_private_file(path: Path, content: str | bytes, *, keep_mode: bool = False) -> None:
    """Write a file with that content (text as UTF-8) by `replace_file`. Raises OSError."""
    with replace_file(path, keep_mode=keep_mode) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def open_private_file(path: Path, flags: int) -> int:
    """Open a file that grows, with those flags of `os.open`, for writing; only its owner may read it.

    Returns the descriptor. Raises OSError.
    """
    handle = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    # A file of an earlier version may be readable by all.
    os.fchmod(handle, FILE_MODE)
    return handle


def make_private_folder(folder: Path) -> None:
    """Create a folder and its missing parents for their owner only. An existing folder keeps its permissions,
    which may be shared on purpose. Raises OSError."""
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
