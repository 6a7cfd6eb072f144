"""Functions whose digest must be the same on every Python: they use what newer versions compile otherwise."""

from __future__ import annotations

import re

LIMITS = {"low": 1.5, "high": (2, 3)}
WORD = re.compile(r"\w+")
KINDS = frozenset({"a", "b", "c"})


def helper(text: str) -> str:
    """Called inside a comprehension, which Python 3.11 compiles as a function of its own."""
    return f"{text!r:>{10}} {LIMITS['low']}" if WORD.search(text) else "\t"


def example(name, age=1):
    """The first line."""

    def inner(text: str) -> bool:
        return text in KINDS

    # A comment.
    return [helper(each) for each in name if inner(each)] + [age, *LIMITS["high"]]
