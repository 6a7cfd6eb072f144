"""Training sets of the past, rebuilt after later corrections, deletes, retired columns, and too late."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.errors import HistoryExpired, StoreError
from evergreen.ingest.loading import load
from evergreen.loop import train
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.history import recorded_set
from evergreen.store.history.query import build_query, parse_query
from evergreen.store.history.training_set import read_training_set
from evergreen.store.records import training_run
from evergreen.store.records.ingest_run import start_ingest
from evergreen.store.tables import evolve
from evergreen.store.tables.retention import PrunedHistory, prune_history
from evergreen.usecase import Feature, UseCase

JULY = datetime(2026, 7, 1, tzinfo=UTC)
Frames = Callable[..., dict[str, pd.DataFrame]]


@pytest.fixture
def run(toy_store: Settings) -> str:
    return str(train.prepare_training_set(toy_store, "toy", JULY)["training_run"])


def reload(database: sa.Engine, use_case: UseCase, as_of: datetime, frames: dict[str, pd.DataFrame]) -> None:
    load.load_parts(database, use_case, start_ingest(database, use_case, as_of).id, frames)


def test_a_run_tells_what_it_was_trained_on(toy_store: Settings, toy_use_case: UseCase, run: str) -> None:
    database = get_engine(toy_store)
    told = recorded_set.describe_training_set(database, run).to_json()
    assert json.loads(json.dumps(told)) == told
    row = training_run.get_training_run(database, run)
    assert (told["training_run"], told["use_case"], told["rows"]) == (run, "toy", row.dataset_rows)
    assert told["digest"] == row.dataset_digest
    assert told["query"]["views"][0]["table"] == "toy__facts"
    assert parse_query(told["query"]) == build_query(toy_use_case, JULY)
    training_run.update_training_run(database, run, mlflow_run_id="f" * 32)
    assert recorded_set.describe_training_set(database, "f" * 32).to_json() == {
        **told,
        "mlflow_run": "f" * 32,
    }
    assert recorded_set.reproduce_training_set(database, "f" * 32).to_json()["same"] is True


def test_a_run_is_found_by_the_beginning_of_its_id(toy_store: Settings, run: str) -> None:
    database = get_engine(toy_store)
    [listed] = [entry.to_json() for entry in recorded_set.list_training_sets(database, "toy")]
    assert listed["training_run"] == run
    assert recorded_set.describe_training_set(database, run[:8]).to_json()["digest"] == listed["digest"]
    assert recorded_set.list_training_sets(database, "nobody") == []
    for unknown in ("", "%", "_" * 8, f"{run[:8]}x"):
        with pytest.raises(StoreError, match="training run"):
            recorded_set.describe_training_set(database, unknown).to_json()


def test_the_very_same_rows_after_corrections_and_deletes(
    toy_store: Settings, toy_use_case: UseCase, toy_frames: Frames, run: str
) -> None:
    database = get_engine(toy_store)
    first = recorded_set.reproduce_training_set(database, run).to_json()
    assert (first["same"], first["rebuilt_rows"]) == (True, first["rows"])
    # Late rows and corrections under earlier moments, which the same query would now see, ...
    reload(database, toy_use_case, JULY - timedelta(days=3), toy_frames(700, seed=8))
    reload(database, toy_use_case, JULY, toy_frames(700, seed=9))
    # ... and what people do with a client of their own.
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM toy__facts WHERE client_id < 20")
        connection.exec_driver_sql("DELETE FROM toy__label WHERE client_id > 50")
        connection.exec_driver_sql("UPDATE toy__facts SET age = NULL")
    assert read_training_set(database, toy_use_case, JULY).digest != first["digest"]
    again = recorded_set.reproduce_training_set(database, run).to_json()
    assert again == first
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM toy__facts")
        connection.exec_driver_sql("DELETE FROM toy__label")
    assert recorded_set.reproduce_training_set(database, run).to_json()["same"] is True


def test_after_the_declaration_has_dropped_and_retyped_what_was_trained_on(
    toy_store: Settings, toy_use_case: UseCase, run: str
) -> None:
    database = get_engine(toy_store)
    [facts] = toy_use_case.views
    age, visits, spend, *others = facts.features
    changed = replace(
        toy_use_case,
        views=(replace(facts, features=(replace(age, dtype="float"), Feature("size", "int", ""), *others)),),
        on_demand=(),
    )
    evolve.apply_declaration(database, changed, allow_destructive=True)
    again = recorded_set.reproduce_training_set(database, run).to_json()
    assert (again["same"], again["rebuilt_rows"]) == (True, again["rows"]), again
    # Declared once more, the columns begin empty; the run still finds its own.
    evolve.apply_declaration(database, toy_use_case, allow_destructive=True)
    evolve.apply_declaration(database, changed, allow_destructive=True)
    assert recorded_set.reproduce_training_set(database, run).to_json()["same"] is True
    assert (visits.name, spend.name) == ("visits", "spend")


def test_it_says_when_the_history_has_expired(
    toy_store: Settings, toy_use_case: UseCase, toy_frames: Frames, run: str
) -> None:
    database = get_engine(toy_store)
    now = datetime.now(UTC)
    assert prune_history(database, toy_use_case, 0, now) == PrunedHistory(None, {})
    reload(database, toy_use_case, JULY, toy_frames(600, seed=3))
    kept = prune_history(database, toy_use_case, 30, now)
    assert kept.deleted == {"toy__label": 0, "toy__facts": 0}
    assert recorded_set.reproduce_training_set(database, run).to_json()["same"] is True
    gone = prune_history(database, toy_use_case, 1, datetime.now(UTC) + timedelta(days=1, seconds=1))
    assert gone.deleted["toy__facts"] > 0
    told = recorded_set.reproduce_training_set(database, run).to_json()
    assert (told["same"], told["rebuilt_digest"]) == (False, None)
    assert "the history has expired" in told["reason"]
    row = training_run.get_training_run(database, run)
    with pytest.raises(HistoryExpired, match="toy__"):
        read_training_set(database, toy_use_case, JULY, read_at=row.dataset_read_at)
    # Less is kept from now on, never more; what is there now is not touched.
    prune_history(database, toy_use_case, 30, now)
    assert "expired" in recorded_set.reproduce_training_set(database, run).to_json()["reason"]
    assert len(read_training_set(database, toy_use_case, JULY)) == row.dataset_rows


def test_it_says_when_the_rows_are_others(toy_store: Settings, run: str) -> None:
    database = get_engine(toy_store)
    with database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE toy__facts DROP SYSTEM VERSIONING")
        connection.exec_driver_sql("UPDATE toy__facts SET age = 17 WHERE client_id = 3")
    told = recorded_set.reproduce_training_set(database, run).to_json()
    assert (told["same"], told["rebuilt_rows"]) == (False, None)
    assert "table toy__facts keeps no system versions" in told["reason"]
    with database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE toy__facts ADD SYSTEM VERSIONING")
    told = recorded_set.reproduce_training_set(database, run).to_json()
    assert told["same"] is False
    assert told["rebuilt_digest"] != told["digest"] or told["rebuilt_rows"] == 0


def test_unknown_and_unfinished_runs_are_named(toy_store: Settings) -> None:
    database = get_engine(toy_store)
    with pytest.raises(StoreError, match="no training run 'nothing'"):
        recorded_set.describe_training_set(database, "nothing").to_json()
    begun: Any = training_run.start_training_run(database, "toy", JULY, "test")
    with pytest.raises(StoreError, match="no data set on record: it is started") as caught:
        recorded_set.reproduce_training_set(database, begun.id).to_json()
    assert caught.value.hint == "train again: evergreen train toy --as-of ..."
