"""What `evergreen new` writes goes into the store as it is: odd names, any kind of target."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evergreen.loop import ingest
from evergreen.serving.schema import schemas
from evergreen.settings import Settings
from evergreen.store.database import engine
from evergreen.store.online import latest_rows
from evergreen.store.training_set import read_training_set
from evergreen.usecases import load
from evergreen.workbench.new import create

AS_OF = datetime(2026, 9, 1, tzinfo=UTC)
ROWS = 120


@pytest.mark.parametrize(
    "target", [np.arange(ROWS) % 2, np.arange(ROWS) / 7, np.array(["a;b", "ü", "c,d"])[np.arange(ROWS) % 3]]
)
def test_a_table_with_odd_names_is_stored_and_read_as_it_is(
    settings: Settings, tmp_path: Path, target: Any
) -> None:
    odd = ["select", "order", "🌱", "2nd floor", "class", "event_time", "row_start", "日本", 'a"b`c', "%s"]
    frame = pd.DataFrame({name: np.arange(ROWS) + index / 4 for index, name in enumerate(odd)})
    frame["group"] = np.where(np.arange(ROWS) % 3 == 0, "x y", "z")
    frame["goal"] = target
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    create(settings, "odd", str(path), target="goal")
    declared = load("odd", settings)
    loaded = ingest.run(settings, "odd", AS_OF)
    assert loaded["rows_loaded"] == 2 * ROWS
    database = engine(settings)
    stored = read_training_set(database, declared, AS_OF).frame.sort_values("row_no")
    for feature in declared.stored_features:
        assert stored[feature.name].tolist() == frame[feature.source_column].tolist(), feature.source_column
    wanted = frame["goal"].astype(str) if declared.label.classes else frame["goal"]
    assert stored["goal"].tolist() == pytest.approx(wanted.tolist())
    # And the service takes such a row under the same names.
    row = latest_rows(database, declared).iloc[0]
    body = {name: row[name] for name in (f.name for f in declared.stored_features)}
    schemas(declared).predict(data=body)
