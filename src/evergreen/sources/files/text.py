"""Text of any encoding as a stream of UTF-8."""

from __future__ import annotations

import codecs
import io
import logging
import re
from collections.abc import Callable
from typing import BinaryIO

from evergreen.errors import SettingsError, SourceUnreadable

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# All bytes beyond ASCII between two others are letters of UTF-8: in another encoding that is rare.
_UTF8_LETTERS = re.compile(
    rb"(?<![\x80-\xff])(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})+"
    rb"(?![\x80-\xff])"
)
_BEYOND_ASCII = re.compile(rb"[^\n]*[\x80-\xff][^\n]*")
_WORD = re.compile(r"[^\W\d_]+")
# What Western European texts hold beyond ASCII, of what cp1252 can write.
_WESTERN = frozenset(
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜŸßàáâãäåæçèéêëìíîïñòóôõöøœùúûüÿŠšŽž«»‹›„“”‚‘’–—…•·°€£§©®™´¿¡ªº½²³\xa0"
)
# Letters of Central Europe look like this when they are read as cp1252.
_NOT_WESTERN = re.compile("[a-zà-ÿ][¹³¿¡£][a-zà-ÿ]")
# So many bytes beyond ASCII tell an encoding apart from others.
_MIN_SAMPLE_BYTES = 64


class Utf8Stream(io.RawIOBase):
    """A file's text as UTF-8, without a byte order mark, read in blocks of exactly the size asked for.

    Without a declared encoding it is what the mark says, or UTF-8, or, if the first bytes beyond ASCII are
    not UTF-8, what they look like; what cannot be told is refused, for a wrong guess would spoil the values.

    Reading raises SourceUnreadable for a zero byte and for what is not in the encoding; SettingsError when
    Python does not know it.
    """

    def __init__(self, name: str, open_file: Callable[[], BinaryIO], declared: str = "") -> None:
        self._name, self._open = name, open_file
        self._raw = open_file()
        self._pending = b""
        self._position = 0  # of the raw bytes
        self._declared = bool(declared)
        self._decoder: codecs.IncrementalDecoder | None = None
        self.encoding = _normalize_encoding(name, declared)
        self.quotes = self.line_ends = 0
        self.last = b""  # the last of what was read
        self._begin()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, length = [self._pending], len(self._pending)
        self._pending = b""
        while size < 0 or length < size:
            raw = self._raw.read(_CHUNK)
            part = self._converted(raw)
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
        """Put back what was read last."""
        self.quotes -= block.count(b'"')
        self.line_ends -= block.count(b"\n")
        self._pending, self.last = block + self._pending, b""

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()

    def _begin(self) -> None:
        """Skip a byte order mark, and heed what it says."""
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
        self._pending = self._converted(first)

    def _converted(self, raw: bytes) -> bytes:
        """The next raw bytes (none: the end) as UTF-8."""
        if self.encoding in ("", "utf-8"):
            self._check_zero(raw, raw)
        if not self.encoding and not raw.isascii():
            self.encoding = self._looks_like(raw)
        if self.encoding == "utf-8":
            if self._decoder is not None or not raw.isascii():
                self._decoded(raw)
            text = raw
        elif self.encoding:
            text = self._decoded(raw).encode()
            self._check_zero(text, raw)
        else:
            text = raw
        self._position += len(raw)
        return text

    def _decoded(self, raw: bytes) -> str:
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder(self.encoding)()
        if not self._declared and not self.encoding.startswith("utf") and _UTF8_LETTERS.search(raw):
            raise self._mixed()
        kept = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            at = error.start - kept
            raise self._wrong(self._line(at), self._position + at, error.object[error.start]) from None
        except UnicodeError as error:  # UTF-16 without a mark
            raise SourceUnreadable(
                f"{self._name} is not {self.encoding}: {error}", hint="declare its encoding"
            ) from error
        return text if self._position else text.removeprefix("\ufeff")

    def _looks_like(self, raw: bytes) -> str:
        """The encoding of the first bytes beyond ASCII."""
        try:
            codecs.getincrementaldecoder("utf-8")().decode(raw)
        except UnicodeDecodeError as error:
            if _UTF8_LETTERS.search(raw):
                raise self._mixed() from None
            sample = b"\n".join(_BEYOND_ASCII.findall(raw[:_CHUNK])[:2000])
            guess, sure = _guess_encoding(sample)
            if not sure:
                line, at = self._line(error.start), self._position + error.start
                raise self._wrong(line, at, raw[error.start], guess) from None
            logger.warning(
                "%s is not UTF-8; it is read as %s. Declare its encoding to be sure.", self._name, guess
            )
            return guess
        return "utf-8"

    def _check_zero(self, text: bytes, raw: bytes) -> None:
        if (at := text.find(b"\x00")) >= 0:
            utf_16 = raw is text and raw.count(b"\x00", 0, 1000) > len(raw[:1000]) // 4
            raise SourceUnreadable(
                f"{self._name} is not text: line {self._line(at)} holds a zero byte",
                hint='declare encoding="utf-16-le" or "utf-16-be" if it is text of two bytes a letter'
                if utf_16
                else "give a CSV, JSON lines or Parquet file",
            )

    def _line(self, at: int) -> int:
        """The number of the line `at` bytes after the present position."""
        lines, left = 1, self._position + at
        with self._open() as stream:
            while left > 0 and (block := stream.read(min(left, _CHUNK))):
                lines += block.count(b"\n")
                left -= len(block)
        return lines

    def _mixed(self) -> SourceUnreadable:
        return SourceUnreadable(
            f"{self._name} is not utf-8 throughout, but holds letters that are",
            hint="save it in one encoding; or declare its encoding if it has just one",
        )

    def _wrong(self, line: int, at: int, byte: int, guess: str = "cp1252") -> SourceUnreadable:
        return SourceUnreadable(
            f"{self._name} is not {self.encoding or 'utf-8'}: line {line}, byte {at} is 0x{byte:02x}",
            hint=f'declare its encoding, perhaps encoding="{guess}", or save it as UTF-8',
        )


