"""The labelled history gives the training set as of every moment of the past, and no later knowledge."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.store.connection.arrow import MOMENT, digest_table, to_integers
from evergreen.store.history import asof
from evergreen.store.history.known_rows import FOREVER
from evergreen.store.history.labelled_history import LabelledHistory, join_history
from evergreen.store.history.query import Query, TableSelection

START = datetime(2026, 1, 1, tzinfo=UTC)
DELAY = timedelta(days=2)
KEYS = (("client", "int"),)
LABEL = TableSelection("toy__label", KEYS, (("left", "category"),))
FACTS = TableSelection("toy__facts", KEYS, (("visits", "float"),))
PROFILE = TableSelection("toy__profile", KEYS, (("segment", "category"),), max_age=timedelta(days=5))
QUERY = Query("toy", START + timedelta(days=100), None, DELAY, LABEL, (FACTS, PROFILE))

# (client, event day, days until it was ingested, value)
Row = tuple[int, int, int, int]


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def build_table(selection: TableSelection, rows: list[Row]) -> pa.Table:
    """A table as MariaDB keeps it: one row for each key, event time and ingestion time, in their order."""
    distinct = {(client, event, event + wait): value for client, event, wait, value in rows}
    ordered = sorted(distinct)
    name, kind = selection.columns[0]
    values = [distinct[key] for key in ordered]
    return pa.table(
        {
            "client": pa.array([key[0] for key in ordered], pa.int64()),
            "event_time": pa.array([day(key[1]) for key in ordered], MOMENT),
            "ingested_at": pa.array([day(key[2]) for key in ordered], MOMENT),
            name: pa.array([float(v) for v in values], pa.float64())
            if kind == "float"
            else pa.array([f"v{v}" for v in values], pa.string()),
        }
    )


def build_tables(labels: list[Row], facts: list[Row], profiles: list[Row]) -> dict[str, pa.Table]:
    parts = ((LABEL, labels), (FACTS, facts), (PROFILE, profiles))
    return {part.table: build_table(part, rows) for part, rows in parts}


def cut_into_parts(table: pa.Table) -> Iterator[pa.Table]:
    clients = to_integers(table["client"])
    for low, high in ((-1, 1), (1, 100)):
        yield table.filter(pa.array((clients > low) & (clients <= high))).combine_chunks()


def join(tables: dict[str, pa.Table], by_event: bool = False) -> LabelledHistory:
    return join_history(lambda part: cut_into_parts(tables[part.table]), QUERY, START, by_event=by_event)


def join_as_of(tables: dict[str, pa.Table], as_of: datetime) -> pa.Table:
    """The training set as of one moment, by the join of `asof.py`."""
    labels, moment = tables[LABEL.table], asof.to_microseconds(as_of)
    last = asof.to_microseconds(as_of - DELAY)
    counts = (to_integers(labels["event_time"]) <= last) & (to_integers(labels["ingested_at"]) <= moment)
    with ThreadPoolExecutor(1) as pool:
        names = ["client", "event_time", "left"]
        chosen = pa.table(
            asof.take_rows(labels, names, asof.find_last_versions(labels, ["client"], counts), None, pool)
        )
    views = [(tables[view.table], view.max_age) for view in QUERY.views]
    joined = asof.join_as_of(chosen, views, ["client"], as_of)
    return joined.select(["client", "event_time", "visits", "segment", "left"])


rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12), st.integers(0, 9), st.integers(0, 4)))


@settings(max_examples=200, deadline=None)
@given(labels=rows, facts=rows, profiles=rows, as_of=st.floats(0, 25))
def test_the_rows_known_at_a_moment_are_the_training_set_as_of_it(
    labels: list[Row], facts: list[Row], profiles: list[Row], as_of: float
) -> None:
    tables = build_tables(labels, facts, profiles)
    history = join(tables)
    known = history.table.take(pa.array(history.select_known(day(as_of))))
    expected = join_as_of(tables, day(as_of))
    assert digest_table(known.combine_chunks()) == digest_table(expected.combine_chunks())


@settings(max_examples=100, deadline=None)
@given(labels=rows, facts=rows, profiles=rows)
def test_a_row_is_asked_once_with_the_features_that_were_known_then(
    labels: list[Row], facts: list[Row], profiles: list[Row]
) -> None:
    tables = build_tables(labels, facts, profiles)
    history = join(tables)
    asked = np.flatnonzero(history.asked_at < FOREVER)
    clients = history.table["client"].to_numpy()[asked].tolist()
    times = to_integers(history.table["event_time"])[asked]
    assert len(set(zip(clients, times.tolist(), strict=True))) == len(asked)
    assert (history.asked_at[asked] >= times).all()
    assert (history.asked_at[asked] <= history.label_known_at[asked]).all()
    for place in asked:
        moment = START + timedelta(microseconds=int(history.asked_at[place]) - asof.to_microseconds(START))
        row = history.table.slice(place, 1)
        views = [(tables[view.table], view.max_age) for view in QUERY.views]
        expected = asof.join_as_of(row.select(["client", "event_time", "left"]), views, ["client"], moment)
        assert expected.select(row.column_names).to_pylist() == row.to_pylist()


def test_a_row_waits_for_its_own_facts_and_not_for_corrections() -> None:
    """The facts of day 3 were ingested on day 4 and corrected on day 5; before, those of day 0 were known."""
    facts = build_table(FACTS, [(1, 0, 0, 5), (1, 3, 1, 7), (1, 3, 2, 9)])
    tables = {**build_tables([(1, 3, 0, 1)], [], [(1, 0, 0, 1)]), FACTS.table: facts}
    history = join(tables)
    asked = np.flatnonzero(history.asked_at < FOREVER)
    assert history.table["visits"].to_numpy()[asked].tolist() == [7.0]
    assert history.asked_at[asked].tolist() == [asof.to_microseconds(day(4))]


def test_a_history_that_was_loaded_later_counts_by_its_event_times() -> None:
    loaded = 40
    tables = build_tables(
        [(1, n, loaded - n, n % 2) for n in range(10)],
        [(1, n, loaded - n, n) for n in range(10)],
        [(1, 0, loaded, 1)],
    )
    assert len(join(tables).select_known(day(12))) == 0
    history = join(tables, by_event=True)
    assert [len(history.select_known(day(n))) for n in (1.9, 2, 5, 5.5, 30)] == [0, 1, 4, 4, 10]
    assert history.table["visits"].to_pylist() == [float(n) for n in range(10)]
    assert (history.asked_at == to_integers(history.table["event_time"])).all()


def test_a_correction_is_known_when_it_was_ingested_also_by_event_times() -> None:
    tables = build_tables([(1, 0, 40, 0), (1, 0, 50, 1)], [(1, 0, 40, 7), (1, 0, 45, 9)], [])
    history = join(tables, by_event=True)

    def read(moment: float) -> list[tuple[float, str]]:
        known = history.table.take(pa.array(history.select_known(day(moment)))).to_pylist()
        return [(row["visits"], row["left"]) for row in known]

    first, corrected, both = [(7.0, "v0")], [(9.0, "v0")], [(9.0, "v1")]
    assert [read(moment) for moment in (1, 2, 44, 45, 50)] == [[], first, first, corrected, both]
    assert set(history.truth.to_pylist()) == {"v1"}


def test_the_digest_tells_when_a_row_was_known() -> None:
    early = build_tables([(1, 0, 3, 0)], [(1, 0, 1, 7)], [])
    late = {**early, LABEL.table: build_table(LABEL, [(1, 0, 4, 0)])}
    assert join(early).digest == join(early).digest
    assert join(early).digest != join(late).digest


@pytest.mark.parametrize("by_event", [False, True])
def test_a_history_without_rows_is_empty(by_event: bool) -> None:
    history = join(build_tables([], [], []), by_event)
    assert len(history) == 0
    assert len(history.select_known(day(50))) == 0
