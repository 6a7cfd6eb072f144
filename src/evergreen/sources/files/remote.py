"""Files at URLs, brought to a temporary file of this machine."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from evergreen.errors import EvergreenError, SettingsError, SourceUnreachable, SourceUnreadable
from evergreen.hiding import SecretsFilter, hide_secrets

_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 60.0


class DownloadedFiles:
    """Remote contents, one after the other in one temporary file without a name: nothing is left behind,
    however this process ends, and a thousand of them need one descriptor only."""

    def __init__(self, folder: Path | None) -> None:
        there = folder is not None and folder.is_dir()
        self._file = tempfile.TemporaryFile(dir=folder if there else None)  # noqa: SIM115
        self._end = 0

    def contents(self, url: str) -> Iterator[tuple[str, str, int, Callable[[], BinaryIO]]]:
        """(name, sha256, bytes, how to open it) of the file at `url`, or of each that it matches, by name."""
        for name, blocks in _list_files(url):
            digest, start = hashlib.sha256(), self._end
            for block in blocks:
                digest.update(block)
                self._write(block, name)
            self._file.flush()
            size = self._end - start
            yield name, digest.hexdigest(), size, self._opener(start, size)

    def _write(self, block: bytes, name: str) -> None:
        try:
            self._file.write(block)
        except OSError as error:
            raise SourceUnreadable(
                f"{name} cannot be brought here: {error.strerror or error}",
                hint="free some space on this machine's disk",
            ) from error
        self._end += len(block)

    def _opener(self, start: int, size: int) -> Callable[[], BinaryIO]:
        file = self._file
        return lambda: io.BufferedReader(_Window(file, start, size), _BLOCK)


class _Window(io.RawIOBase):
    """A part of a file, with a position of its own."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        room = min(len(buffer), max(self._size - self._at, 0))
        count = os.preadv(self._file.fileno(), [memoryview(buffer)[:room]], self._start + self._at)
        self._at += count
        return count


def parse_file_url(url: str) -> str:
    """The path of a file:// URL."""
    import fsspec

    return str(fsspec.core.strip_protocol(url))


def _list_files(url: str) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The name and the blocks of each file, to be read in turn."""
    if url.startswith(("http://", "https://")):
        yield hide_secrets(url), _download_blocks(url)
        return
    place = hide_secrets(url)
    with _translate_errors(place):
        import fsspec

        system, path = fsspec.core.url_to_fs(url)
        paths = [path]
        if any(character in path for character in "*["):
            found = system.glob(path, detail=True)
            paths = sorted(name for name, what in found.items() if what["type"] == "file")
            if not paths:
                raise SourceUnreachable(f"no file matches {place}", hint="check the pattern and the address")
        elif system.isdir(path) and not system.isfile(path):
            raise SourceUnreadable(f"{place} is a folder", hint=f"name the file in it, or {place}/*.csv")
    for path in paths:
        name = place if paths == [path] else hide_secrets(str(system.unstrip_protocol(path)))
        yield name, _read_blocks(system, path, name)


@contextmanager
def _translate_errors(place: str) -> Iterator[None]:
    """Whatever a file system of fsspec raises, as errors of our own."""
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
        # Each file system has errors of its own.
        reason = hide_secrets(str(error).partition("\n")[0])[:300] or type(error).__name__
        if reason.startswith("Protocol not known"):
            raise SettingsError(
                f"{place} is of an unknown kind", hint="give a path, or a URL such as https:// or s3://"
            ) from error
        raise SourceUnreachable(
            f"{place} cannot be read: {reason}", hint="check the address, the network and the credentials"
        ) from _drop_secret_cause(error)


def _read_blocks(system: Any, path: str, place: str) -> Iterator[bytes]:
    with _translate_errors(place), system.open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def _download_blocks(url: str) -> Iterator[bytes]:
    import httpx

    # At its level INFO it logs each address.
    client = logging.getLogger("httpx")
    if not any(isinstance(each, SecretsFilter) for each in client.filters):
        client.addFilter(SecretsFilter())
    try:
        with httpx.stream("GET", url, timeout=_TIMEOUT_SECONDS, follow_redirects=True) as answer:
            answer.raise_for_status()
            yield from answer.iter_bytes(_BLOCK)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = hide_secrets(str(error).partition("\n")[0])
        raise SourceUnreachable(
            f"{hide_secrets(url)} cannot be downloaded: {reason or type(error).__name__}",
            hint="check the address and the network",
        ) from _drop_secret_cause(error)


def _drop_secret_cause(error: Exception) -> Exception | None:
    """The error as a cause that may be printed into a log; None where its own words hold a secret."""
    return error if hide_secrets(str(error)) == str(error) else None
