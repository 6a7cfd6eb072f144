"""Adds up what the batches of one part break, with a few examples of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from evergreen.usecase import Severity
from evergreen.validation.report import MAX_EXAMPLES, Failure, build_failure


class Tally:
    """One Failure per column, check and severity, in the order in which they were first found."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, Severity], Failure] = {}

    def add(self, new: Failure) -> None:
        name = (new.column, new.check, new.severity)
        known = self._found.get(name)
        if known is None:
            self._found[name] = new
            return
        examples = tuple(dict.fromkeys((*known.examples, *new.examples)))[:MAX_EXAMPLES]
        self._found[name] = replace(known, count=known.count + new.count, examples=examples)

    def count(
        self, column: str, check: str, count: int, values: Iterable[object], severity: Severity
    ) -> None:
        self.add(build_failure(column, check, count, values, severity))

    @property
    def failures(self) -> tuple[Failure, ...]:
        return tuple(self._found.values())
