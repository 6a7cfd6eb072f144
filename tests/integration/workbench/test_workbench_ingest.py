"""What `evergreen new` writes goes into the store as it is: odd names, any kind of target."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.errors import ValidationFailed
from evergreen.loop import ingest
from evergreen.serving.http.schema import build_schemas
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.history.training_set import read_training_set
from evergreen.store.online.vectors import read_latest_rows
from evergreen.usecases import load_use_case
from evergreen.workbench.new import create_use_case
from support.growing_tables import LOADED, SET_ASIDE, growing_table

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
    create_use_case(settings, "odd", str(path), target="goal")
    declared = load_use_case("odd", settings)
    loaded = ingest.run_ingest(settings, "odd", AS_OF)
    assert loaded["rows_loaded"] == 2 * ROWS
    database = get_engine(settings)
    stored = read_training_set(database, declared, AS_OF).frame.sort_values("row_no")
    for feature in declared.stored_features:
        assert stored[feature.name].tolist() == frame[feature.source_column].tolist(), feature.source_column
    wanted = frame["goal"].astype(str) if declared.label.classes else frame["goal"]
    assert stored["goal"].tolist() == pytest.approx(wanted.tolist())
    # And the service takes such a row under the same names.
    row = read_latest_rows(database, declared).iloc[0]
    body = {name: row[name] for name in (f.name for f in declared.stored_features)}
    build_schemas(declared).predict(data=body)


def test_what_a_table_grows_by_is_loaded_or_set_aside(settings: Settings, tmp_path: Path) -> None:
    """Values beyond a guess are stored, missing ones as NULL; what a column cannot hold is in quarantine."""
    first, later = 160, 40
    frame = growing_table((*LOADED, SET_ASIDE[0]), first, later, seed=4)
    path = tmp_path / "table.csv"
    frame.head(first).to_csv(path, index=False)
    create_use_case(settings, "grown", str(path), target="goal")
    assert ingest.run_ingest(settings, "grown", AS_OF)["rejected"] == 0
    frame.to_csv(path, index=False)
    # A second ingest of all, as the next day's.
    done = ingest.run_ingest(settings, "grown", AS_OF + timedelta(days=1))
    halves = frame["whole_numbers_with_fractions"] == "3.5"
    assert done["rejected"] == halves.sum() > 0
    assert done["loaded"] == {"facts": later - done["rejected"], "label": later}
    database = get_engine(settings)
    stored = read_latest_rows(database, load_use_case("grown", settings)).set_index("row_id")
    expected = frame[~halves].set_index("row_id")
    assert sorted(stored.index) == sorted(expected.index)
    for name in ("heavy_tail", "new_gaps", "counts"):
        wanted = expected[name].astype(float)
        assert stored[name].astype(float).loc[wanted.index].tolist() == pytest.approx(
            wanted.tolist(), nan_ok=True
        )
    assert set(stored["new_levels"]) == {"north", "south", "over sea", "-"}
    with database.connect() as connection:
        held = connection.execute(sa.text("SELECT reasons FROM quarantine")).scalars().all()
    assert len(held) == done["rejected"]
    assert all("whole_numbers_with_fractions is not a whole number" in reasons for reasons in held)


def test_a_file_of_another_kind_is_still_refused_whole(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    growing_table((), 100, 0, seed=4).to_csv(path, index=False)
    create_use_case(settings, "grown", str(path), target="goal")
    growing_table((), 100, 0, seed=4).assign(steady="a word").to_csv(path, index=False)
    with pytest.raises(ValidationFailed, match=r"more than 20\.0% of the rows break a check"):
        ingest.run_ingest(settings, "grown", AS_OF)
