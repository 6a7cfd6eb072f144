"""Compressed files as the bytes that were compressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import BinaryIO, cast

import pyarrow as pa

from evergreen.errors import SettingsError, SourceUnreadable
from evergreen.sources.places import Content

# The first bytes tell, whatever the file is called.
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_SUFFIXES = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".lzma": "xz", ".zst": "zstd", ".zstd": "zstd"}
_OTHER_NAMES = {"gz": "gzip", "lzma": "xz", "zst": "zstd", "none": ""}
_KINDS = ("gzip", "bz2", "xz", "zstd", "")
_ARCHIVE = b"PK\x03\x04"


def opened(content: Content, declared: str = "infer") -> Callable[[], BinaryIO]:
    """How to open the content decompressed. `declared`: gzip, bz2, xz, zstd, "" (none), or "infer".

    Raises SettingsError for another one, SourceUnreadable for an archive of several files. Reading raises
    SourceUnreadable where the compressed data are cut off or spoilt.
    """
    with content.open() as stream:
        head = stream.read(8)
    kind = _OTHER_NAMES.get(declared.lower(), declared.lower())
    if kind == "infer":
        if head.startswith(_ARCHIVE):
            raise SourceUnreadable(
                f"{content.name} is an archive or a workbook, not a table",
                hint="unpack it, or save the workbook's sheet as CSV",
            )
        kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
        if not kind and content.name.lower().endswith(".lzma"):
            kind = "xz"  # the older format has no magic bytes
    if kind not in _KINDS:
        raise SettingsError(
            f"the source {content.name} declares the compression {declared!r}",
            hint='write "gzip", "bz2", "xz", "zstd", "none" or "infer"',
        )
    if not kind:
        return content.open
    return lambda: io.BufferedReader(_Decompressed(content, kind), 1 << 20)


def without_suffix(name: str) -> str:
    """The file's name in lower case, without what tells its compression."""
    name = name.lower()
    suffix = next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), "")
    return name.removesuffix(suffix)


class _Decompressed(io.RawIOBase):
    """Decompressed bytes; faults of the compressed ones are told as the source's."""

    def __init__(self, content: Content, kind: str) -> None:
        self._name, self._kind = content.name, kind
        self._outer = content.open()
        if kind == "gzip":
            self._stream = cast("BinaryIO", gzip.GzipFile(fileobj=self._outer))
        elif kind == "bz2":
            self._stream = cast("BinaryIO", bz2.BZ2File(self._outer))
        elif kind == "xz":
            self._stream = cast("BinaryIO", lzma.LZMAFile(self._outer))  # noqa: SIM115
        else:
            self._stream = pa.CompressedInputStream(pa.PythonFile(self._outer, mode="r"), "zstd")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
            raise SourceUnreadable(
                f"{self._name} is not sound {self._kind} data: {str(error)[:200]}",
                hint="perhaps it was cut off: bring it here again",
            ) from error

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._outer.close()
        super().close()
