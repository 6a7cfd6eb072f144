"""Fixtures for tests on real servers: a store that holds the toy's history."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from evergreen.registry.champion import champion
from evergreen.settings import Settings
from evergreen.store.database import engine
from evergreen.store.ingest import load
from evergreen.store.migrations import migrate
from evergreen.store.runs import start_ingest
from evergreen.store.tables import create_tables
from evergreen.usecase import UseCase


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: making one takes seconds, copying it does not."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    champion(Settings(mlflow_tracking_uri=f"sqlite:///{path}"), "nobody")
    return path


@pytest.fixture
def toy_store(
    toy_settings: Settings,
    toy_use_case: UseCase,
    toy_frames: Callable[..., dict[str, pd.DataFrame]],
    empty_mlflow: Path,
) -> Settings:
    """Settings whose store holds 600 rows of the toy, January to June 2026, ingested as of 2026-07-01."""
    shutil.copy(empty_mlflow, toy_settings.mlflow_tracking_uri.removeprefix("sqlite:///"))
    database = engine(toy_settings)
    migrate(database)
    create_tables(database, toy_use_case)
    run = start_ingest(database, toy_use_case, datetime(2026, 7, 1, tzinfo=UTC))
    load(database, toy_use_case, run.id, toy_frames(600))
    return toy_settings
