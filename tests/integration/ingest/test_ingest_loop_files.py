"""Several files of one part: a later file corrects an earlier one, however they are read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.errors import SourceError, ValidationFailed
from evergreen.loop import ingest
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.ingest_run import get_ingest
from evergreen.store.tables.declared import build_tables
from evergreen.usecase import UseCase
from support.file_server import serving
from support.toy_loads import DAY, content

Source = Callable[..., pd.DataFrame]
JULY = datetime(2026, 7, 1, tzinfo=UTC)
TOLD = "is corrected in a later file, which counts (left out)"


@pytest.fixture
def folder(toy_settings: Settings, toy_source: Source) -> Path:
    """A folder whose second file corrects the ages of three rows of the first."""
    made = toy_settings.home / "landing"
    made.mkdir()
    rows = toy_source(60)
    rows.iloc[:40].to_csv(made / "1.csv", index=False)
    correction = rows.iloc[[3, 7, 11]].assign(age=[91, 92, 93])
    pd.concat([rows.iloc[40:], correction]).to_csv(made / "2.csv", index=False)
    toy_settings.sources["toy"] = str(made / "*.csv")
    return made


def tasks(settings: Settings, use_case_name: str, as_of: datetime, **more: Any) -> dict[str, Any]:
    """The three tasks one after the other."""
    run = ingest.extract_source_rows(settings, use_case_name, as_of, **more)["ingest_run"]
    ingest.validate_staged_rows(settings, run)
    return ingest.load_clean_rows(settings, run)


def one_by_one(settings: Settings, folder: Path, as_of: datetime) -> None:
    """Each file by itself, as of one moment."""
    for name in ("1.csv", "2.csv"):
        ingest.run_ingest(settings, "toy", as_of, source=str(folder / name))


def emptied(database: sa.Engine, use_case: UseCase) -> None:
    with database.begin() as connection:
        for table in build_tables(use_case):
            connection.execute(sa.delete(table))


@pytest.mark.parametrize("way", [ingest.run_ingest, tasks])
def test_files_read_together_are_as_files_loaded_one_after_the_other(
    toy_settings: Settings, toy_use_case: UseCase, folder: Path, way: Callable[..., dict[str, Any]]
) -> None:
    database = get_engine(toy_settings)
    one_by_one(toy_settings, folder, JULY)
    wanted = content(database, toy_use_case)
    ages = [row.age for row in read_facts(database)]
    assert {91, 92, 93} <= set(ages)
    # Onto what the store holds, and into empty tables.
    for _ in range(2):
        done = way(toy_settings, "toy", JULY, force=True)
        assert content(database, toy_use_case) == wanted
        assert done["loaded"] == {"facts": 60, "label": 60}
        report = get_ingest(database, done["ingest_run"]).report["facts"]
        [told] = report["failures"]
        assert (told["check"], told["count"], told["severity"]) == (TOLD, 3, "warning")
        assert (report["rows"], report["kept"]) == (63, 60)
        emptied(database, toy_use_case)


@pytest.mark.parametrize("way", [ingest.run_ingest, tasks])
def test_a_correction_that_came_later_stays_when_all_is_read_again(
    toy_settings: Settings, toy_use_case: UseCase, folder: Path, way: Callable[..., dict[str, Any]]
) -> None:
    correction = (folder / "2.csv").read_text()
    (folder / "2.csv").unlink()
    way(toy_settings, "toy", JULY)
    (folder / "2.csv").write_text(correction)
    second = way(toy_settings, "toy", JULY + DAY)
    assert second["rows_in"] == 46
    assert second["loaded"] == {"facts": 23, "label": 20}
    before = content(get_engine(toy_settings), toy_use_case)
    third = way(toy_settings, "toy", JULY + 2 * DAY, force=True)
    assert (third["rows_in"], third["rows_loaded"]) == (126, 0)
    assert content(get_engine(toy_settings), toy_use_case) == before


def test_rows_of_one_file_that_differ_are_refused_whatever_a_later_file_says(
    toy_settings: Settings, toy_use_case: UseCase, folder: Path
) -> None:
    first = pd.read_csv(folder / "1.csv")
    pd.concat([first, first.iloc[[3]].assign(age=55)]).to_csv(folder / "1.csv", index=False)
    with pytest.raises(ValidationFailed, match="duplicate key") as raised:
        ingest.run_ingest(toy_settings, "toy", JULY)
    assert TOLD in str(raised.value)
    assert not any(content(get_engine(toy_settings), toy_use_case).values())


def read_facts(database: sa.Engine) -> list[Any]:
    with database.connect() as connection:
        return list(connection.execute(sa.text("SELECT * FROM toy__facts")))


@pytest.mark.parametrize("way", [ingest.run_ingest, tasks])
def test_a_correction_outlives_a_change_of_the_file_that_it_corrects(
    toy_settings: Settings, toy_use_case: UseCase, folder: Path, way: Any
) -> None:
    ingest.run_ingest(toy_settings, "toy", JULY)
    database = get_engine(toy_settings)
    before = content(database, toy_use_case)
    first = folder / "1.csv"
    first.write_text(first.read_text() + "\n")
    touched = way(toy_settings, "toy", JULY + DAY)
    assert touched["rows_loaded"] == 0
    assert content(database, toy_use_case) == before
    # A new file is read with those after it, and one at the end alone.
    header, row, *_ = first.read_text().splitlines()
    (folder / "3.csv").write_text(f"{header}\n{row}\n")
    assert way(toy_settings, "toy", JULY + 2 * DAY)["rows_in"] == 2
    (folder / "0.csv").write_text(f"{header}\n{row.replace('2026-01-01', '2026-06-11')}\n")
    everything = way(toy_settings, "toy", JULY + 3 * DAY)
    assert (everything["rows_in"], everything["loaded"]["facts"]) == (2 * (1 + 40 + 23 + 1), 1)


@pytest.mark.parametrize("way", [ingest.run_ingest, tasks])
def test_a_signed_address_is_read_and_recorded_without_its_signature(
    toy_settings: Settings,
    toy_source: Source,
    caplog: pytest.LogCaptureFixture,
    way: Callable[..., dict[str, Any]],
) -> None:
    """A new signature is no new run, and the same content under it is not loaded anew."""
    caplog.set_level("INFO")
    database = get_engine(toy_settings)
    with serving(toy_source(60).to_csv(index=False).encode()) as address:
        first = way(toy_settings, "toy", JULY, source=f"{address}/toy.csv?part=1&sig=5ec4e7")
        ingest.run_ingest(toy_settings, "toy", JULY, source=f"{address}/toy.csv?part=1&sig=5ec4e7again")
        with pytest.raises(SourceError) as refused:
            ingest.run_ingest(toy_settings, "toy", JULY, source=f"{address}/refused.csv?sig=5ec4e7")
        with pytest.raises(SourceError) as unknown:
            ingest.run_ingest(toy_settings, "toy", JULY, source=f"nothing={address}/toy.csv?sig=5ec4e7")
    run = get_ingest(database, first["ingest_run"])
    assert run.source_override == f"{address}/toy.csv?part=1&sig=***"
    with database.connect() as connection:
        records = connection.exec_driver_sql("SELECT * FROM ingest_run").mappings().all()
    assert len(records) == 2
    assert "5ec4e7" not in f"{records} {first} {caplog.text} {refused.value} {unknown.value}"
