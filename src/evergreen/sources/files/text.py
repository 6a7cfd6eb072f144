"""Reads a text file of any encoding, declared or detected, as a stream of UTF-8."""

from __future__ import annotations

import codecs
import io
import logging
import re
from collections.abc import Callable
from typing import BinaryIO

import charset_normalizer

from evergreen.errors import SettingsError, SourceUnreadable

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20
# Byte order marks, and the encodings that they announce.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A run of bytes beyond ASCII that is UTF-8 from end to end, which is rare in a text of another encoding.
_UTF8_LETTERS = re.compile(
    rb"(?<![\x80-\xff])(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})+"
    rb"(?![\x80-\xff])"
)
_BEYOND_ASCII = re.compile(rb"[^\n]*[\x80-\xff][^\n]*")
_WORD = re.compile(r"[^\W\d_]+")
# The characters beyond ASCII of Western European texts in cp1252.
_WESTERN = frozenset(
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜŸßàáâãäåæçèéêëìíîïñòóôõöøœùúûüÿŠšŽž«»‹›„“”‚‘’–—…•·°€£§©®™´¿¡ªº½²³\xa0"
)
# Letters of Central European encodings look like this when they are read as cp1252.
_NOT_WESTERN = re.compile("[a-zà-ÿ][¹³¿¡£][a-zà-ÿ]")
# So many bytes beyond ASCII are enough to distinguish an encoding from others.
_MIN_SAMPLE_BYTES = 64


class Utf8Stream(io.RawIOBase):
    """A file's text as UTF-8, without a byte order mark, read in blocks of exactly the requested size.

    A file without a declared encoding has the one of its byte order mark, or UTF-8, or, if its first bytes
    beyond ASCII are not UTF-8, the encoding that is detected from them. A doubtful one is refused, because a
    wrong encoding would change the values.

    Attributes, for what has been read so far: `encoding` (Python's name, "" while only ASCII was read), the
    counts `quotes` and `line_ends`, and `last`, the end of it. Raises SettingsError for an encoding that
    Python does not know; reading raises SourceUnreadable for a zero byte and for bytes that are not in the
    encoding.
    """

    def __init__(self, name: str, open_file: Callable[[], BinaryIO], declared: str = "") -> None:
        self._name, self._open = name, open_file
        self._raw = open_file()
        self._pending = b""
        self._position = 0  # in the raw bytes
        self._declared = bool(declared)
        self._decoder: codecs.IncrementalDecoder | None = None
        self.encoding = _normalize_encoding(name, declared)
        self.quotes = self.line_ends = 0
        self.last = b""
        self._skip_byte_order_mark()

    def readable(self) -> bool:
        """True, as `io.RawIOBase` asks of a stream that can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, fewer only at the end; all of them if it is negative."""
        parts, length = [self._pending], len(self._pending)
        self._pending = b""
        while size < 0 or length < size:
            raw = self._raw.read(_CHUNK)
            part = self._convert(raw)
            parts.append(part)
            length += len(part)
            if not raw:
                break
        block = b"".join(parts)
        if 0 <= size < len(block):
            block, self._pending = block[:size], block[size:]
        self.quotes += block.count(b'"')
        self.line_ends += block.count(b"\n")
        if block:
            self.last = block if len(block) >= _CHUNK else (self.last + block)[-_CHUNK:]
        return block

    def unread(self, block: bytes) -> None:
        """Put back the block that was read last."""
        self.quotes -= block.count(b'"')
        self.line_ends -= block.count(b"\n")
        self._pending, self.last = block + self._pending, b""

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._raw.close()
        super().close()

    def _skip_byte_order_mark(self) -> None:
        """Read the first chunk without its byte order mark, which sets or must match the encoding."""
        first = self._raw.read(_CHUNK)
        for mark, encoding in _MARKS:
            if first.startswith(mark):
                if not self.encoding:
                    self.encoding = encoding
                elif encoding != "utf-8" and not self.encoding.startswith(encoding):
                    raise SourceUnreadable(
                        f"{self._name} is {encoding}, not {self.encoding}",
                        hint=f'declare encoding="{encoding}", or save it as UTF-8',
                    )
                if encoding == self.encoding == "utf-8":
                    first, self._position = first[len(mark) :], len(mark)
                break
        self._pending = self._convert(first)

    def _convert(self, raw: bytes) -> bytes:
        """The next raw bytes as UTF-8; none at the end of the file, which may find an incomplete
        character."""
        if self.encoding in ("", "utf-8"):
            self._check_zero(raw, raw)
        if not self.encoding and not raw.isascii():
            self.encoding = self._detect_encoding(raw)
        if self.encoding == "utf-8":
            if self._decoder is not None or not raw.isascii():
                self._decode(raw)
            text = raw
        elif self.encoding:
            text = self._decode(raw).encode()
            self._check_zero(text, raw)
        else:
            text = raw
        self._position += len(raw)
        return text

    def _decode(self, raw: bytes) -> str:
        """The next raw bytes as text. Raises SourceUnreadable, with the line, for other encodings."""
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder(self.encoding)()
        if not self._declared and not self.encoding.startswith("utf") and _UTF8_LETTERS.search(raw):
            raise self._build_mixed_error()
        buffered_bytes = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            error_offset = error.start - buffered_bytes
            raise self._build_encoding_error(
                self._find_line(error_offset), self._position + error_offset, error.object[error.start]
            ) from None
        except UnicodeError as error:  # UTF-16 without a mark
            raise SourceUnreadable(
                f"{self._name} is not {self.encoding}: {error}", hint="declare its encoding"
            ) from error
        return text if self._position else text.removeprefix("\ufeff")

    def _detect_encoding(self, raw: bytes) -> str:
        """The encoding of the chunk with the first bytes beyond ASCII. Raises SourceUnreadable if it is
        doubtful."""
        try:
            codecs.getincrementaldecoder("utf-8")().decode(raw)
        except UnicodeDecodeError as error:
            if _UTF8_LETTERS.search(raw):
                raise self._build_mixed_error() from None
            sample = b"\n".join(_BEYOND_ASCII.findall(raw[:_CHUNK])[:2000])
            guess, sure = _guess_encoding(sample)
            if not sure:
                line, byte_position = self._find_line(error.start), self._position + error.start
                raise self._build_encoding_error(line, byte_position, raw[error.start], guess) from None
            logger.warning(
                "%s is not UTF-8; it is read as %s. Declare its encoding to be sure.", self._name, guess
            )
            return guess
        return "utf-8"

    def _check_zero(self, text: bytes, raw: bytes) -> None:
        """Raise SourceUnreadable if the text, made of those raw bytes, holds a zero byte."""
        if (zero_offset := text.find(b"\x00")) >= 0:
            utf_16 = raw is text and raw.count(b"\x00", 0, 1000) > len(raw[:1000]) // 4
            raise SourceUnreadable(
                f"{self._name} is not text: line {self._find_line(zero_offset)} holds a zero byte",
                hint='declare encoding="utf-16-le" or "utf-16-be" if it is text of two bytes a letter'
                if utf_16
                else "give a CSV, JSON lines or Parquet file",
            )

    def _find_line(self, offset: int) -> int:
        """The number of the line that lies `offset` bytes after the present position."""
        lines, remaining = 1, self._position + offset
        with self._open() as stream:
            while remaining > 0 and (block := stream.read(min(remaining, _CHUNK))):
                lines += block.count(b"\n")
                remaining -= len(block)
        return lines

    def _build_mixed_error(self) -> SourceUnreadable:
        """The error for a file that is UTF-8 in part."""
        return SourceUnreadable(
            f"{self._name} is not utf-8 throughout, but holds letters that are",
            hint="save it in one encoding; or declare its encoding if it has just one",
        )

    def _build_encoding_error(
        self, line: int, position: int, byte: int, guess: str = "cp1252"
    ) -> SourceUnreadable:
        """The error for a byte that is not in the encoding."""
        return SourceUnreadable(
            f"{self._name} is not {self.encoding or 'utf-8'}: line {line}, byte {position} is 0x{byte:02x}",
            hint=f'declare its encoding, perhaps encoding="{guess}", or save it as UTF-8',
        )


