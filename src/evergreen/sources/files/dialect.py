"""The column names and the delimiter of a CSV text."""

from __future__ import annotations

import csv
import io

from evergreen.errors import SettingsError, SourceUnreadable
from evergreen.sources.files.column_names import check_column_names

# Where several of them fit equally well, the first is taken.
_DELIMITERS = (",", ";", "\t", "|")
# How many rows are looked at to detect the delimiter.
_ROWS = 200


def parse_header(name: str, head: str, declared: str = "") -> tuple[list[str], str]:
    """The column names and the delimiter of a text that begins with `head`. `declared` is the delimiter if
    the source declares it, else it is detected.

    Raises SourceUnreadable for a column named twice or a header without the declared delimiter, SettingsError
    for a delimiter that is not one character.
    """
    if declared and (len(declared.encode()) != 1 or declared in '"\r\n'):
        raise SettingsError(
            f"the source {name} declares the delimiter {declared!r}",
            hint='write one character, such as ";" or "\\t"',
        )
    delimiter = declared or _detect_delimiter(head)
    names = next(iter(_parse_rows(head, delimiter)), [])
    check_column_names(name, names)
    delimiters_in_header = [d for d in _DELIMITERS if declared and len(names) == 1 and d in names[0]]
    if delimiters_in_header:
        raise SourceUnreadable(
            f"{name} has no {delimiter!r} in its header {names[0][:80]!r}",
            hint=f"declare delimiter={delimiters_in_header[0]!r} for this source",
        )
    return names, delimiter


def _detect_delimiter(head: str) -> str:
    """The delimiter that splits the header, and most rows into as many fields as the header has; "," if none
    does."""
    best_score, best_delimiter = (0.0, 0), ","
    for delimiter in _DELIMITERS:
        rows = [len(row) for row in _parse_rows(head, delimiter)]
        fields = rows[0] if rows else 0
        # The last row may be cut off where the head ends.
        body = rows[1:-1] or rows[1:]
        agreement = sum(count == fields for count in body) / len(body) if body else 1.0
        if fields > 1 and (agreement, fields) > best_score:
            best_score, best_delimiter = (agreement, fields), delimiter
    return best_delimiter


def _parse_rows(head: str, delimiter: str) -> list[list[str]]:
    rows = []
    try:
        for row in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) > _ROWS:
                break
    except csv.Error:
        # A field longer than the module's limit: an unclosed quote. Arrow reports it when it reads the file.
        pass
    return rows
