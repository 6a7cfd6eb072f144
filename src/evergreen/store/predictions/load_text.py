"""Rows as the text that LOAD DATA reads: a JSON array a line.

JSON and LOAD DATA agree on quotes and on most escapes, so one call of a JSON encoder writes all rows. What
they do not agree on is put right afterwards, where it occurs at all: `null`, and control characters in texts.
"""

from __future__ import annotations

import re

import msgspec

from evergreen.store.predictions.hour_counts import LoggedColumns

# How LOAD DATA is told to read it.
FORMAT = (
    "CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '\\\\'"
    " LINES STARTING BY '[' TERMINATED BY ']\\n'"
)

_encode_lines = msgspec.json.Encoder().encode_lines
_ESCAPE = re.compile(rb"\\(?:u00([01][0-9a-f])|.)")
_TEXT_OR_NULL = re.compile(rb'"(?:[^"\\]|\\.)*"|null')


def format_rows(columns: LoggedColumns) -> bytes:
    """A line for each row. NaN and infinity, which DOUBLE cannot hold, become NULL.

    Raises TypeError for a value of no type of JSON, and UnicodeEncodeError for a text with half a surrogate
    pair.
    """
    text = _encode_lines(zip(*columns.values(), strict=True))
    if b"\\u00" in text or b"\\f" in text:
        text = _ESCAPE.sub(_convert_escape, text)
    nulls = text.count(b"null")
    if not nulls:
        return text
    missing = sum(list(values).count(None) for values in columns.values())
    if nulls == missing:
        return text.replace(b"null", b"NULL")
    # Some stand in texts, or for numbers that JSON does not have.
    return _TEXT_OR_NULL.sub(_convert_null, text)


def _convert_escape(match: re.Match[bytes]) -> bytes:
    """A control character for the escape that LOAD DATA would read as letters."""
    if match[1] is not None:
        character = bytes([int(match[1], 16)])
        return b"\\0" if character == b"\0" else character
    return b"\f" if match[0] == b"\\f" else match[0]


def _convert_null(match: re.Match[bytes]) -> bytes:
    return b"NULL" if match[0] == b"null" else match[0]
