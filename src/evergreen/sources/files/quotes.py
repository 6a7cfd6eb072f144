"""Finds an unclosed quote in a CSV text, which makes one value of all rows up to the next quote."""

from __future__ import annotations

import re
from typing import Protocol

_CHUNK = 1 << 20


class Readable(Protocol):
    """A stream of bytes that can be read in blocks."""

    def read(self, size: int = ..., /) -> bytes:
        """At most `size` bytes, none at the end."""


def find_misplaced_quote(stream: Readable, delimiter: str, longest: int) -> int | None:
    """The line (from 1) where the first quoted field begins that does not end properly; None for no such
    field.

    Such a field ends with the text, or contains a line end and is followed by anything but a delimiter or a
    line end, or is longer than `longest` bytes. `"a"b` within one line is accepted, and read as ab, as other
    readers do. The search ends at a field without quotes that is longer than `longest`.
    """
    d = re.escape(delimiter.encode())
    # The quantifiers are possessive, so that matching takes time linear in a field's length.
    plain_field = rb"[^\"" + d + rb"\r\n][^" + d + rb"\r\n]*+"
    quoted_field = rb'"(?:[^"]++|"")*+"'
    # A quoted field of one line with text behind its closing quote.
    early_close_field = rb'"(?:[^"\r\n]++|"")*+"[^"' + d + rb"\r\n][^" + d + rb"\r\n]*+"
    end = b"[" + d + rb"\r\n]"
    fields = re.compile(
        b"(?:(?:" + b"|".join((plain_field, quoted_field, early_close_field, b"")) + b")" + end + b")*+"
    )
    fields_to_end = re.compile(
        b"(?:" + b"|".join((quoted_field, early_close_field, plain_field, b"")) + rb")\Z"
    )
    rest, lines = b"", 1
    while block := stream.read(_CHUNK):
        rest += block
        sound_fields = fields.match(rest)
        sound_end = sound_fields.end() if sound_fields else 0
        lines += rest.count(b"\n", 0, sound_end)
        rest = rest[sound_end:]
        if len(rest) > longest:
            return lines if rest.startswith(b'"') else None
    return None if fields_to_end.match(rest) else lines
