"""The store at a moment of the past, and tables that a grown declaration finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.ingest.loading import load as ingest
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.connection.locks import hold_lock
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.online.vectors import (
    compute_key_ranges,
    read_latest_rows,
    read_online_features,
    read_rows_as_of,
)
from evergreen.store.records.ingest_run import start_ingest
from evergreen.store.tables.create import create_tables
from evergreen.usecase import Entity, Feature, FeatureView, Key, UseCase

Frames = Callable[..., dict[str, pd.DataFrame]]
APRIL, JULY = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
AUGUST = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.fixture
def database(settings: Settings, toy_use_case: UseCase) -> sa.Engine:
    found = get_engine(settings)
    apply_migrations(found)
    create_tables(found, toy_use_case)
    return found


def load(database: sa.Engine, use_case: UseCase, as_of: datetime, frames: dict[str, pd.DataFrame]) -> None:
    ingest.load_parts(database, use_case, start_ingest(database, use_case, as_of).id, frames)


def test_a_moment_of_the_past_reads_what_was_true_and_known_then(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Frames
) -> None:
    facts = toy_frames(60)["facts"]
    early = facts[facts["event_time"] <= APRIL]
    corrected = early.assign(age=early["age"] + 1)
    load(database, toy_use_case, APRIL, {"facts": early})
    load(database, toy_use_case, JULY, {"facts": pd.concat([corrected, facts[facts["event_time"] > APRIL]])})
    expected = early.sort_values("event_time").groupby("client_id").tail(1)
    got = read_rows_as_of(database, toy_use_case, APRIL)
    pd.testing.assert_frame_equal(got, expected.sort_values("client_id", ignore_index=True)[[*got.columns]])
    # Known in July of April: the correction is not, though its event time is.
    may = read_rows_as_of(database, toy_use_case, APRIL + timedelta(days=45))
    pd.testing.assert_frame_equal(may, got)
    pd.testing.assert_frame_equal(
        read_rows_as_of(database, toy_use_case, JULY), read_latest_rows(database, toy_use_case)
    )
    assert read_rows_as_of(database, toy_use_case, APRIL - timedelta(days=1)).empty


def test_ranges_of_keys_hold_all_keys_once(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Frames
) -> None:
    load(database, toy_use_case, JULY, {"facts": toy_frames(60)["facts"]})
    assert compute_key_ranges(database, toy_use_case, APRIL, 4) == []
    ranges = compute_key_ranges(database, toy_use_case, JULY, 4)
    assert ranges == [(None, [4]), ([4], [8]), ([8], None)]
    assert compute_key_ranges(database, toy_use_case, JULY, 5) == [(None, [5]), ([5], None)]
    pages = [read_rows_as_of(database, toy_use_case, JULY, *bounds) for bounds in ranges]
    assert [len(page) for page in pages] == [4, 4, 2]
    pd.testing.assert_frame_equal(
        pd.concat(pages, ignore_index=True), read_rows_as_of(database, toy_use_case, JULY)
    )


def test_an_ingest_meanwhile_moves_no_key_to_another_range(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Frames
) -> None:
    facts = toy_frames(60)["facts"]
    load(database, toy_use_case, JULY, {"facts": facts[facts["client_id"] > 3]})
    ranges = compute_key_ranges(database, toy_use_case, JULY, 3)
    first = read_rows_as_of(database, toy_use_case, JULY, *ranges[0])
    load(database, toy_use_case, JULY, {"facts": facts})
    keys = [*first["client_id"]]
    for bounds in ranges[1:]:
        keys += [*read_rows_as_of(database, toy_use_case, JULY, *bounds)["client_id"]]
    assert keys == [4, 5, 6, 7, 8, 9, 10]


def test_keys_of_any_view_count_and_composite_keys_page(settings: Settings, toy_use_case: UseCase) -> None:
    source = toy_use_case.views[0].source
    use_case = replace(
        toy_use_case,
        name="pair",
        on_demand=(),
        entity=Entity("pair", (Key("shop", "text", ""), Key("client_id", "int", ""))),
        views=(
            FeatureView("one", source, (Feature("size", "int", ""),), ""),
            FeatureView("two", source, (Feature("colour", "category", ""),), "", event_time="at"),
        ),
    )
    database = get_engine(settings)
    apply_migrations(database)
    create_tables(database, use_case)
    times = pd.Series([APRIL] * 2, dtype="datetime64[us, UTC]")
    one = pd.DataFrame({"shop": ["a", "b"], "client_id": [1, 1], "event_time": times, "size": [1.0, 2.0]})
    two = pd.DataFrame(
        {"shop": ["b", "c"], "client_id": [1, 2], "event_time": times, "colour": ["red", "blue"]}
    )
    load(database, use_case, JULY, {"one": one, "two": two})
    assert compute_key_ranges(database, use_case, JULY, 1) == [
        *((None, ["a", 1]), (["a", 1], ["b", 1]), (["b", 1], None)),
    ]
    last = read_rows_as_of(database, use_case, JULY, after=["a", 1])
    assert last[["shop", "client_id", "colour"]].values.tolist() == [["b", 1, "red"], ["c", 2, "blue"]]
    assert pd.isna(last["size"][1])
    assert read_rows_as_of(database, use_case, JULY, after=["b", 0], until=["b", 1])["colour"].tolist() == [
        "red"
    ]
    assert read_rows_as_of(database, use_case, JULY, after=["a", 1], until=["b", 0]).empty
    assert read_online_features(database, use_case, [("b", 1), ("c", 1), ("c", 2)]) == {
        ("b", 1): {"size": 2, "colour": "red"},
        ("c", 2): {"size": None, "colour": "blue"},
    }


def test_new_features_and_views_are_columns_added_to_what_is_there(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Frames
) -> None:
    facts = toy_frames(12)["facts"]
    load(database, toy_use_case, JULY, {"facts": facts})
    view = toy_use_case.views[0]
    extra = FeatureView("extra", view.source, (Feature("colour", "category", ""),), "", event_time="month")
    more = replace(view, features=(Feature("height", "int", ""), *view.features))
    grown = replace(toy_use_case, views=(more, extra))
    assert create_tables(database, grown) == [
        *("toy__facts", "toy__facts__online", "toy__extra", "toy__extra__online", "toy__prediction"),
    ]
    assert create_tables(database, grown) == []
    assert read_online_features(database, grown, [(1,)])[1,]["height"] is None
    load(database, grown, AUGUST, {"facts": facts.assign(height=170.0)})
    assert read_online_features(database, grown, [(1,)])[1,]["height"] == 170
    assert read_rows_as_of(database, grown, JULY)["height"].isna().all()


def test_the_widest_use_case_that_is_accepted_has_tables(settings: Settings, toy_use_case: UseCase) -> None:
    database = get_engine(settings)
    kinds = {"categories": ("category", 61, 0), "numbers": ("float", 962, 0), "both": ("category", 50, 831)}
    for name, (dtype, count, numbers) in kinds.items():
        features = [Feature(f"f{n}", dtype, "") for n in range(count)]  # type: ignore[arg-type]
        features += [Feature(f"n{n}", "float", "") for n in range(numbers)]
        use_case = replace(
            toy_use_case,
            name=name,
            entity=Entity("pair", (Key("one", "text", ""),)),
            views=(replace(toy_use_case.views[0], features=tuple(features)),),
            on_demand=(),
        )
        assert len(create_tables(database, use_case)) == 5


def test_locks_have_room_for_the_longest_names(settings: Settings) -> None:
    database = get_engine(settings)
    one, two = "x" * 120 + "1", "x" * 120 + "2"
    with (
        database.connect() as here,
        database.connect() as there,
        hold_lock(here, one),
        hold_lock(there, two, seconds=0),
        pytest.raises(StoreError, match="another session"),
        hold_lock(there, one, seconds=0),
    ):
        pytest.fail("two names that differ in the last character only are one lock")
