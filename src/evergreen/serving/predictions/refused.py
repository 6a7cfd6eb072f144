"""Counts of values that the service refused, by field and kind: evidence of data that have moved beyond the
declared domains, which would else be invisible, because a refused request leaves no prediction."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

UNKNOWN_FIELD = "(unknown field)"
BODY = "(body)"

# A request counts at most so many faults: the service names no more of them either.
_MOST_KINDS = 50
_OTHER_KIND = "other"


@dataclass(frozen=True)
class RefusedCount:
    """How many values of one field were refused for one kind of fault between two moments (aware, UTC).

    `kind` is pydantic's name of it, such as `less_than_equal`. A fault counts once however often a caller
    sends it again.
    """

    field: str
    kind: str
    count: int
    began_at: datetime
    ended_at: datetime


class RefusedCounter:
    """Counts refused values until they are taken away. Thread-safe, and bounded whatever callers send.

    `field_names` are those of the declaration: every other name counts as `UNKNOWN_FIELD`, the body itself as
    `BODY`. `observe` is called with field, kind and number, as the metrics want them.
    """

    def __init__(
        self,
        field_names: Iterable[str],
        observe: Callable[[str, str, int], None] = lambda *_: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._field_names = frozenset(field_names)
        self._observe = observe
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: set[str] = set()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._began_at = clock()

    def count(self, faults: Iterable[tuple[str, str]]) -> None:
        """Count the faults of one refused request, each a field ("" for the body) and a kind."""
        with self._lock:
            counts = Counter(self._bound(field, kind) for field, kind in faults)
            self._counts.update(counts)
        for (field, kind), number in counts.items():
            self._observe(field, kind, number)

    def take(self) -> list[RefusedCount]:
        """What was counted since the last call, which is then forgotten; empty when there was nothing.

        Where they cannot be kept, `put_back` counts them again.
        """
        with self._lock:
            now = self._clock()
            counts, self._counts = self._counts, Counter()
            began_at, self._began_at = self._began_at, now
        return [
            RefusedCount(field, kind, number, began_at, now)
            for (field, kind), number in sorted(counts.items())
        ]

    def put_back(self, counts: Iterable[RefusedCount]) -> None:
        """Count again what was taken away, with the moment at which its window began."""
        with self._lock:
            for each in counts:
                self._counts[each.field, each.kind] += each.count
                self._began_at = min(self._began_at, each.began_at)

    def _bound(self, field: str, kind: str) -> tuple[str, str]:
        if kind not in self._kinds:
            if len(self._kinds) >= _MOST_KINDS:
                kind = _OTHER_KIND
            self._kinds.add(kind)
        if not field:
            return BODY, kind
        return (field if field in self._field_names else UNKNOWN_FIELD), kind