def _normalize_encoding(name: str, declared: str) -> str:
    """The encoding under Python's own name; "" stays."""
    if not declared:
        return ""
    try:
        encoding = codecs.lookup(declared).name.replace("_", "-").removesuffix("-sig")
        "a".encode(encoding)  # an encoding of texts, unlike "hex"
        codecs.getincrementaldecoder(encoding)
    except LookupError:
        raise SettingsError(
            f"the source {name} declares the encoding {declared!r}, which Python does not know",
            hint='write for example encoding="utf-8" or "cp1252"',
        ) from None
    return encoding


def _guess_encoding(sample: bytes) -> tuple[str, bool]:
    """The encoding that lines which are not UTF-8 are in, and whether that is beyond reasonable doubt.

    A few bytes are sound text in a dozen encodings. Western ones are told by their letters, which are few
    among others; for the rest there must be enough for statistics to tell.
    """
    if _is_western(sample):
        return "cp1252", True
    import charset_normalizer

    best = charset_normalizer.from_bytes(sample).best()
    if best is None or best.encoding.startswith(("utf", "ascii")):
        return "cp1252", False
    many = sum(byte > 127 for byte in sample) >= _MIN_SAMPLE_BYTES
    return best.encoding.replace("_", "-"), many and best.chaos < 0.1 and best.coherence > 0


def _is_western(sample: bytes) -> bool:
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    beyond = [letter for letter in text if not letter.isascii()]
    if not _WESTERN.issuperset(beyond) or _NOT_WESTERN.search(text):
        return False
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    letters = sum(map(len, words))
    return sum(not letter.isascii() for word in words for letter in word) <= letters / 2
