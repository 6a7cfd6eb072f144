"""The columns of a source: names of their own, and not too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evergreen.errors import SourceUnreadable

# Each column of each batch takes about a kilobyte, whatever it holds.
MAX_COLUMNS = 50_000


def check_column_names(place: str, names: Sequence[str], hint: str = "rename one of them") -> None:
    """Raise SourceUnreadable if a name stands twice, or if there are more than MOST_COLUMNS."""
    if len(names) > MAX_COLUMNS:
        raise build_too_many_columns_error(place, MAX_COLUMNS)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        shown = ", ".join(map(repr, twice[:5])) + (f" and {len(twice) - 5} others" if len(twice) > 5 else "")
        raise SourceUnreadable(f"{place} has the column {shown} more than once", hint=hint)


def build_too_many_columns_error(place: str, most: int) -> SourceUnreadable:
    """The error for a source of more than `most` columns."""
    return SourceUnreadable(
        f"{place} has more than {most:,} columns",
        hint="leave some out, or write names and values as rows",
    )
