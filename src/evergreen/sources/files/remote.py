"""Downloads files at URLs to a temporary file of this machine."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

import fsspec
import httpx

from evergreen.errors import EvergreenError, SettingsError, SourceUnreachable, SourceUnreadable
from evergreen.hiding import SecretsFilter, hide_secrets

_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 60.0


class DownloadedFiles:
    """Downloaded files, one after the other in one temporary file.

    The file has no name, so that nothing is left behind however the process ends, and thousands of downloads
    need one file descriptor. `folder` is where it lies, if there is such a folder.
    """

    def __init__(self, folder: Path | None) -> None:
        folder_exists = folder is not None and folder.is_dir()
        self._file = tempfile.TemporaryFile(dir=folder if folder_exists else None)  # noqa: SIM115
        self._end = 0

    def contents(self, url: str) -> Iterator[tuple[str, str, int, Callable[[], BinaryIO]]]:
        """Download the file at `url`, or each that it matches as a glob, in the order of their names.

        Yields name (without secrets), sha256 in hex, size in bytes, and a function that opens the bytes.
        Raises SourceUnreachable, SourceUnreadable or SettingsError.
        """
        for name, blocks in _list_files(url):
            digest, start = hashlib.sha256(), self._end
            for block in blocks:
                digest.update(block)
                self._write(block, name)
            self._file.flush()
            size = self._end - start
            yield name, digest.hexdigest(), size, self._build_opener(start, size)

    def _write(self, block: bytes, name: str) -> None:
        try:
            self._file.write(block)
        except OSError as error:
            raise SourceUnreadable(
                f"{name} cannot be brought here: {error.strerror or error}",
                hint="free some space on this machine's disk",
            ) from error
        self._end += len(block)

    def _build_opener(self, start: int, size: int) -> Callable[[], BinaryIO]:
        """A function that opens `size` bytes of the temporary file from `start` on."""
        file = self._file
        return lambda: io.BufferedReader(_Window(file, start, size), _BLOCK)


class _Window(io.RawIOBase):
    """A stream of a part of a file. It has its own position, so that several windows can be read in turn."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size, self._position = file, start, size, 0

    def readable(self) -> bool:
        """True, as `io.RawIOBase` asks of a stream that can be read."""
        return True

    def seekable(self) -> bool:
        """True, as `io.RawIOBase` asks of a stream with random access."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` bytes from the beginning, position or end; return the new position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        """The position in bytes from the beginning of the window."""
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read the next bytes into `buffer`; return how many, 0 at the end."""
        room = min(len(buffer), max(self._size - self._position, 0))
        count = os.preadv(self._file.fileno(), [memoryview(buffer)[:room]], self._start + self._position)
        self._position += count
        return count


def parse_file_url(url: str) -> str:
    """The path of a file:// URL."""
    return str(fsspec.core.strip_protocol(url))


def _list_files(url: str) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The name and the blocks of each file at `url`; the blocks of one must be read before the next is
    taken."""
    if url.startswith(("http://", "https://")):
        yield hide_secrets(url), _download_blocks(url)
        return
    place = hide_secrets(url)
    with _translate_errors(place):
        system, path = fsspec.core.url_to_fs(url)
        paths = [path]
        if any(character in path for character in "*["):
            details_by_path = system.glob(path, detail=True)
            paths = sorted(name for name, details in details_by_path.items() if details["type"] == "file")
            if not paths:
                raise SourceUnreachable(f"no file matches {place}", hint="check the pattern and the address")
        elif system.isdir(path) and not system.isfile(path):
            raise SourceUnreadable(f"{place} is a folder", hint=f"name the file in it, or {place}/*.csv")
    for path in paths:
        name = place if paths == [path] else hide_secrets(str(system.unstrip_protocol(path)))
        yield name, _read_blocks(system, path, name)


@contextmanager
def _translate_errors(place: str) -> Iterator[None]:
    """Raise the errors of fsspec's file systems as EvergreenErrors about `place`."""
    try:
        yield
    except EvergreenError:
        raise
    except ImportError as error:
        raise SettingsError(
            f"{place} needs a Python package: {error}", hint="install what it names, such as s3fs for s3://"
        ) from error
    except FileNotFoundError as error:
        raise SourceUnreachable(f"there is no file {place}", hint="check the address") from error
    except Exception as error:
        # Each file system of fsspec raises errors of its own classes.
        reason = hide_secrets(str(error).partition("\n")[0])[:300] or type(error).__name__
        if reason.startswith("Protocol not known"):
            raise SettingsError(
                f"{place} is of an unknown kind", hint="give a path, or a URL such as https:// or s3://"
            ) from error
        raise SourceUnreachable(
            f"{place} cannot be read: {reason}", hint="check the address, the network and the credentials"
        ) from _drop_secret_cause(error)


def _read_blocks(system: fsspec.AbstractFileSystem, path: str, place: str) -> Iterator[bytes]:
    with _translate_errors(place), system.open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def _download_blocks(url: str) -> Iterator[bytes]:
    # At level INFO httpx logs each URL.
    httpx_logger = logging.getLogger("httpx")
    if not any(isinstance(log_filter, SecretsFilter) for log_filter in httpx_logger.filters):
        httpx_logger.addFilter(SecretsFilter())
    try:
        with httpx.stream("GET", url, timeout=_TIMEOUT_SECONDS, follow_redirects=True) as response:
            response.raise_for_status()
            yield from response.iter_bytes(_BLOCK)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = hide_secrets(str(error).partition("\n")[0])
        raise SourceUnreachable(
            f"{hide_secrets(url)} cannot be downloaded: {reason or type(error).__name__}",
            hint="check the address and the network",
        ) from _drop_secret_cause(error)


def _drop_secret_cause(error: Exception) -> Exception | None:
    """The error, as the cause of another one; None if its message holds a secret, which a log would show."""
    return error if hide_secrets(str(error)) == str(error) else None
