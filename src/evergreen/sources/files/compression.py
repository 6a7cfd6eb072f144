"""Compressed files as the bytes that were compressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast

import pyarrow as pa

from evergreen.errors import SettingsError, SourceUnreadable
from evergreen.sources.files.places import Content

# The first bytes tell, whatever the file is called.
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_SUFFIXES = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".lzma": "xz", ".zst": "zstd", ".zstd": "zstd"}
_ALIASES = {"gz": "gzip", "lzma": "xz", "zst": "zstd", "none": ""}
_KINDS = ("gzip", "bz2", "xz", "zstd", "")
_ARCHIVE = b"PK\x03\x04"
_CHUNK = 1 << 18
# What decompressing xz may take: four times what `xz -9` needs.
_XZ_BYTES = 256 << 20


def build_opener(content: Content, declared: str = "infer") -> Callable[[], BinaryIO]:
    """How to open the content decompressed. `declared`: gzip, bz2, xz, zstd, "" (none), or "infer".

    Raises SettingsError for another one, SourceUnreadable for an archive of several files. Reading raises
    SourceUnreadable where the compressed data are cut off or spoilt.
    """
    with content.open() as stream:
        head = stream.read(8)
    kind = _ALIASES.get(declared.lower(), declared.lower())
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
    return lambda: io.BufferedReader(_DecompressedStream(content, kind), 1 << 20)


def strip_compression_suffix(name: str) -> str:
    """The file's name in lower case, without what tells its compression."""
    name = name.lower()
    suffix = next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), "")
    return name.removesuffix(suffix)


class _XzStream(io.RawIOBase):
    """Decompressed bytes of xz and lzma data, of one stream or several one after the other.

    Python's own reader lets a file ask for gigabytes: what its writer says to be the size of its dictionary.
    """

    def __init__(self, outer: BinaryIO) -> None:
        self._outer = outer
        self._rest = b""
        self._decoder = lzma.LZMADecompressor(memlimit=_XZ_BYTES)
        self._streams = 0  # ended ones
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._decoder.eof:
                self._rest = self._decoder.unused_data
                self._decoder = lzma.LZMADecompressor(memlimit=_XZ_BYTES)
                self._streams += 1
                self._begun = False
            if self._decoder.needs_input and not self._rest:
                self._rest = self._outer.read(_CHUNK)
                if not self._rest:
                    if self._begun or not self._streams:
                        raise EOFError("it ends before the end of its data")
                    return 0
            if self._streams and not self._begun:
                self._rest = self._rest.lstrip(b"\0")  # streams may be padded
                if not self._rest:
                    continue
            data = self._decompressed(len(buffer))
            if data is None:
                return 0
            if data:
                buffer[: len(data)] = data
                return len(data)

    def _decompressed(self, size: int) -> bytes | None:
        """The next bytes, perhaps none yet; None where something else than a stream follows the last one."""
        rest, self._rest = self._rest, b""
        try:
            data = self._decoder.decompress(rest, size)
        except lzma.LZMAError as error:
            too_large = "limit" in str(error).lower()
            if self._streams and not self._begun and not too_large:
                return None
            raise
        self._begun = True
        return data


class _DecompressedStream(io.RawIOBase):
    """Decompressed bytes; faults of the compressed ones are told as the source's."""

    def __init__(self, content: Content, kind: str) -> None:
        self._name, self._kind = content.name, kind
        self._outer = content.open()
        if kind == "gzip":
            self._stream = cast("BinaryIO", gzip.GzipFile(fileobj=self._outer))
        elif kind == "bz2":
            self._stream = cast("BinaryIO", bz2.BZ2File(self._outer))
        elif kind == "xz":
            self._stream = cast("BinaryIO", io.BufferedReader(_XzStream(self._outer), 1 << 20))
        else:
            self._stream = pa.CompressedInputStream(pa.PythonFile(self._outer, mode="r"), "zstd")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
            hint = "perhaps it was cut off: bring it here again"
            if "limit" in str(error).lower():
                hint = (
                    f"compress it anew with less than {_XZ_BYTES >> 20} MB of memory, for example with xz -9"
                )
            raise SourceUnreadable(
                f"{self._name} is not sound {self._kind} data: {str(error)[:200]}", hint=hint
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
