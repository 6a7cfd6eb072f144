"""Counts of values that the service refused, by field and kind: evidence of data that have moved beyond the
declared domains, which would else be invisible, because a refused request leaves no prediction."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from uuid_utils import uuid7

from evergreen.store.predictions.refused import RefusedCount

UNKNOWN_FIELD = "(unknown field)"
BODY = "(body)"

# A request counts at most so many faults: the service names no more of them either.
_MOST_KINDS = 50
_OTHER_KIND = "other"


class RefusedCounter:
    """Counts refused values until they are taken away. Thread-safe, and bounded whatever callers send.

    `field_names` are those of the declaration: every other name counts as `UNKNOWN_FIELD`, the body itself as
    `BODY`. `service` names the process in the counts. `observe` is called with field, kind and number, as
    the metrics want them.
    """

    def __init__(
        self,
        field_names: Iterable[str],
        service: str,
        observe: Callable[[str, str, int], None] = lambda *_: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._field_names = frozenset(field_names)
        self._service = service
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
            RefusedCount(str(uuid7()), field, kind, number, began_at, now, self._service)
            for (field, kind), number in sorted(counts.items())
        ]

    def put_back(self, counts: Iterable[RefusedCount]) -> None:
        """Count again what was taken away, with the moment at which its window began."""
        with self._lock:
            for each in counts:
                self._counts[each.field, each.kind] += each.rows
                self._began_at = min(self._began_at, each.window_start)

    def _bound(self, field: str, kind: str) -> tuple[str, str]:
        if kind not in self._kinds:
            if len(self._kinds) >= _MOST_KINDS:
                kind = _OTHER_KIND
            self._kinds.add(kind)
        if not field:
            return BODY, kind
        return (field if field in self._field_names else UNKNOWN_FIELD), kind
