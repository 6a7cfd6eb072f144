"""Checks on the columns of a source: each name occurs once, and there are not too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evergreen.errors import SourceUnreadable

# Each column of each batch takes about a kilobyte of memory, whatever it holds.
MAX_COLUMNS = 50_000


def check_column_names(place: str, names: Sequence[str], hint: str = "rename one of them") -> None:
    """Raise SourceUnreadable, with that hint, if a name occurs twice, or if there are more than
    MAX_COLUMNS."""
    if len(names) > MAX_COLUMNS:
        raise build_too_many_columns_error(place, MAX_COLUMNS)
    repeated_names = [name for name, count in Counter(names).items() if count > 1]
    if repeated_names:
        listing = ", ".join(map(repr, repeated_names[:5])) + (
            f" and {len(repeated_names) - 5} others" if len(repeated_names) > 5 else ""
        )
        raise SourceUnreadable(f"{place} has the column {listing} more than once", hint=hint)


def build_too_many_columns_error(place: str, limit: int) -> SourceUnreadable:
    """The error for a source of more than `limit` columns."""
    return SourceUnreadable(
        f"{place} has more than {limit:,} columns",
        hint="leave some out, or write names and values as rows",
    )
