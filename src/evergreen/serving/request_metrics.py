"""Prometheus metrics of requests, by route template and never by the path that was sent: their number of
series is bounded whatever a caller asks for."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

# Methods beside these are counted as one.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Seconds. A fast answer takes less than a millisecond, a batch of many rows some seconds.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class RequestMetrics:
    """Counts the requests of one service, in the registry that BentoML's worker set up."""

    def __init__(self, use_case: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._use_case = use_case
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
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def count_refused(self, field: str, kind: str, number: int) -> None:
        """Count refused values; the caller bounds the fields and kinds (`predictions/refused.py`)."""
        self._refused.labels(self._use_case, field, kind).inc(number)

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request. `status` is 0 where the caller went away before the answer began."""
        key = (route, method if method in _METHODS else "other", status // 100)
        counter = self._counters.get(key)
        if counter is None:
            name = f"{key[2]}xx" if key[2] else "none"
            counter = self._counters[key] = self._requests.labels(self._use_case, route, key[1], name)
        counter.inc()
        histogram = self._histograms.get(route)
        if histogram is None:
            histogram = self._histograms[route] = self._seconds.labels(self._use_case, route)
        histogram.observe(seconds)
