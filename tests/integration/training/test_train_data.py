"""Data that nothing can be learned from: said at once and by name, and mended data train well afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from evergreen.errors import NotEnoughData
from evergreen.loop import train
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records import training_run
from evergreen.store.tables.create import create_tables
from evergreen.usecases import load_use_case
from support.toy_loads import load as load_frames
from support.toy_training import (
    assert_nothing_came_of_it,
    assert_one_clean_training,
    declare,
    forget_declaration,
)

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
RMSE = 'gate=replace(USE_CASE.gate, metric="rmse", margin=-9.0, baseline_margin=-9.0)'


@pytest.fixture(autouse=True)
def _fresh_declaration():
    forget_declaration()
    yield
    forget_declaration()


@pytest.fixture
def given(toy_settings, empty_mlflow, toy_frames):
    """A function: that declaration, with these frames ingested as of a moment."""
    (toy_settings.home.parent / "mlflow.db").write_bytes(empty_mlflow.read_bytes())

    def give(frames, *changes, as_of=AS_OF):
        if changes:
            declare(toy_settings, *changes)
        database, use_case = get_engine(toy_settings), load_use_case("toy", toy_settings)
        apply_migrations(database)
        create_tables(database, use_case)
        load_frames(database, use_case, as_of, frames)
        return toy_settings

    return give


def labelled(frames, values):
    """The frames with other labels, by row."""
    return {**frames, "label": frames["label"].assign(leaves=values)}


def without_features(frames):
    facts = frames["facts"]
    numbers = {name: np.full(len(facts), np.nan) for name in ("age", "visits", "spend")}
    names = {name: pd.Series([None] * len(facts), dtype=object) for name in ("segment", "mood")}
    return {**frames, "facts": facts.assign(**numbers, **names)}


def test_one_class_only_in_the_labels(given, toy_frames):
    settings = given(labelled(toy_frames(300), "no"))
    with pytest.raises(NotEnoughData, match="has no row of class yes") as told:
        train.run_train(settings, "toy", AS_OF)
    assert "ingest more history" in told.value.hint
    assert_nothing_came_of_it(settings)

    given(toy_frames(600), as_of=AS_OF + HOUR)
    assert_one_clean_training(settings, train.run_train(settings, "toy", AS_OF + HOUR), trial_count=2)


def test_a_number_to_predict_that_never_varies(given, toy_frames):
    frames = toy_frames(300)
    settings = given(labelled(frames, 3.5), "label=replace(USE_CASE.label, classes=())", RMSE)
    with pytest.raises(NotEnoughData, match="no two different labels"):
        train.run_train(settings, "toy", AS_OF)
    assert_nothing_came_of_it(settings)

    visits = frames["facts"]["visits"]
    given(labelled(frames, 10.0 * visits + visits**2), as_of=AS_OF + HOUR)
    assert_one_clean_training(settings, train.run_train(settings, "toy", AS_OF + HOUR), trial_count=2)


@pytest.mark.parametrize(
    ("split", "told"),
    [("stratified", "has 4 rows of class yes for 5 folds"), ("grouped", "has 10 entities for 12 folds")],
)
def test_fewer_rows_or_entities_than_folds(given, toy_frames, split, told):
    frames, folds = toy_frames(60), {"stratified": 5, "grouped": 12}[split]
    few = np.where(np.arange(60) % 15 == 0, "yes", "no").astype(object)
    settings = given(labelled(frames, few), f'split="{split}"', f"folds={folds}")
    with pytest.raises(NotEnoughData, match=told) as error:
        train.run_train(settings, "toy", AS_OF)
    assert "declare fewer folds" in error.value.hint
    assert_nothing_came_of_it(settings)


def test_rows_without_any_feature_are_not_kept_for_the_next_attempt(given, toy_frames):
    settings = given(without_features(toy_frames(600)), as_of=AS_OF - timedelta(days=1))
    with pytest.raises(NotEnoughData, match="no feature of toy tells anything"):
        train.run_train(settings, "toy", AS_OF)
    assert_nothing_came_of_it(settings)
    row = training_run.get_training_run(
        get_engine(settings), training_run.compute_training_run_id("toy", AS_OF)
    )
    assert (row.status, row.dataset_digest, row.finished_at) == ("started", None, None)

    given(toy_frames(600))
    outcome = train.run_train(settings, "toy", AS_OF)
    assert_one_clean_training(settings, outcome, trial_count=2)
