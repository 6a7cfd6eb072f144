"""Finds the files that a path, glob or URL names, with their sizes and digests."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from evergreen.errors import SourceUnreachable, SourceUnreadable
from evergreen.sources.files import remote


@dataclass(frozen=True)
class Content:
    """A file as it was when it was found.

    `name` is its path or URL without secrets, `digest` the sha256 of its bytes in hex, `size` their number.
    `open` gives a stream of them; `check_unchanged` raises SourceUnreadable if the file has changed since.
    """

    name: str
    digest: str
    size: int
    open: Callable[[], BinaryIO] = field(repr=False, compare=False)
    check_unchanged: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)


def find_files(place: str, temporary_folder: Path | None = None) -> list[Content]:
    """The file at `place`, or the files that it matches as a glob, sorted by name.

    `place` is a path (a relative one starts at the current folder) or an fsspec URL. Remote files are
    downloaded to a temporary file in `temporary_folder`, which is deleted with the last Content that reads
    it.

    Raises SourceUnreachable when there is no such file or host, SourceUnreadable for a folder or a file
    without permission, SettingsError for a kind of URL that cannot be read here.
    """
    if place.startswith("file://"):
        place = remote.parse_file_url(place)
    if "://" in place:
        return [Content(*fields) for fields in remote.DownloadedFiles(temporary_folder).contents(place)]
    path = Path(place).expanduser()
    if path.exists() or not glob.has_magic(place):
        return [_describe_local_file(path, place)]
    paths = sorted(path for path in _match_pattern(path) if not path.is_dir())
    if not paths:
        raise SourceUnreachable(
            f"no file matches {place}" + ("" if path.is_absolute() else f" in {Path.cwd()}"),
            hint="check the pattern: * stands for any part of a name, ** for any folders",
        )
    return [_describe_local_file(path, str(path)) for path in paths]


def _match_pattern(pattern: Path) -> list[Path]:
    # Unlike Path.glob this leaves out hidden files, such as those that a program is still writing.
    return [Path(name) for name in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207


def _describe_local_file(path: Path, place: str) -> Content:
    """A file of this machine; `place` is its path as it was given, for messages."""
    try:
        path = path.resolve()
        before = path.stat()
        if stat.S_ISDIR(before.st_mode):
            raise IsADirectoryError
        if not stat.S_ISREG(before.st_mode):
            raise SourceUnreadable(f"{place} is not a file", hint="name a file with rows")
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        relative = not Path(place).expanduser().is_absolute()
        raise SourceUnreachable(
            f"there is no file {place}" + (f" in {Path.cwd()}" if relative else ""),
            hint="name the file with --source, in the trigger form, or in the setting EVERGREEN_SOURCES",
        ) from None
    except IsADirectoryError:
        raise SourceUnreadable(
            f"{place} is a folder", hint=f"name the file in it, or several as {Path(place) / '*.csv'}"
        ) from None
    except OSError as error:
        raise SourceUnreadable(
            f"{place} cannot be read: {error.strerror or error}",
            hint="check its permissions and the disk it is on",
        ) from error

    def check_unchanged() -> None:
        """Raise SourceUnreadable if the file is not the one whose digest was taken."""
        if not path.exists() or _get_signature(path.stat()) != _get_signature(before):
            raise SourceUnreadable(
                f"{path} was changed while it was read",
                hint="run this again; write files under another name and rename them when they are whole",
            )

    return Content(str(path), digest, before.st_size, lambda: path.open("rb"), check_unchanged)


def _get_signature(state: os.stat_result) -> tuple[int, ...]:
    """What differs when a file is replaced or written to."""
    return state.st_ino, state.st_size, state.st_mtime_ns
