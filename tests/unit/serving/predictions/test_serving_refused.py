"""Counts of refused values: by field and kind, bounded, taken once, and never lost on the way."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evergreen.serving.predictions.refused import BODY, UNKNOWN_FIELD, RefusedCounter

NAMES = ("weight", "carrier")
START = datetime(2026, 6, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def test_counts_have_their_window_and_are_taken_once() -> None:
    clock = Clock()
    counter = RefusedCounter(NAMES, "service-1", clock=clock)
    counter.count([("weight", "less_than_equal"), ("weight", "less_than_equal"), ("", "missing")])
    clock.now += timedelta(minutes=1)
    taken = counter.take()
    assert [(each.field, each.kind, each.rows) for each in taken] == [
        (BODY, "missing", 1),
        ("weight", "less_than_equal", 2),
    ]
    assert {(each.window_start, each.window_end) for each in taken} == {(START, clock.now)}
    assert counter.take() == []
    clock.now += timedelta(minutes=1)
    counter.put_back(taken)
    assert {(each.window_start, each.window_end) for each in counter.take()} == {(START, clock.now)}


def test_names_that_callers_invent_need_no_room() -> None:
    counter = RefusedCounter(NAMES, "service-1")
    for number in range(2_000):
        counter.count([(f"colour{number}", "extra_forbidden"), ("weight", f"kind{number}")])
    taken = counter.take()
    assert len(taken) < 60
    assert sum(each.rows for each in taken if each.field == UNKNOWN_FIELD) == 2_000
    assert sum(each.rows for each in taken if each.field == "weight") == 2_000


@given(st.lists(st.lists(st.sampled_from([*NAMES, "x", ""]), max_size=5), max_size=10), st.data())
def test_whatever_was_counted_is_taken(requests: list[list[str]], data: st.DataObject) -> None:
    observed: Counter[str] = Counter()
    counter = RefusedCounter(
        NAMES, "service-1", observe=lambda field, _, number: observed.update({field: number})
    )
    taken: Counter[str] = Counter()
    for fields in requests:
        counter.count([(field, "missing") for field in fields])
        if data.draw(st.booleans()):
            counts = counter.take()
            if data.draw(st.booleans()):
                counter.put_back(counts)
            else:
                taken.update({each.field: each.rows for each in counts})
    taken.update({each.field: each.rows for each in counter.take()})
    assert taken == observed
    assert sum(taken.values()) == sum(map(len, requests))
