"""A stopped stack's home with the toy's history, two champions and files of every kind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from evergreen.loop import train
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.tables.create import create_tables
from support import toy_declaration
from support.dump_program import require_dump_program
from support.stack_home import HOME_FILES, StackHome
from support.toy_loads import JULY, load


@pytest.fixture(scope="module")
def use_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that declares the toy."""
    folder = tmp_path_factory.mktemp("declarations") / "usecases"
    (folder / "toy").mkdir(parents=True)
    shutil.copy(toy_declaration.__file__, folder / "toy" / "__init__.py")
    return folder


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory,
    use_cases: Path,
    empty_mlflow: Path,
    toy_frames: Callable[..., dict[str, pd.DataFrame]],
) -> StackHome:
    """A stopped stack with two champions, a training set on record, and rows that were corrected since."""
    require_dump_program()
    home = StackHome(tmp_path_factory.mktemp("home") / "home", use_cases)
    home.folder.mkdir()
    home.write_files(HOME_FILES)
    home.make_airflow_database()
    shutil.copy(empty_mlflow, home.folder / "mlflow" / "mlflow.db")
    with home.running_mariadb() as engine:
        apply_migrations(engine)
        create_tables(engine, toy_declaration.USE_CASE)
        load(engine, toy_declaration.USE_CASE, JULY, toy_frames(600))
        train.prepare_training_set(home.settings, "toy", JULY)
        load(engine, toy_declaration.USE_CASE, JULY, toy_frames(700, seed=9))
        home.promote_next(engine)
        home.promote_next(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM toy__facts WHERE client_id < 20")
            connection.exec_driver_sql("UPDATE toy__facts SET age = NULL WHERE client_id < 40")
    return home
