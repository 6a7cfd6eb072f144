"""Any loads in any order, by whichever way the rows go in: the tables hold what plain loops say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evergreen.ingest.loading import chunks, sorter
from evergreen.ingest.loading import load as ingest
from evergreen.store.tables.declared import build_tables
from evergreen.usecase import UseCase
from support.toy_loads import DAY, JUNE, content, fact, facts, labels, load

# (client, day, age): one row per client and day in a load, as after validation.
rows = st.dictionaries(
    st.tuples(st.integers(1, 3), st.integers(0, 4)), st.integers(20, 22), min_size=1, max_size=8
)
loads = st.lists(st.tuples(st.integers(0, 3), rows, rows), min_size=1, max_size=5)

History = dict[tuple[int, int], dict[int, int]]


@pytest.mark.parametrize("few", [0, 10_000])
@settings(max_examples=15)
@given(steps=loads, size=st.sampled_from([1, 10**6]))
# An old and a new row of one key in two files of one load; then the same moment again, then an earlier one.
@example(
    steps=[
        (1, {(1, 2): 20}, {}),
        (2, {(1, 1): 20, (1, 3): 21}, {}),
        (2, {(1, 3): 22}, {}),
        (0, {(1, 3): 20}, {}),
    ],
    size=1,
)
def test_the_tables_hold_what_loops_say(
    database: sa.Engine,
    toy_use_case: UseCase,
    few: int,
    steps: list[tuple[int, dict[tuple[int, int], int], dict[tuple[int, int], int]]],
    size: int,
) -> None:
    """`few` 0: also a small load looks for the newest event time. `size` 1: a file for every row."""
    with pytest.MonkeyPatch.context() as patch, database.begin() as connection:
        for table in build_tables(toy_use_case):
            connection.execute(sa.delete(table))
        connection.commit()
        patch.setattr(ingest, "_FEW", few)
        patch.setattr(sorter, "RUN_BYTES", size)
        patch.setattr(sorter, "MERGE_BYTES", size)
        patch.setattr(sorter, "_BATCH_BYTES", size)
        patch.setattr(chunks, "CHUNK_BYTES", size)
        known: History = {}
        truth: History = {}
        for moment, new, outcomes in steps:
            as_of = JUNE + moment * DAY
            parts = {"facts": facts(*(fact(client, at(day), age) for (client, day), age in new.items()))}
            if outcomes:
                found = (
                    (client, at(day), "yes" if age > 20 else "no") for (client, day), age in outcomes.items()
                )
                parts["label"] = labels(*found)
            counts = load(database, toy_use_case, as_of, parts)
            assert counts["facts"] == remember(known, moment, new)
            remember(truth, moment, {key: int(age > 20) for key, age in outcomes.items()})
        held = content(database, toy_use_case)
    assert [(*row[:3], row[3]) for row in held["toy__facts"]] == expected(known)
    assert [row[:4] for row in held["toy__facts__online"]] == newest(known)
    yes = [(*row[:3], int(row[3] == "yes")) for row in held["toy__label"]]
    assert yes == expected(truth)


def remember(history: History, moment: int, new: dict[tuple[int, int], int]) -> int:
    """Add what is news as of a moment; how many of the rows stand under it."""
    for key, value in new.items():
        versions = history.setdefault(key, {})
        before = [when for when in versions if when <= moment]
        if not before or versions[max(before)] != value:
            versions[moment] = value
    return sum(moment in history[key] for key in new)


def expected(history: History) -> list[tuple[Any, ...]]:
    return sorted(
        (client, naive(at(day)), naive(JUNE + moment * DAY), value)
        for (client, day), versions in history.items()
        for moment, value in versions.items()
    )


def newest(history: History) -> list[tuple[Any, ...]]:
    found = {}
    for row in expected(history):
        found[row[0]] = row  # sorted: the last one has the greatest event time, then moment
    return list(found.values())


def at(day: int) -> datetime:
    return JUNE - (10 - day) * DAY


def naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