def _normalize_encoding(name: str, declared: str) -> str:
    """The declared encoding by Python's own name, "" for none. Raises SettingsError if there is no such
    one."""
    if not declared:
        return ""
    try:
        encoding = codecs.lookup(declared).name.replace("_", "-").removesuffix("-sig")
        "a".encode(encoding)  # fails for codecs that are not of texts, such as "hex"
        codecs.getincrementaldecoder(encoding)
    except LookupError:
        raise SettingsError(
            f"the source {name} declares the encoding {declared!r}, which Python does not know",
            hint='write for example encoding="utf-8" or "cp1252"',
        ) from None
    return encoding


def _guess_encoding(sample: bytes) -> tuple[str, bool]:
    """The probable encoding of lines that are not UTF-8, and whether it is certain enough.

    A few bytes are valid text in a dozen encodings. Western European texts are recognised by their letters;
    for others the sample must be large enough for statistics.
    """
    if _is_western(sample):
        return "cp1252", True
    best = charset_normalizer.from_bytes(sample).best()
    if best is None or best.encoding.startswith(("utf", "ascii")):
        return "cp1252", False
    large_sample = sum(byte > 127 for byte in sample) >= _MIN_SAMPLE_BYTES
    return best.encoding.replace("_", "-"), large_sample and best.chaos < 0.1 and best.coherence > 0


def _is_western(sample: bytes) -> bool:
    """Whether the sample, read as cp1252, looks like Western European text: its characters are of that kind,
    and at most half of the letters of the words with such characters are beyond ASCII."""
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    non_ascii = [letter for letter in text if not letter.isascii()]
    if not _WESTERN.issuperset(non_ascii) or _NOT_WESTERN.search(text):
        return False
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    letters = sum(map(len, words))
    return sum(not letter.isascii() for word in words for letter in word) <= letters / 2
