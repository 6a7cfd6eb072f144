"""Trainings of the toy use case: its declaration as a test wants it, and what a training left behind."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from mlflow import MlflowClient

from evergreen.model import reference_profile
from evergreen.model.golden_rows import GOLDEN_ROW_COUNT
from evergreen.registry import ledger
from evergreen.registry.champion import read_champion
from evergreen.settings import Settings
from evergreen.store.connection.database import dispose_engines, get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records import training_run
from evergreen.store.records.model_record import find_model_record
from evergreen.store.records.training_run import TrainingRun
from evergreen.store.tables.create import create_tables
from evergreen.training.tracking import trials
from support import toy_declaration
from support.own_servers import Database
from support.toy_loads import load


@contextmanager
def toy_world(
    mariadb: Database, folder: Path, empty_mlflow: Path, frames: Mapping[str, pd.DataFrame], as_of: datetime
) -> Iterator[Settings]:
    """A store with the toy's frames, ingested as of that moment, and an MLflow database beside it."""
    (folder / "usecases" / "toy").mkdir(parents=True)
    shutil.copy(toy_declaration.__file__, folder / "usecases" / "toy" / "__init__.py")
    shutil.copy(empty_mlflow, folder / "mlflow.db")
    with mariadb.empty_database() as name:
        settings = mariadb.build_settings(
            folder, name, mlflow_tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", threads=1
        )
        settings.home.mkdir()
        apply_migrations(get_engine(settings))
        create_tables(get_engine(settings), toy_declaration.USE_CASE)
        load(get_engine(settings), toy_declaration.USE_CASE, as_of, dict(frames))
        yield settings
        dispose_engines(settings)


def forget_declaration() -> None:
    """The next use of the toy reads its folder again."""
    sys.modules.pop("evergreen_usecases_toy", None)


def declare(settings: Settings, *changes: str) -> None:
    """Change the toy's declaration: each change is an argument of `replace`, such as 'split="grouped"'."""
    path = Path(settings.use_cases) / "toy" / "__init__.py"
    changed = f"\n\nfrom dataclasses import replace\n\nUSE_CASE = replace(USE_CASE, {', '.join(changes)})\n"
    path.write_text(path.read_text() + changed)
    forget_declaration()


def budget(**changes: Any) -> str:
    """A change of the toy's tuning; its seconds never end a search."""
    given = ", ".join(f"{name}={value!r}" for name, value in {"seconds": 3_600.0, **changes}.items())
    return f"tuning=replace(USE_CASE.tuning, {given})"


def client_of(settings: Settings) -> MlflowClient:
    return MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)


def mlflow_runs(settings: Settings) -> tuple[list[Any], list[Any]]:
    """The toy's MLflow runs that were not deleted: those of trainings, and those of trials."""
    client = client_of(settings)
    experiment = client.get_experiment_by_name("toy")
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    whole = [run for run in found if trials.PARENT not in run.data.tags]
    return whole, [run for run in found if trials.PARENT in run.data.tags]


def ended_trials(settings: Settings) -> dict[int, tuple[Any, ...]]:
    """By number, state, start and end of each trial that was fitted to its end or pruned."""
    wanted = "SELECT number, state, datetime_start, datetime_complete FROM trials"
    with get_engine(settings).connect() as connection:
        if not sa.inspect(connection).has_table("trials"):
            return {}
        found = connection.execute(sa.text(f"{wanted} WHERE state IN ('COMPLETE', 'PRUNED')"))
        return {row.number: tuple(row) for row in found}


def assert_nothing_came_of_it(settings: Settings) -> None:
    """No run that counts, no version, no champion, no line in the ledger."""
    assert [run.info.status for run in mlflow_runs(settings)[0] if run.info.status == "FINISHED"] == []
    assert client_of(settings).search_model_versions("name = 'toy'") == []
    assert read_champion(settings, "toy") is None
    assert ledger.read_entries(get_engine(settings), "toy") == []


def assert_one_clean_training(settings: Settings, outcome: dict[str, Any], trial_count: int) -> TrainingRun:
    """One promoted training with everything that belongs to it, each thing once; its row."""
    client = client_of(settings)
    [version] = client.search_model_versions("name = 'toy'")
    [run], nested = mlflow_runs(settings)
    row = training_run.get_training_run(get_engine(settings), outcome["training_run"])
    assert (outcome["promoted"], outcome["version"], outcome["mlflow_run"]) == (True, 1, run.info.run_id)
    assert (row.status, row.model_version, row.mlflow_run_id) == ("promoted", 1, run.info.run_id)
    assert (int(version.version), version.run_id, run.info.status) == (1, run.info.run_id, "FINISHED")
    # Each trial has a run of its own, and so has one that a kill cut short.
    by_number = {int(child.data.tags[trials.TRIAL]): child for child in nested}
    assert len(by_number) == len(nested)
    assert {child.data.tags[trials.PARENT] for child in nested} == {run.info.run_id}
    assert {child.info.status for child in nested} <= {"FINISHED", "KILLED", "FAILED"}
    done = [number for number, child in by_number.items() if child.info.status != "FAILED"]
    assert sorted(done) == sorted(ended_trials(settings))
    assert len(done) == trial_count
    assert len(client.search_logged_models([run.info.experiment_id])) == 1
    assert set(client.get_registered_model("toy").aliases) == {"champion"}
    found = read_champion(settings, "toy")
    [line] = ledger.read_entries(get_engine(settings), "toy")
    assert (line.action, line.from_version, line.to_version) == ("promote", None, 1)
    assert found is not None
    assert (found.version, found.promoted_at) == (1, line.at)
    assert len(reference_profile.load_reference_profile(get_engine(settings), "toy", 1)) == 7
    record = find_model_record(get_engine(settings), "toy", 1, run.info.run_id)
    assert record is not None
    assert record.golden_rows is not None
    assert row.metrics is not None
    assert (record.digest, len(record.golden_rows.rows)) == (row.metrics["model_digest"], GOLDEN_ROW_COUNT)
    return row


def recipe_of(row: TrainingRun) -> dict[str, Any]:
    """What two trainings of the same rows agree on, killed in between or not."""
    assert row.params is not None
    assert row.metrics is not None
    return {
        "data": row.dataset_digest,
        "params": row.params["params"],
        "loss": row.params["loss"],
        "calibration": row.params["calibration"],
        "model": row.metrics["model_digest"],
        "holdout_models": row.metrics["holdout_digests"],
        "metrics": row.metrics["candidate"],
    }
