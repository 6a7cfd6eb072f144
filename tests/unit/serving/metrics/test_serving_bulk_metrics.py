"""What is added in bulk is what would have been added one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from evergreen.serving.metrics.bulk_metrics import BulkCounter, BulkHistogram

BOUNDS = (0.125, 1.0, 8.0)
# Sums of these are exact in any order.
VALUES = st.lists(st.sampled_from([0.0, 0.0625, 0.125, 0.5, 1.0, 2.0, 8.0, 9.0, 1e6]), max_size=30)


def build(registry: CollectorRegistry) -> tuple[Counter, Histogram]:
    counter = Counter("jobs", "Jobs.", ["kind"], registry=registry).labels("a")
    histogram = Histogram("size", "Size.", ["kind"], buckets=BOUNDS, registry=registry).labels("a")
    return counter, histogram


def read(registry: CollectorRegistry) -> list[bytes]:
    """The page without the moments of creation."""
    return [line for line in generate_latest(registry).splitlines() if b"_created" not in line]


@given(st.lists(VALUES, max_size=5))
def test_a_flush_now_and_then_gives_the_same_page(parts: list[list[float]]) -> None:
    plain, bulk = CollectorRegistry(), CollectorRegistry()
    counter, histogram = build(plain)
    own_counter, own_histogram = build(bulk)
    many, sizes = BulkCounter(own_counter), BulkHistogram(own_histogram, BOUNDS)
    for values in parts:
        for value in values:
            counter.inc()
            histogram.observe(value)
            many.add()
            sizes.observe(value)
        many.flush()
        sizes.flush()
    assert read(bulk) == read(plain)


def test_an_unknown_client_library_is_written_to_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    _, histogram = build(registry)

    class Other:
        observe = staticmethod(histogram.observe)

    sizes = BulkHistogram(Other(), BOUNDS)  # type: ignore[arg-type]
    sizes.observe(0.5)
    assert registry.get_sample_value("size_count", {"kind": "a"}) == 1
    sizes.flush()
