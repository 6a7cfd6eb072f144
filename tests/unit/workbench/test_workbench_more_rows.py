"""What `evergreen new` guesses from a table refuses none of it when the table has grown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from evergreen.serving.http.schema import build_schemas
from evergreen.settings import Settings
from evergreen.sources.read import read_source
from evergreen.usecase import TIMELESS, UseCase
from evergreen.usecases import load_use_case
from evergreen.validation.contract import validate_part
from evergreen.validation.report import Report
from evergreen.workbench.new import create_use_case
from support.growing_tables import LOADED, SET_ASIDE, growing_table

FIRST, LATER = 160, 40


def grown(folder: Path, frame: pd.DataFrame) -> tuple[UseCase, dict[str, tuple[pd.DataFrame, Report]]]:
    """The use case that the first rows make, and by part what of all rows loads."""
    here = Settings(home=folder / "home", use_cases=str(folder / "usecases"))
    path = folder / "table.csv"
    frame.head(FIRST).to_csv(path, index=False)
    create_use_case(here, "made", str(path), target="goal")
    frame.to_csv(path, index=False)
    use_case = load_use_case("made", here)
    loaded = {}
    for name, part in use_case.parts.items():
        raw = read_source(part.source, here, "made", start=TIMELESS, end=datetime.now(UTC))
        loaded[name] = validate_part(use_case, part, raw)
    return use_case, loaded


def as_request(use_case: UseCase, row: dict[str, Any]) -> dict[str, Any]:
    """A loaded row as a client would send it."""
    data = {}
    for feature in use_case.stored_features:
        value = row[feature.name]
        missing = value is None or value != value
        data[feature.name] = None if missing else int(value) if feature.dtype == "int" else value
    return data


def assert_served(use_case: UseCase, clean: pd.DataFrame) -> None:
    """The service takes each of the loaded rows."""
    body = build_schemas(use_case).predict
    for row in clean.to_dict("records"):
        body.model_validate({"data": as_request(use_case, row)})


@examples(max_examples=15)
@given(
    kinds=st.sets(st.sampled_from(LOADED), min_size=1).map(lambda chosen: tuple(sorted(chosen, key=str))),
    seed=st.integers(0, 10_000),
)
def test_rows_beyond_what_was_seen_load_and_are_served(
    tmp_path_factory: pytest.TempPathFactory, kinds: tuple[Any, ...], seed: int
) -> None:
    table = growing_table(kinds, FIRST, LATER, seed)
    use_case, loaded = grown(tmp_path_factory.mktemp("grown"), table)
    for clean, report in loaded.values():
        assert report.ok, report.as_table()
        assert (report.rejected, report.kept, len(clean)) == (0, FIRST + LATER, FIRST + LATER)
    assert_served(use_case, loaded["facts"][0])


@examples(max_examples=15)
@given(
    kinds=st.sets(st.sampled_from((*LOADED, *SET_ASIDE)), min_size=1).map(
        lambda chosen: tuple(sorted(chosen, key=str))
    ),
    seed=st.integers(0, 10_000),
)
def test_rows_that_a_column_cannot_hold_stop_no_other(
    tmp_path_factory: pytest.TempPathFactory, kinds: tuple[Any, ...], seed: int
) -> None:
    table = growing_table(kinds, FIRST, LATER, seed)
    use_case, loaded = grown(tmp_path_factory.mktemp("grown"), table)
    clean, report = loaded["facts"]
    assert report.ok, report.as_table()
    assert report.kept + report.rejected == FIRST + LATER
    assert report.rejected <= LATER, "only later rows are unlike what was seen"
    assert bool(report.rejected) == any("set aside" in found.check for found in report.failures)
    assert loaded["label"][1].rejected == 0
    assert_served(use_case, clean)


def test_a_warning_is_counted_with_examples(tmp_path: Path) -> None:
    table = growing_table(LOADED, FIRST, LATER, seed=5)
    _, loaded = grown(tmp_path, table)
    found = {failure.column: failure for failure in loaded["facts"][1].failures}
    assert found["new_gaps"].check == "has no value"
    assert found["new_gaps"].count == table["new_gaps"].isna().sum()
    assert found["new_levels"].check == "is not one of north, south"
    assert set(found["new_levels"].examples) == {"over sea", "-"}
    assert found["counts"].severity == "warning"
    assert 1 <= len(found["heavy_tail"].examples) <= 5


def test_a_label_of_a_class_that_nobody_has_seen_is_set_aside(tmp_path: Path) -> None:
    table = growing_table((), FIRST, LATER, seed=1)
    table.loc[FIRST + 3, "goal"] = "perhaps"
    _, loaded = grown(tmp_path, table)
    clean, report = loaded["label"]
    assert report.ok, report.as_table()
    assert (len(clean), report.rejected) == (FIRST + LATER - 1, 1)
    assert loaded["facts"][1].rejected == 0


def test_another_file_is_refused(tmp_path: Path) -> None:
    table = growing_table((), FIRST, FIRST, seed=1)
    table["steady"] = table["steady"].astype(object)
    table.loc[FIRST:, "steady"] = "no number"
    _, loaded = grown(tmp_path, table)
    _, report = loaded["facts"]
    assert not report.ok
    assert "more than 20.0% of the rows break a check" in report.as_table()


def test_a_guess_becomes_a_rule_by_deleting_one_line(tmp_path: Path) -> None:
    table = growing_table(LOADED, FIRST, LATER, seed=5)
    grown(tmp_path, table)
    edited = tmp_path / "edited" / "made"
    edited.mkdir(parents=True)
    here = Settings(home=tmp_path / "home", use_cases=str(edited.parent))
    written = tmp_path / "usecases" / "made" / "__init__.py"
    lines = written.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if '"new_levels",' in line)
    mark = next(i for i in range(at, len(lines)) if 'severity="warning"' in lines[i])
    (edited / "__init__.py").write_text("".join(lines[:mark] + lines[mark + 1 :]))
    use_case = load_use_case("made", here)
    raw = read_source(use_case.views[0].source, here, "made", start=TIMELESS, end=datetime.now(UTC))
    _, report = validate_part(use_case, use_case.views[0], raw)
    assert report.rejected == table["new_levels"].isin(["over sea", "-"]).sum()
    levels = [found for found in report.failures if found.column == "new_levels"]
    assert [found.check for found in levels] == ["is not one of north, south (row set aside)"]
