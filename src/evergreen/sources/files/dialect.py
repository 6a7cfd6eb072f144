"""The header of a CSV text, and what separates its fields."""

from __future__ import annotations

import csv
import io

from evergreen.errors import SettingsError, SourceUnreadable
from evergreen.sources.files.column_names import check_column_names

# In the order in which they are preferred where a text could be read either way.
_DELIMITERS = (",", ";", "\t", "|")
_ROWS = 200


def parse_header(name: str, head: str, declared: str = "") -> tuple[list[str], str]:
    """The column names and the delimiter, of a text's beginning. `declared`: the delimiter, if it is known.

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
    other = [d for d in _DELIMITERS if declared and len(names) == 1 and d in names[0]]
    if other:
        raise SourceUnreadable(
            f"{name} has no {delimiter!r} in its header {names[0][:80]!r}",
            hint=f"declare delimiter={other[0]!r} for this source",
        )
    return names, delimiter


def _detect_delimiter(head: str) -> str:
    """The one that splits the header, and most rows into as many fields as the header has."""
    best, chosen = (0.0, 0), ","
    for delimiter in _DELIMITERS:
        rows = [len(row) for row in _parse_rows(head, delimiter)]
        fields = rows[0] if rows else 0
        # The last row may be cut off where the beginning ends.
        body = rows[1:-1] or rows[1:]
        agreement = sum(count == fields for count in body) / len(body) if body else 1.0
        if fields > 1 and (agreement, fields) > best:
            best, chosen = (agreement, fields), delimiter
    return chosen


def _parse_rows(head: str, delimiter: str) -> list[list[str]]:
    rows = []
    try:
        for row in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) > _ROWS:
                break
    except csv.Error:
        # A field beyond the module's limit: an unclosed quote, which Arrow then tells of.
        pass
    return rows
