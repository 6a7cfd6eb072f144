"""Quotes that swallow rows: a quote that never closes takes everything up to the next one for text."""

from __future__ import annotations

import re
from typing import Protocol

_CHUNK = 1 << 20


class Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


def find_misplaced_quote(stream: Readable, delimiter: str, longest: int) -> int | None:
    """The line (from 1) where a quoted field begins that does not end soundly; None: there is none.

    Unsound is a field that ends with the text, that holds a line end and is followed by anything but a
    delimiter or a line end, or that is longer than `longest` bytes. Nothing is looked for beyond a longer
    field without quotes. `"a"b` within one line is not: it is read
    as ab, as others do.
    """
    d = re.escape(delimiter.encode())
    # Possessive: each field is read in one way only, in time linear in its length.
    plain = rb"[^\"" + d + rb"\r\n][^" + d + rb"\r\n]*+"
    quoted = rb'"(?:[^"]++|"")*+"'
    # A quote which closes early on its own line.
    odd = rb'"(?:[^"\r\n]++|"")*+"[^"' + d + rb"\r\n][^" + d + rb"\r\n]*+"
    end = b"[" + d + rb"\r\n]"
    fields = re.compile(b"(?:(?:" + b"|".join((plain, quoted, odd, b"")) + b")" + end + b")*+")
    fields_to_end = re.compile(b"(?:" + b"|".join((quoted, odd, plain, b"")) + rb")\Z")
    rest, lines = b"", 1
    while block := stream.read(_CHUNK):
        rest += block
        sound = fields.match(rest)
        upto = sound.end() if sound else 0
        lines += rest.count(b"\n", 0, upto)
        rest = rest[upto:]
        if len(rest) > longest:
            return lines if rest.startswith(b'"') else None
    return None if fields_to_end.match(rest) else lines
