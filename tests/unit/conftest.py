"""Fixtures for the rooms that need rows but no server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.settings import Settings
from evergreen.store.connection.arrow import MOMENT, digest_table
from evergreen.store.history.query import build_query
from evergreen.store.history.training_set import TrainingSet
from evergreen.usecase import UseCase
from support import toy_declaration
from support.parcel_case import declare


@pytest.fixture
def toy_training_set(toy_frames: Callable[..., dict[str, pd.DataFrame]]) -> Callable[..., TrainingSet]:
    """Like `toy_rows`, but as the training set that the store would give."""

    def build(*args: object, **kwargs: object) -> TrainingSet:
        frames = toy_frames(*args, **kwargs)
        frame = frames["facts"].merge(frames["label"], on=["client_id", "event_time"])
        frame = frame.sort_values(["event_time", "client_id"], ignore_index=True)
        table = pa.table(
            {
                name: pa.array(
                    frame[name].tolist(), MOMENT if name == "event_time" else None, from_pandas=True
                )
                for name in frame.columns
            }
        )
        newest = frame["event_time"].max().to_pydatetime()
        query = build_query(toy_declaration.USE_CASE, newest)
        return TrainingSet(table, digest_table(table), newest, newest, query)

    return build


@pytest.fixture
def toy_columns(
    toy_use_case: UseCase, toy_training_set: Callable[..., TrainingSet]
) -> Callable[..., tuple[dict[str, np.ndarray], np.ndarray]]:
    """Like `toy_rows`, but as feature columns and label."""

    def build(*args: object, **kwargs: object) -> tuple[dict[str, np.ndarray], np.ndarray]:
        frame = toy_training_set(*args, **kwargs).frame
        columns = add_on_demand_columns(toy_use_case, build_columns_from_frame(frame, toy_use_case))
        return columns, frame[toy_use_case.label.name].to_numpy(dtype=object)

    return build


@pytest.fixture
def parcel(tmp_path: Path) -> UseCase:
    return declare(Settings(home=tmp_path / "home", use_cases=str(tmp_path / "usecases")))
