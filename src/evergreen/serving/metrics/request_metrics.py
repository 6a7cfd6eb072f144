"""Prometheus metrics of requests, by route template and never by the path that was sent: their number of
series is bounded whatever a caller asks for."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from evergreen.serving.metrics.bulk_metrics import BulkCounter, BulkHistogram

# How long a request may be missing in the metrics of a page that another worker answers.
_FLUSH_SECONDS = 0.5
# Methods beside these are counted as one.
_OTHER_METHOD = "other"
_METHODS = frozenset({_OTHER_METHOD, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Seconds. A fast answer takes less than a millisecond, a batch of many rows some seconds.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class RequestMetrics:
    """Counts the requests of one service, in the registry that BentoML's worker set up. For one event loop;
    only `count_refused` may be called by any thread."""

    def __init__(self, use_case_name: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._use_case_name = use_case_name
        self._requests = Counter(
            "evergreen_requests",
            "Requests answered, by route, method and class of the status.",
            ["use_case", "route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "evergreen_request_seconds",
            "From the headers of a request to the end of its answer.",
            ["use_case", "route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._refused = Counter(
            "evergreen_refused_values",
            "Values of requests that the declaration does not allow, by field and kind of fault.",
            ["use_case", "field", "kind"],
            registry=registry,
        )
        # A look-up of labels costs as much as the counting itself.
        self._tallies: dict[tuple[str, str, int], _Tally] = {}
        self._histograms: dict[str, BulkHistogram] = {}
        self._timer: asyncio.TimerHandle | None = None

    def count_refused(self, field: str, kind: str, number: int) -> None:
        """Count refused values; the caller bounds the fields and kinds (`predictions/refused.py`)."""
        self._refused.labels(self._use_case_name, field, kind).inc(number)

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request. `status` is 0 where the caller went away before the answer began."""
        tally = self._tallies.get((route, method, status // 100))
        if tally is None:
            tally = self._find_tally(route, method, status // 100)
        tally.counter.add()
        tally.histogram.observe(seconds)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what was counted to where every worker's page of metrics reads it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for tally in self._tallies.values():
            tally.counter.flush()
        for histogram in self._histograms.values():
            histogram.flush()

    def _find_tally(self, route: str, method: str, status_class: int) -> _Tally:
        """What counts requests of such labels. Only those of known methods are remembered: a caller may
        invent others without bound."""
        if method not in _METHODS:
            return self._find_tally(route, _OTHER_METHOD, status_class)
        key = (route, method, status_class)
        if (tally := self._tallies.get(key)) is None:
            histogram = self._histograms.get(route)
            if histogram is None:
                labelled = self._seconds.labels(self._use_case_name, route)
                histogram = self._histograms[route] = BulkHistogram(labelled, _BUCKETS)
            name = f"{status_class}xx" if status_class else "none"
            counter = BulkCounter(self._requests.labels(self._use_case_name, route, method, name))
            tally = self._tallies[key] = _Tally(counter, histogram)
        return tally


class _Tally(NamedTuple):
    """Where a request of one route, method and class of status is counted."""

    counter: BulkCounter
    histogram: BulkHistogram
