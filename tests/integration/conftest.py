"""Fixtures for tests on real servers: a store that holds the toy's history, and the serving world."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.ingest.loading.load import load_parts
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records.ingest_run import start_ingest
from evergreen.store.tables.create import create_tables
from evergreen.usecase import UseCase
from support.empty_mlflow import write_empty_database
from support.serving_world import Service, World, running, world


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database, to be copied."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    write_empty_database(path)
    return path


@pytest.fixture
def database(settings: Settings, toy_use_case: UseCase) -> sa.Engine:
    """A store with the toy's tables and no row."""
    found = get_engine(settings)
    apply_migrations(found)
    create_tables(found, toy_use_case)
    return found


@pytest.fixture
def toy_store(
    toy_settings: Settings,
    toy_use_case: UseCase,
    toy_frames: Callable[..., dict[str, pd.DataFrame]],
    empty_mlflow: Path,
) -> Settings:
    """Settings whose store holds 600 rows of the toy, January to June 2026, ingested as of 2026-07-01."""
    shutil.copy(empty_mlflow, toy_settings.mlflow_tracking_uri.removeprefix("sqlite:///"))
    database = get_engine(toy_settings)
    apply_migrations(database)
    create_tables(database, toy_use_case)
    run = start_ingest(database, toy_use_case, datetime(2026, 7, 1, tzinfo=UTC))
    load_parts(database, toy_use_case, run.id, toy_frames(600))
    return toy_settings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A serving world of the module's own; version 1 of 2 is champion at first."""
    with world(tmp_path_factory.mktemp("world")) as built:
        yield built


@pytest.fixture(scope="module")
def service(made: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The parcel service on that world, with a service's rights in MariaDB and no more.

    A test before may have left it without champion.
    """
    made.promote(made.versions[0])
    with running(made, tmp_path_factory.mktemp("service"), more=made.service_account) as started:
        made.settings.service_urls["parcel"] = started.url
        yield started


@pytest.fixture
def first_champion(made: World) -> None:
    """Version 1 is champion again, whatever the test before has promoted."""
    made.promote(made.versions[0])
