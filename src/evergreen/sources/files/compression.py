"""Reads gzip, bz2, xz and zstd files decompressed."""

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
from evergreen.sources.files.places import Content

# The first bytes decide, whatever the file is called.
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_SUFFIXES = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".lzma": "xz", ".zst": "zstd", ".zstd": "zstd"}
_ALIASES = {"gz": "gzip", "lzma": "xz", "zst": "zstd", "none": ""}
_KINDS = ("gzip", "bz2", "xz", "zstd", "")
_ARCHIVE = b"PK\x03\x04"
_CHUNK = 1 << 18
# How much memory decompressing xz may take: four times what `xz -9` needs.
_XZ_BYTES = 256 << 20


def build_opener(content: Content, declared: str = "infer") -> Callable[[], BinaryIO]:
    """A function that opens the content as a stream of decompressed bytes.

    `declared` is the compression: gzip, bz2, xz, zstd, "" (none), or "infer" to detect it. Raises
    SettingsError for another one, SourceUnreadable for an archive of several files. Reading raises
    SourceUnreadable where the compressed data are cut off or damaged.
    """
    with content.open() as stream:
        head = stream.read(8)
    compression = _ALIASES.get(declared.lower(), declared.lower())
    if compression == "infer":
        if head.startswith(_ARCHIVE):
            raise SourceUnreadable(
                f"{content.name} is an archive or a workbook, not a table",
                hint="unpack it, or save the workbook's sheet as CSV",
            )
        compression = next(
            (compression for magic, compression in _MAGIC.items() if head.startswith(magic)), ""
        )
        if not compression and content.name.lower().endswith(".lzma"):
            compression = "xz"  # the older format has no magic bytes
    if compression not in _KINDS:
        raise SettingsError(
            f"the source {content.name} declares the compression {declared!r}",
            hint='write "gzip", "bz2", "xz", "zstd", "none" or "infer"',
        )
    if not compression:
        return content.open
    return lambda: io.BufferedReader(_DecompressedStream(content, compression), 1 << 20)


def strip_compression_suffix(name: str) -> str:
    """The file's name in lower case, without the suffix of a compression."""
    name = name.lower()
    suffix = next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), "")
    return name.removesuffix(suffix)


class _XzStream(io.RawIOBase):
    """Decompressed bytes of xz and lzma data, of one stream or several one after the other.

    Memory is limited to `_XZ_BYTES`. Python's own reader has no limit: it allocates what the file states as
    the size of its dictionary, which may be gigabytes.
    """

    def __init__(self, outer: BinaryIO) -> None:
        self._outer = outer
        self._rest = b""
        self._decoder = lzma.LZMADecompressor(memlimit=_XZ_BYTES)
        self._streams = 0  # complete ones
        self._begun = False  # whether the present stream has been given any bytes

    def readable(self) -> bool:
        """True, as `io.RawIOBase` asks of a stream that can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read the next bytes into `buffer`; return how many, 0 at the end.

        Raises EOFError where the data are cut off, lzma.LZMAError where they are damaged.
        """
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
            data = self._decompress(len(buffer))
            if data is None:
                return 0
            if data:
                buffer[: len(data)] = data
                return len(data)

    def _decompress(self, size: int) -> bytes | None:
        """At most `size` bytes, perhaps none yet; None where what follows the last stream is not a stream."""
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
    """Decompressed bytes of a file; errors of the compressed data are raised as SourceUnreadable."""

    def __init__(self, content: Content, compression: str) -> None:
        self._name, self._kind = content.name, compression
        self._outer = content.open()
        if compression == "gzip":
            self._stream = cast("BinaryIO", gzip.GzipFile(fileobj=self._outer))
        elif compression == "bz2":
            self._stream = cast("BinaryIO", bz2.BZ2File(self._outer))
        elif compression == "xz":
            self._stream = cast("BinaryIO", io.BufferedReader(_XzStream(self._outer), 1 << 20))
        else:
            self._stream = pa.CompressedInputStream(pa.PythonFile(self._outer, mode="r"), "zstd")

    def readable(self) -> bool:
        """True, as `io.RawIOBase` asks of a stream that can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, or all if it is negative. Raises SourceUnreadable."""
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
        """Read the next bytes into `buffer`; return how many. Raises SourceUnreadable."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the stream and the file beneath it."""
        if not self.closed:
            self._stream.close()
            self._outer.close()
        super().close()
