"""Copies of files into a backup and out of it, with their digests: plain files, trees, SQLite databases."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path

from evergreen.errors import BackupError
from evergreen.private import make_private_folder, open_private_file
from evergreen.stack.backup.manifest import (
    FILES_PER_REPORT,
    BackupFile,
    Progress,
    compute_file_digest,
)

_CHUNK_BYTES = 1024 * 1024
_BUSY_SECONDS = 60.0


def copy_file(source: Path, folder: Path, path: str) -> BackupFile:
    """Copy a file to `path` (with `/`) in `folder`, for its owner only. Raises OSError."""
    target = folder.joinpath(*path.split("/"))
    make_private_folder(target.parent)
    digest = hashlib.sha256()
    size = 0
    # The source first: where it is gone, nothing is left in the target's place.
    with (
        source.open("rb") as reader,
        os.fdopen(open_private_file(target, os.O_WRONLY | os.O_EXCL), "wb") as writer,
    ):
        while chunk := reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return BackupFile(path, size, digest.hexdigest())


def copy_tree(
    source: Path,
    folder: Path,
    path: str,
    progress: Progress,
    *,
    leave_out: Collection[str] = (),
    known: Collection[str] = (),
) -> list[BackupFile]:
    """Copy every file below `source` to `path` in `folder`; nothing where there is no such folder.

    Files with a name in `leave_out`, those that are `known` by their paths in the backup, and links are left
    out. A file that is removed meanwhile is left out, too. Raises OSError.
    """
    files: list[BackupFile] = []
    for each in _iterate_files(source):
        place = f"{path}/{each.relative_to(source).as_posix()}"
        if each.name in leave_out or place in known:
            continue
        if len(files) % FILES_PER_REPORT == 0:
            progress(f"copying {path}: {len(files):,} files so far")
        with contextlib.suppress(FileNotFoundError):
            files.append(copy_file(each, folder, place))
    return files


def list_tree(source: Path, path: str, *, leave_out: Collection[str] = ()) -> set[str]:
    """The paths that `copy_tree` would give its files."""
    return {
        f"{path}/{each.relative_to(source).as_posix()}"
        for each in _iterate_files(source)
        if each.name not in leave_out
    }


def copy_database(source: Path, folder: Path, path: str) -> BackupFile:
    """Copy a SQLite database that others may use meanwhile, as of one moment, by SQLite's own backup.

    All pages are copied in one step, during which writers wait: under a second for some 100 MB. Raises
    BackupError for a database that is damaged or stays locked, OSError.
    """
    target = folder.joinpath(*path.split("/"))
    make_private_folder(target.parent)
    os.close(open_private_file(target, os.O_WRONLY | os.O_EXCL))
    try:
        with (
            contextlib.closing(
                sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
            ) as reader,
            contextlib.closing(sqlite3.connect(target)) as writer,
        ):
            reader.backup(writer)
            # A copy of a database in WAL mode is in it too, and would get files beside it when it is opened.
            writer.execute("PRAGMA journal_mode=DELETE")
            [(verdict,)] = writer.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        raise BackupError(f"the database {source} cannot be copied: {error}") from None
    if verdict != "ok":
        raise BackupError(
            f"the database {source} is damaged: {verdict}",
            hint="restore an earlier backup: evergreen restore",
        )
    return BackupFile(path, target.stat().st_size, compute_file_digest(target))


def _iterate_files(folder: Path) -> Iterator[Path]:
    """The regular files below `folder`, in the order of their paths."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent) / name
            if path.is_file() and not path.is_symlink():
                yield path
