"""The rows of the past that stand for requests, in the order of their event time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime
from typing import Any

import numpy as np

from evergreen.backtest.past.rows import PastRows
from evergreen.model.matrix import build_pool
from evergreen.store.history.asof import to_microseconds
from evergreen.usecase import EVENT_TIME

# Rows that are predicted together: a replay asks for rows that are near to each other in time.
BLOCK = 512
_POOLS_IN_MEMORY = 256


class Requests:
    """n requests: `places` among the rows, and of shape (n,) each in microseconds since 1970 the event times
    (ascending), when the store knew their features, and when it first knew their label."""

    def __init__(self, rows: PastRows) -> None:
        self.rows = rows
        self.places = rows.find_asked()
        self.times = np.asarray(rows.times[EVENT_TIME])[self.places]
        self.asked_at = np.asarray(rows.times["asked_at"])[self.places]
        self.label_known_at = np.asarray(rows.times["label_known_at"])[self.places]
        self.truth = rows.take_labels(self.places, last=True)
        self.first_label = rows.take_labels(self.places)
        self.is_corrected = bool(np.any(self.truth != self.first_label))
        self._pools: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.places)

    def find_span(self, start: datetime | None, end: datetime) -> slice:
        """The requests with event times after `start` and up to `end`."""
        first = 0 if start is None else int(np.searchsorted(self.times, to_microseconds(start), side="right"))
        return slice(first, max(first, int(np.searchsorted(self.times, to_microseconds(end), side="right"))))

    def get_pool(self, block: int) -> Any:
        """The inputs of a block of requests as a CatBoost pool; those used last are kept."""
        with self._lock:
            pool = self._pools.get(block)
            if pool is None:
                places = self.places[block * BLOCK : (block + 1) * BLOCK]
                pool = self._pools[block] = build_pool(self.rows.use_case, self.rows.take_inputs(places))
                while len(self._pools) > _POOLS_IN_MEMORY:
                    self._pools.popitem(last=False)
            self._pools.move_to_end(block)
            return pool
