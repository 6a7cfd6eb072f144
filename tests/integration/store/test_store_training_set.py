"""Training sets read from MariaDB: against brute force, in parts, as one state, and from a fork."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from evergreen.errors import EmptyTrainingSet, SchemaMismatch, StoreError, StoreUnreachable
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame, build_columns_from_rows
from evergreen.settings import Settings
from evergreen.store.connection import arrow
from evergreen.store.connection.database import get_engine
from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.history import scan
from evergreen.store.history.training_set import read_training_set
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.online.vectors import read_online_features, read_rows_as_of
from evergreen.store.tables import declared
from evergreen.store.tables.create import create_tables
from evergreen.usecase import Entity, Feature, FeatureView, FileSource, Key, Label, OnDemandFeature, UseCase

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
AS_OF = T0 + 5 * MINUTE


def half(size: Any) -> Any:
    """Half the size."""
    return size / 2


def size_per_weight(half: Any, weight: Any) -> Any:
    """Half the size by weight; infinite for no weight, which means missing."""
    return half / weight


SOURCE = FileSource("none.csv")
PAIR = UseCase(
    name="pair",
    title="",
    meaning="",
    entity=Entity("pair", (Key("shop", "text", ""), Key("number", "int", ""))),
    views=(
        FeatureView(
            "one",
            SOURCE,
            (Feature("size", "int", ""), Feature("colour", "category", "")),
            "",
            event_time="at",
            max_age=3 * MINUTE,
        ),
        FeatureView("two", SOURCE, (Feature("weight", "float", ""),), "", event_time="at"),
    ),
    label=Label("cost", SOURCE, "", event_time="at", delay=MINUTE),
    on_demand=(OnDemandFeature(half), OnDemandFeature(size_per_weight)),
)

keys = st.tuples(st.sampled_from(["a", "a ", "ü", "😀'\\"]), st.integers(-1, 1))
minutes = st.integers(0, 6)
identities = st.tuples(keys, minutes, minutes)
doubles = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
wholes = st.one_of(st.none(), st.integers(-(2**53), 2**53))
colours = st.one_of(st.none(), st.sampled_from(["red", "", "blue, green", "'"]))


@pytest.fixture
def database(settings: Settings) -> sa.Engine:
    found = get_engine(settings)
    apply_migrations(found)
    create_tables(found, PAIR)
    return found


def write(database: sa.Engine, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    with database.begin() as connection:
        connection.execute(sa.delete(table))
        if rows:
            connection.execute(sa.insert(table), rows)


def stored(found: dict[Any, Any], *names: str) -> list[dict[str, Any]]:
    return [
        {
            **{"shop": shop, "number": number},
            **{
                "event_time": to_naive_utc(T0 + event * MINUTE),
                "ingested_at": to_naive_utc(T0 + ingested * MINUTE),
            },
            **dict(zip(names, values if isinstance(values, tuple) else (values,), strict=True)),
        }
        for ((shop, number), event, ingested), values in found.items()
    ]


def fill(database: sa.Engine, one: dict[Any, Any], two: dict[Any, Any], labels: dict[Any, Any]) -> None:
    views = PAIR.views
    write(database, declared.build_history_table(PAIR, views[0]), stored(one, "size", "colour"))
    write(database, declared.build_history_table(PAIR, views[1]), stored(two, "weight"))
    write(database, declared.build_label_table(PAIR), stored(labels, "cost"))


def newest(rows: dict[Any, Any], key: Any, minute: int, max_age: int | None) -> tuple[bool, Any]:
    """The definition, in one loop: whether the view knows the key, and the row that is good enough."""
    known = [(e, i, v) for (k, e, i), v in rows.items() if k == key and e <= minute and i <= 5]
    if not known:
        return False, None
    event, _, values = max(known, key=lambda row: row[:2])
    return True, None if max_age is not None and minute - event > max_age else values


@examples(max_examples=25)
@given(
    one=st.dictionaries(identities, st.tuples(wholes, colours), max_size=25),
    two=st.dictionaries(identities, doubles, max_size=25),
    labels=st.dictionaries(identities, st.floats(-9, 9), max_size=25),
    since=st.one_of(st.none(), minutes),
)
def test_a_training_set_is_what_was_true_and_known(
    database: sa.Engine, one: Any, two: Any, labels: Any, since: int | None
) -> None:
    fill(database, one, two, labels)
    last: dict[Any, tuple[int, float]] = {}
    for (key, event, ingested), cost in sorted(labels.items(), key=lambda item: item[0][2]):
        if ingested <= 5 and event <= 4 and (since is None or event > since):
            last[event, key] = (ingested, cost)
    expected = []
    for (event, key), (_, cost) in sorted(last.items()):
        (in_one, first), (in_two, weight) = newest(one, key, event, 3), newest(two, key, event, None)
        if in_one or in_two:
            expected.append((*key, T0 + event * MINUTE, *(first or (None, None)), weight, cost))
    start = None if since is None else T0 + since * MINUTE
    if not expected:
        with pytest.raises(EmptyTrainingSet):
            read_training_set(database, PAIR, AS_OF, start)
        return
    found = read_training_set(database, PAIR, AS_OF, start)
    names = ["shop", "number", "event_time", "size", "colour", "weight", "cost"]
    assert found.table.column_names == names
    assert list(zip(*(column.to_pylist() for column in found.table.columns), strict=True)) == expected
    again = read_training_set(database, PAIR, AS_OF, start, read_at=found.read_at)
    assert (again.digest, again.query) == (found.digest, found.query)


@examples(max_examples=15)
@given(
    one=st.dictionaries(st.tuples(keys, minutes), st.tuples(wholes, colours), max_size=8),
    two=st.dictionaries(st.tuples(keys, minutes), doubles, max_size=8),
    minute=st.integers(0, 9),
)
def test_a_request_a_training_row_and_a_scored_row_give_one_vector(
    database: sa.Engine, one: Any, two: Any, minute: int
) -> None:
    now = T0 + minute * MINUTE
    histories = [
        {(key, event, event): values for (key, event), values in view.items() if event <= minute}
        for view in (one, two)
    ]
    known = {key for view in histories for key, *_ in view}
    # A label of each key at this very moment, known at once.
    use_case = replace(PAIR, label=replace(PAIR.label, delay=timedelta(0)))
    fill(database, *histories, {(key, minute, minute): 1.0 for key in known})
    for view, rows in zip(use_case.views, histories, strict=True):
        latest: dict[Any, Any] = {}
        for (key, event, ingested), values in sorted(rows.items(), key=lambda item: item[0][1]):
            latest[key] = ((key, event, ingested), values)
        names = ("size", "colour") if view.name == "one" else ("weight",)
        write(database, declared.build_online_table(use_case, view), stored(dict(latest.values()), *names))
    asked = sorted(known)
    requests = read_online_features(database, use_case, [*asked, ("nobody", 1)], now)
    assert set(requests) == known
    if not known:
        return
    online = add_on_demand_columns(
        use_case, build_columns_from_rows(use_case, [requests[key] for key in asked])
    )
    trained = read_training_set(database, use_case, now).frame
    scored = read_rows_as_of(database, use_case, now)
    for frame in (trained, scored):
        offline = add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case))
        assert sorted(zip(frame["shop"], frame["number"], strict=True)) == asked
        order = frame.sort_values(["shop", "number"]).index.to_numpy()
        for name, values in online.items():
            pd.testing.assert_series_equal(pd.Series(values), pd.Series(offline[name][order]))


@pytest.mark.parametrize("kind", ["int", "text"])
def test_a_table_read_in_parts_is_the_table(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    use_case = replace(
        PAIR,
        name="big",
        entity=Entity("thing", (Key("thing", kind, ""), Key("number", "int", ""))),
        views=PAIR.views[:1],
        on_demand=(),
    )
    database = get_engine(settings)
    apply_migrations(database)
    create_tables(database, use_case)
    letters = ["", "A", "a", "a ", "b", "z", "é", "東", "😀"]
    things = letters if kind == "text" else [-3, -2, -1, 0, 1, 2, 3, 40, 2**60]
    head = [
        {
            "thing": thing,
            "number": number,
            "event_time": to_naive_utc(T0 + event * MINUTE),
            "ingested_at": to_naive_utc(T0),
        }
        for thing in things
        for number in (1, 2)
        for event in (0, 2)
    ]
    rows = [{**row, "size": n, "colour": str(n)} for n, row in enumerate(head)]
    view = use_case.views[0]
    with database.begin() as connection:
        connection.execute(sa.insert(declared.build_history_table(use_case, view)), rows)
        connection.execute(sa.insert(declared.build_online_table(use_case, view)), rows[1::2])
        connection.execute(
            sa.insert(declared.build_label_table(use_case)), [{**row, "cost": 1.0} for row in head]
        )
    whole = read_training_set(database, use_case, AS_OF)
    assert len(whole) == len(rows)
    asked: list[list[str]] = []
    real = arrow.read_arrow

    def watched(database: sa.Engine, statements: list[str], schema: Any) -> Any:
        asked.append(statements)
        return real(database, statements, schema)

    monkeypatch.setattr(scan, "read_arrow", watched)
    for parts in (2, 3, 7, 40):
        monkeypatch.setattr(scan, "choose_range_count", lambda _, parts=parts: parts)
        asked.clear()
        divided = read_training_set(database, use_case, AS_OF, read_at=whole.read_at)
        assert divided.table.equals(whole.table)
        assert divided.digest == whole.digest
        statements = sum(map(len, asked))
        assert 2 < statements <= 2 * min(parts, len(things) + 1)
        assert max(map(len, asked)) <= 4


def test_a_read_waits_for_a_load_on_its_way(toy_store: Settings, toy_use_case: UseCase) -> None:
    database = get_engine(toy_store)
    now = datetime(2026, 7, 1, tzinfo=UTC)
    before = read_training_set(database, toy_use_case, now)
    found = []
    with database.connect() as connection, hold_lock(connection, "ingest.toy"):
        connection.rollback()
        connection.execute(sa.text("UPDATE toy__facts SET age = age + 1"))
        # A moment that is already known waits for nobody, and does not see it.
        again = read_training_set(database, toy_use_case, now, read_at=before.read_at)
        waiting = threading.Thread(
            target=lambda: found.append(read_training_set(database, toy_use_case, now)), daemon=True
        )
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        connection.commit()
    waiting.join(30)
    assert again.digest == before.digest
    [after] = found
    assert (after.frame["age"] - before.frame["age"]).eq(1).all()
    # The commit came after the statement, so this moment, too, is one without a load in flight.
    assert read_training_set(database, toy_use_case, now, read_at=after.read_at).digest == after.digest


def test_what_cannot_be_read_says_why(settings: Settings, database: sa.Engine) -> None:
    missing = replace(PAIR, name="nothing")
    with pytest.raises(StoreError, match="nothing__label is not there"):
        read_training_set(database, missing, AS_OF)
    fill(database, {}, {}, {((("a"), 1), 0, 0): 1.0})
    with pytest.raises(EmptyTrainingSet, match="1 labels, none with features"):
        read_training_set(database, PAIR, AS_OF)
    with database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE pair__two DROP SYSTEM VERSIONING")
        connection.exec_driver_sql("ALTER TABLE pair__two DROP COLUMN weight")
        connection.exec_driver_sql("ALTER TABLE pair__two ADD SYSTEM VERSIONING")
    with pytest.raises(SchemaMismatch, match="weight"):
        read_training_set(database, PAIR, AS_OF)
    with pytest.raises(StoreError, match="not there"):
        arrow.read_arrow(database, "SELECT 1 FROM nowhere")
    with pytest.raises(StoreError, match="MariaDB could not read"):
        arrow.read_arrow(database, "SELECT FROM WHERE")
    nobody = get_engine(settings.model_copy(update={"mariadb_socket": None, "mariadb_port": 1}))
    with pytest.raises(StoreUnreachable):
        arrow.read_arrow(nobody, "SELECT 1")


def test_a_fork_of_a_reader_reads_the_same(toy_store: Settings, toy_use_case: UseCase) -> None:
    now = datetime(2026, 7, 1, tzinfo=UTC)
    here = read_training_set(get_engine(toy_store), toy_use_case, now)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        told = b"failed"
        try:
            read_at = here.read_at
            found = read_training_set(get_engine(toy_store), toy_use_case, now, read_at=read_at)
            told = found.digest.encode()
        finally:
            os.write(writing, told)
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        assert answer.read().decode() == here.digest
    os.waitpid(child, 0)
