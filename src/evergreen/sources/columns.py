"""The columns of a source have names of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evergreen.errors import SourceUnreadable


def check_distinct(place: str, names: Sequence[str], hint: str = "rename one of them") -> None:
    """Raise SourceUnreadable if a name stands twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        shown = ", ".join(map(repr, twice[:5])) + (f" and {len(twice) - 5} others" if len(twice) > 5 else "")
        raise SourceUnreadable(f"{place} has the column {shown} more than once", hint=hint)
