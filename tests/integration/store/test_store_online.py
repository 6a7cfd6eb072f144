"""Online vectors as they are read: packed on their way, and the very values that are stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine, get_request_engine
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.online.packing import build_online_selects
from evergreen.store.online.vectors import find_missing_keys, read_online_features
from evergreen.store.tables import declared
from evergreen.usecase import DType, Entity, Feature, FeatureView, FileSource, Key, Label, UseCase

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SOURCE = FileSource("none.csv")


def features(prefix: str, dtype: DType, count: int) -> tuple[Feature, ...]:
    return tuple(Feature(f"{prefix}{number}", dtype, "") for number in range(count))


THING = UseCase(
    name="thing",
    title="",
    meaning="",
    entity=Entity("thing", (Key("name", "text", ""),)),
    views=(
        # Odd, even, too few to be packed, and more than one group holds; between others.
        FeatureView("odd", SOURCE, (*features("a", "float", 5), *features("b", "text", 1)), ""),
        FeatureView("old", SOURCE, features("c", "float", 4), "", event_time="at", max_age=HOUR),
        FeatureView("few", SOURCE, (*features("d", "float", 2), *features("e", "int", 2)), ""),
        FeatureView("many", SOURCE, features("f", "float", 121), ""),
    ),
    label=Label("cost", SOURCE, "", event_time="at"),
)

doubles = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
wholes = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
words = st.text(st.characters(codec="utf-8"), max_size=8)
texts = st.one_of(st.none(), words)
names = st.one_of(st.sampled_from(["", "a", "A", "a ", "100%", "%s", "o'\\ne", "😀"]), words)


def values_of(view: FeatureView) -> Any:
    kinds = {"float": doubles, "int": wholes, "text": texts}
    if len(view.features) > 100:
        # Hypothesis need not think about each of them.
        return st.randoms(use_true_random=False).map(
            lambda chance: tuple(
                None if chance.random() < 0.3 else chance.uniform(-1e300, 1e300) for _ in view.features
            )
        )
    return st.tuples(*(kinds[feature.dtype] for feature in view.features))


@pytest.fixture
def database(settings: Settings) -> sa.Engine:
    found = get_engine(settings)
    with found.begin() as connection:
        for view in THING.views:
            declared.build_online_table(THING, view).create(connection)
    return found


def fill(database: sa.Engine, view: FeatureView, rows: dict[Any, tuple[Any, ...]], at: datetime) -> None:
    table = declared.build_online_table(THING, view)
    clocks = {"event_time": to_naive_utc(at), "ingested_at": to_naive_utc(at)}
    with database.begin() as connection:
        connection.execute(sa.delete(table))
        for name, values in rows.items():
            given = dict(zip(view.feature_names, values, strict=True))
            connection.execute(sa.insert(table), {"name": name, **clocks, **given})


@examples(max_examples=40)
@given(
    views=st.tuples(*(st.dictionaries(names, values_of(view), max_size=5) for view in THING.views)),
    others=st.sets(names, max_size=3),
)
def test_what_is_read_is_what_is_stored(
    database: sa.Engine, views: tuple[dict[str, tuple[Any, ...]], ...], others: set[str]
) -> None:
    for view, rows in zip(THING.views, views, strict=True):
        fill(database, view, rows, NOON)
    known = set().union(*views)
    asked = [(name,) for name in sorted(known | others)]
    got = read_online_features(database, THING, asked, NOON)
    assert set(got) == {(name,) for name in known}
    assert find_missing_keys(asked, got) == [(name,) for name in sorted(others - known)]
    for (name,), vector in got.items():
        assert set(vector) == {feature.name for feature in THING.stored_features}
        for view, rows in zip(THING.views, views, strict=True):
            expected = rows.get(name, (None,) * len(view.features))
            for feature, value in zip(view.feature_names, expected, strict=True):
                assert (vector[feature], type(vector[feature])) == (value, type(value)), feature


def test_a_view_older_than_its_max_age_says_nothing(database: sa.Engine) -> None:
    odd, old, few, _ = THING.views
    fill(database, odd, {"a": (1.0, 2.0, 3.0, 4.0, 5.0, "x")}, NOON)
    fill(database, old, {"a": (1.0, 2.0, None, 4.0), "b": (0.0, 0.0, 0.0, 0.0)}, NOON)
    fill(database, few, {}, NOON)
    at_its_end = read_online_features(database, THING, [("a",), ("b",)], NOON + HOUR)
    assert [at_its_end["a",][f"c{n}"] for n in range(4)] == [1.0, 2.0, None, 4.0]
    later = read_online_features(database, THING, [("a",), ("b",)], NOON + HOUR + timedelta(microseconds=1))
    assert [later["a",][f"c{n}"] for n in range(4)] == [None] * 4
    assert later["a",]["a0"] == 1.0
    # It is known, only nothing that is still good.
    assert set(later["b",].values()) == {None}
    assert "event_time" not in later["a",]
    # Without a moment: of now, when everything is long past.
    assert read_online_features(database, THING, [("a",)])["a",]["c0"] is None


def test_one_query_per_view_however_many_keys(database: sa.Engine) -> None:
    asked: list[str] = []
    engine = get_request_engine(database)
    sa.event.listen(engine, "before_cursor_execute", lambda *event: asked.append(event[2]))
    read_online_features(database, THING, [(str(number),) for number in range(500)], NOON)
    assert len(asked) == len(THING.views)
    asked.clear()
    assert read_online_features(database, THING, []) == {}
    assert asked == []


def test_what_is_no_text_is_no_key(database: sa.Engine) -> None:
    fill(database, THING.views[0], {"?": (0.0,) * 5 + ("",), "a": (1.0,) * 5 + ("",)}, NOON)
    got = read_online_features(database, THING, [("\ud800",), ("a",)], NOON)
    assert list(got) == [("a",)]
    assert read_online_features(database, THING, [("\ud800",)], NOON) == {}


def test_a_declaration_that_changes_is_read_as_it_is_now() -> None:
    one = build_online_selects(THING)
    assert build_online_selects(THING) is one
    shorter = replace(THING, views=THING.views[:1])
    assert [select.plain for select in build_online_selects(shorter)] == [("b0",)]
    assert [len(select.packed) for select in one] == [1, 1, 0, 2]
