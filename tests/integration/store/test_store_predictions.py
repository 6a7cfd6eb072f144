"""The prediction log and the online store on a real MariaDB."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.errors import SchemaMismatch, StoreError
from evergreen.ingest.loading import load
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.online.vectors import read_latest_rows, read_online_features
from evergreen.store.predictions import prediction_log
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_log import count_predictions, read_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.records.ingest_run import start_ingest
from evergreen.store.records.summary import summarize_store
from evergreen.store.tables.create import create_tables
from evergreen.store.tables.evolve import apply_declaration, diff_tables
from evergreen.store.tables.partitions import maintain_partitions
from evergreen.store.tables.prediction_tables import update_prediction_tables
from evergreen.usecase import Entity, Feature, FeatureView, FileSource, Key, UseCase

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)


def prediction_id(at: datetime, number: int = 0) -> str:
    """A UUIDv7 of that moment (RFC 9562)."""
    milliseconds = round(at.timestamp() * 1000)
    text = f"{(milliseconds << 80) | (0x7 << 76) | (0b10 << 62) | number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def row(at: datetime, number: int = 0, **changes: Any) -> PredictionRow:
    fields = {
        "prediction_id": prediction_id(at, number),
        "model_version": 1,
        "channel": "online",
        "client_id": 7,
        "age": 30,
        "visits": 2,
        "spend": 12.5,
        "segment": "web",
        "mood": None,
        "prediction": "yes",
        "probability": 0.75,
        "probabilities": {"no": 0.25, "yes": 0.75},
        **changes,
    }
    return PredictionRow.from_json(fields)


def test_what_is_logged_is_read(database: sa.Engine, toy_use_case: UseCase) -> None:
    rows = [row(NOON), row(NOON, 1, client_id=None, age=np.int64(31), spend=math.nan, probabilities=None)]
    assert insert_predictions(database, toy_use_case, rows) == 2
    frame = read_predictions(database, toy_use_case, NOON - DAY, NOON)
    assert frame["predicted_at"].tolist() == [pd.Timestamp(NOON)] * 2
    assert frame["probabilities"].tolist() == [{"no": 0.25, "yes": 0.75}, None]
    assert frame["client_id"].isna().tolist() == [False, True]
    np.testing.assert_array_equal(frame["spend"], [12.5, np.nan])
    assert frame["age"].tolist() == [30.0, 31.0]
    assert frame["mood"].tolist() == [None, None]
    assert (frame["prediction"][0], frame["probability"][0], frame["model_version"][0]) == ("yes", 0.75, 1)


def test_what_the_model_saw_is_logged_with_what_was_computed(
    database: sa.Engine, toy_use_case: UseCase
) -> None:
    computed = [{"spend_per_visit": 6.25}, {"spend_per_visit": None}, {}, {"spend_per_visit": 1, "gone": 2}]
    rows = [replace(row(NOON, n), on_demand=values) for n, values in enumerate(computed)]
    assert insert_predictions(database, toy_use_case, rows) == 4
    frame = read_predictions(database, toy_use_case, NOON - DAY, NOON)
    np.testing.assert_array_equal(frame["spend_per_visit"], [6.25, np.nan, np.nan, 1.0])


def test_a_log_gets_the_columns_that_it_lacks_when_a_service_starts(
    settings: Settings, toy_use_case: UseCase
) -> None:
    database = get_engine(settings)
    assert update_prediction_tables(database, toy_use_case) == []  # before the first ingest there is no log
    create_tables(database, replace(toy_use_case, on_demand=()))
    computed = replace(row(NOON, 1), on_demand={"spend_per_visit": 6.25})
    with pytest.raises(SchemaMismatch, match="lacks the column spend_per_visit"):
        insert_predictions(database, toy_use_case, [computed])
    # Rows of a version that did not compute it are taken meanwhile.
    assert insert_predictions(database, toy_use_case, [row(NOON)]) == 1
    added = ["toy__prediction: column spend_per_visit"]
    with ThreadPoolExecutor(3) as pool:
        done = pool.map(lambda _: update_prediction_tables(database, toy_use_case), range(3))
    assert sorted(done) == [[], [], added]
    assert insert_predictions(database, toy_use_case, [computed]) == 1
    frame = read_predictions(database, toy_use_case, NOON - DAY, NOON)
    np.testing.assert_array_equal(frame["spend_per_visit"], [np.nan, 6.25])
    assert diff_tables(database, toy_use_case) == []
    # What needs leave is left alone.
    fewer = replace(toy_use_case, on_demand=())
    assert update_prediction_tables(database, fewer) == []
    assert [change.kind for change in diff_tables(database, fewer)] == ["drop"]
    apply_declaration(database, fewer, allow_destructive=True)
    assert diff_tables(database, fewer) == []


def test_logging_again_changes_nothing(database: sa.Engine, toy_use_case: UseCase) -> None:
    rows = [row(NOON, n) for n in range(5)]
    assert insert_predictions(database, toy_use_case, rows[:3]) == 3
    changed = [replace(r, prediction="no") for r in rows]
    assert insert_predictions(database, toy_use_case, [*changed, *changed]) == 2
    assert insert_predictions(database, toy_use_case, []) == 0
    found = read_predictions(database, toy_use_case, NOON - DAY, NOON)
    assert found["prediction"].tolist() == ["yes", "yes", "yes", "no", "no"]


def test_one_bad_row_keeps_all_out(database: sa.Engine, toy_use_case: UseCase) -> None:
    with pytest.raises(sa.exc.DataError):
        insert_predictions(database, toy_use_case, [row(NOON), row(NOON, 1, mood="x" * 256)])
    with pytest.raises(StoreError, match="no column colour"):
        insert_predictions(database, toy_use_case, [row(NOON, colour="red")])
    with pytest.raises(StoreError, match="not a prediction id"):
        insert_predictions(database, toy_use_case, [replace(row(NOON), prediction_id="1")])
    assert count_predictions(database, toy_use_case).total == 0


def test_the_window_excludes_its_start_and_knows_channels(database: sa.Engine, toy_use_case: UseCase) -> None:
    insert_predictions(
        database,
        toy_use_case,
        [
            row(NOON - MILLISECOND, 1),
            row(NOON, 2),
            row(NOON + DAY, 3),
            row(NOON + DAY, 4, channel="batch", model_version=2),
            row(NOON + DAY + MILLISECOND, 5),
        ],
    )

    def numbers(start: datetime, end: datetime, **options: Any) -> list[int]:
        frame = read_predictions(database, toy_use_case, start, end, **options)
        return [int(text[-1]) for text in frame["prediction_id"]]

    assert numbers(NOON, NOON + DAY) == [3]
    assert numbers(NOON - MILLISECOND, NOON + DAY) == [2, 3]
    assert numbers(NOON, NOON + DAY, channels=("online", "batch")) == [3, 4]
    assert numbers(NOON + 9 * DAY, NOON + 10 * DAY) == []
    assert count_predictions(database, toy_use_case).to_json() == {
        "total": 5,
        "by_version": {"1": 4, "2": 1},
        "by_channel": {"online": 4, "batch": 1},
        "last_at": "2026-06-11T12:00:00.001000+00:00",
    }


def test_counts_before_there_is_a_table(settings: Settings, toy_use_case: UseCase) -> None:
    nothing = {"total": 0, "by_version": {}, "by_channel": {}, "last_at": None}
    assert count_predictions(get_engine(settings), toy_use_case).to_json() == nothing


def test_recent_rows_are_requests_again(database: sa.Engine, toy_use_case: UseCase) -> None:
    rows = [row(NOON + n * DAY, n, age=30 + n, client_id=None if n == 1 else n) for n in range(3)]
    insert_predictions(database, toy_use_case, rows)
    found = prediction_log.read_recent_inputs(database, toy_use_case, until=NOON + DAY, limit=5)
    features = {"visits": 2, "spend": 12.5, "segment": "web", "mood": None}
    assert found == [{"age": 31, **features}, {"client_id": 0, "age": 30, **features}]
    assert isinstance(found[0]["age"], int)
    assert len(prediction_log.read_recent_inputs(database, toy_use_case, until=NOON + 9 * DAY, limit=2)) == 2


def partitions(database: sa.Engine) -> dict[str, int]:
    with database.connect() as connection:
        names = connection.execute(
            sa.text(
                "SELECT partition_name FROM information_schema.partitions"
                " WHERE table_schema = DATABASE() AND table_name = 'toy__prediction'"
                " ORDER BY partition_ordinal_position"
            )
        ).scalars()
        return {
            name: connection.exec_driver_sql(
                f"SELECT COUNT(*) FROM toy__prediction PARTITION ({name})"
            ).scalar_one()
            for name in names
        }


def test_partitions_come_ahead_and_go_after_the_retention(database: sa.Engine, toy_use_case: UseCase) -> None:
    use_case = replace(toy_use_case, serving=replace(toy_use_case.serving, retention=10 * DAY))
    insert_predictions(database, use_case, [row(NOON - 2 * DAY), row(NOON), row(NOON + 30 * DAY)])
    assert partitions(database) == {"pmax": 3}
    told = maintain_partitions(database, use_case, NOON)
    assert told["added"][0] == "p20260608"
    assert (told["added"][-1], told["dropped"]) == ("p20260617", [])
    found = partitions(database)
    assert (found["p20260608"], found["p20260610"], found["pmax"]) == (1, 1, 1)
    assert maintain_partitions(database, use_case, NOON) == {"added": [], "dropped": []}

    told = maintain_partitions(database, use_case, NOON + 9 * DAY)
    assert told["dropped"] == ["p20260608"]
    assert count_predictions(database, use_case).total == 2
    # After a long pause the row in the catch-all has become old as well.
    maintain_partitions(database, use_case, NOON + 60 * DAY)
    assert count_predictions(database, use_case).total == 0
    insert_predictions(database, use_case, [row(NOON), row(NOON + 500 * DAY)])
    assert count_predictions(database, use_case).total == 2


def test_rows_older_than_the_retention_go_at_once(database: sa.Engine, toy_use_case: UseCase) -> None:
    insert_predictions(database, toy_use_case, [row(NOON - 400 * DAY), row(NOON)])
    told = maintain_partitions(database, toy_use_case, NOON)
    assert len(told["dropped"]) == 1
    assert len(told["added"]) < 120
    assert count_predictions(database, toy_use_case).total == 1


def test_online_reads_join_the_views_of_composite_keys(settings: Settings, toy_use_case: UseCase) -> None:
    source = FileSource("x.csv")
    use_case = UseCase(
        name="pair",
        title="",
        meaning="",
        entity=Entity("pair", (Key("shop", "text", ""), Key("client_id", "int", ""))),
        views=(
            FeatureView("one", source, (Feature("size", "int", ""),), ""),
            FeatureView("two", source, (Feature("colour", "category", ""),), "", event_time="at"),
        ),
        label=toy_use_case.label,
    )
    database = get_engine(settings)
    apply_migrations(database)
    create_tables(database, use_case)
    times = pd.Series([NOON] * 3, dtype="datetime64[us, UTC]")
    one = pd.DataFrame(
        {"shop": ["a", "b", "a "], "client_id": [1, 1, 1], "event_time": times, "size": [1.0, 2.0, 3.0]}
    )
    two = pd.DataFrame(
        {"shop": ["b", "c"], "client_id": [1, 2], "event_time": times[:2] + DAY, "colour": ["red", None]}
    )
    run = start_ingest(database, use_case, NOON)
    load.load_parts(database, use_case, run.id, {"one": one, "two": two})
    keys = [("a", 1), ("b", 1), ("c", 2), ("b", 2), ("A", 1), ("a ", 1)]
    assert read_online_features(database, use_case, keys) == {
        ("a", 1): {"size": 1, "colour": None},
        ("b", 1): {"size": 2, "colour": "red"},
        ("c", 2): {"size": None, "colour": None},
        ("a ", 1): {"size": 3, "colour": None},
    }
    assert read_online_features(database, use_case, []) == {}
    rows = read_latest_rows(database, use_case)
    assert rows["shop"].tolist() == ["a", "a ", "b", "c"]
    assert rows["colour"].tolist() == [None, None, "red", None]
    np.testing.assert_array_equal(rows["size"], [1, 3, 2, np.nan])
    assert rows["client_id"].dtype == np.int64
    assert rows["event_time"].tolist() == [NOON, NOON, NOON + DAY, NOON + DAY]


def test_the_summary_counts_rows_and_keys(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Callable[..., dict[str, pd.DataFrame]]
) -> None:
    run = start_ingest(database, toy_use_case, NOON)
    load.load_parts(database, toy_use_case, run.id, toy_frames(60))
    newest = "2026-06-01T00:00:00+00:00"
    assert summarize_store(database, toy_use_case).to_json() == {
        "views": {"facts": {"rows": 60, "newest_event_time": newest, "keys": 10}},
        "label": {"rows": 60, "newest_event_time": newest},
        "last_ingest": {"as_of": NOON.isoformat(), "status": "loaded", "rows_loaded": 120},
    }
