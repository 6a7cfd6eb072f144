"""Sums the failures of the batches of one part, with a few examples of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from evergreen.usecase import Severity
from evergreen.validation.report import MAX_EXAMPLES, Failure, build_failure


class Tally:
    """One Failure per column, check and severity, in the order of their first occurrence."""

    def __init__(self) -> None:
        self._failures: dict[tuple[str, str, Severity], Failure] = {}

    def add(self, failure: Failure) -> None:
        """Add a failure's count to that of the same column, check and severity; at most five examples
        stay."""
        identity = (failure.column, failure.check, failure.severity)
        total = self._failures.get(identity)
        if total is None:
            self._failures[identity] = failure
            return
        examples = tuple(dict.fromkeys((*total.examples, *failure.examples)))[:MAX_EXAMPLES]
        self._failures[identity] = replace(total, count=total.count + failure.count, examples=examples)

    def count(
        self, column: str, check: str, count: int, values: Iterable[object], severity: Severity
    ) -> None:
        """Add `count` values of a column that broke a check; examples are taken from `values`."""
        self.add(build_failure(column, check, count, values, severity))

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The sums so far."""
        return tuple(self._failures.values())
