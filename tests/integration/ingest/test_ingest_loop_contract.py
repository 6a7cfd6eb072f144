"""The verb ingest under a contract: partial loads, quarantine, references, warnings; by one task or three."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.errors import ValidationFailed
from evergreen.ingest.loading import quarantine
from evergreen.loop import ingest
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.ingest_run import get_ingest
from evergreen.store.tables.forget import erase_use_case
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case
from support.toy_loads import DAY, content

Source = Callable[..., pd.DataFrame]
JULY = datetime(2026, 7, 1, tzinfo=UTC)
TOLERANT = "contract=Contract(max_rejected_share=0.1)"
REFERRING = 'contract=Contract(references=(Reference("facts", severity="{}"),))'


@pytest.fixture
def csv(toy_settings: Settings, toy_source: Source) -> Path:
    path = Path(toy_settings.sources["toy"])
    toy_source(60).to_csv(path, index=False)
    return path


def declare(settings: Settings, facts: str = "", label: str = "") -> UseCase:
    """The toy with contracts, with a file of its own for the labels."""
    declaration = Path(settings.use_cases) / "toy" / "__init__.py"
    text = declaration.read_text().replace("    Entity,", "    Contract,\n    Entity,\n    Reference,", 1)
    head, tail = text.split("label=Label(")
    head = head.replace('event_time="month",', f'event_time="month",\n{facts},') if facts else head
    tail = tail.replace("SOURCE,", 'FileSource("labels.csv"),', 1)
    tail = tail.replace('event_time="month",', f'event_time="month",\n{label},') if label else tail
    declaration.write_text(head + "label=Label(" + tail)
    facts_file = Path(settings.sources.pop("toy"))
    rows = pd.read_csv(facts_file, dtype=str, keep_default_na=False)
    rows[["client_id", "month", "leaves"]].to_csv(settings.home.parent / "labels.csv", index=False)
    rows.to_csv(settings.home.parent / "toy.csv", index=False)
    return load_use_case("toy", settings)


def spoil(settings: Settings, *rows: int, name: str = "toy.csv", **values: str) -> None:
    path = settings.home.parent / name
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    for column, value in values.items():
        frame.loc[list(rows), column] = value
    frame.to_csv(path, index=False)


def by_one(settings: Settings, as_of: datetime) -> dict[str, Any]:
    return ingest.run_ingest(settings, "toy", as_of)


def by_three(settings: Settings, as_of: datetime) -> dict[str, Any]:
    run = ingest.extract_source_rows(settings, "toy", as_of)["ingest_run"]
    ingest.validate_staged_rows(settings, run)
    return ingest.load_clean_rows(settings, run)


WAYS = pytest.mark.parametrize("way", [by_one, by_three])


@WAYS
def test_rows_that_break_a_check_are_set_aside_and_the_others_load(
    toy_settings: Settings, csv: Path, way: Callable[..., dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    declare(toy_settings, facts=TOLERANT)
    spoil(toy_settings, 3, 7, age="old")
    spoil(toy_settings, 7, segment="mars")
    with caplog.at_level(logging.INFO, "evergreen"):
        told = way(toy_settings, JULY)
    assert (told["loaded"], told["rejected"]) == ({"facts": 58, "label": 60}, 2)
    kept = quarantine.read_rejected_rows(get_engine(toy_settings), told["ingest_run"])
    assert [(row["part"], row["row"], row["content"]["age"]) for row in kept] == [
        ("facts", 4, "old"),
        ("facts", 8, "old"),
    ]
    assert len(kept[0]["reasons"]) == 1
    assert len(kept[1]["reasons"]) == 2
    assert quarantine.read_rejected_rows(get_engine(toy_settings), told["ingest_run"], part="label") == []
    assert len(quarantine.read_rejected_rows(get_engine(toy_settings), told["ingest_run"], limit=1)) == 1
    run = get_ingest(get_engine(toy_settings), told["ingest_run"])
    assert (run.rows_in, run.rows_loaded, run.rows_rejected) == (120, 118, 2)
    assert run.report["facts"]["rejected"] == 2
    assert "is not a number" in caplog.text
    # Mended, the same moment leaves nothing in the quarantine.
    spoil(toy_settings, 3, 7, age="40", segment="web")
    assert way(toy_settings, JULY)["loaded"]["facts"] == 60
    assert quarantine.read_rejected_rows(get_engine(toy_settings), told["ingest_run"]) == []


@WAYS
def test_too_many_of_them_load_nothing(
    toy_settings: Settings, csv: Path, way: Callable[..., dict[str, Any]]
) -> None:
    use_case = declare(toy_settings, facts=TOLERANT)
    spoil(toy_settings, *range(10), age="old")
    with pytest.raises(ValidationFailed, match=r"is not a number.*10") as raised:
        way(toy_settings, JULY)
    assert "more than 10" in str(raised.value)
    assert not any(content(get_engine(toy_settings), use_case).values())
    with get_engine(toy_settings).connect() as connection:
        assert connection.execute(sa.text("SELECT COUNT(*) FROM quarantine")).scalar() == 0


@WAYS
def test_a_key_that_nobody_knows_is_refused(
    toy_settings: Settings, csv: Path, way: Callable[..., dict[str, Any]]
) -> None:
    use_case = declare(toy_settings, label=REFERRING.format("error"))
    spoil(toy_settings, 0, 1, name="labels.csv", client_id="777")
    with pytest.raises(ValidationFailed, match=r"stands in no row of facts") as raised:
        way(toy_settings, JULY)
    assert "777" in str(raised.value)
    assert not any(content(get_engine(toy_settings), use_case).values())
    with get_engine(toy_settings).connect() as connection:
        status, report = connection.exec_driver_sql("SELECT status, report FROM ingest_run").one()
        assert connection.execute(sa.text("SELECT COUNT(*) FROM ingest_batch")).scalar() == 0
    assert (status, "stands in no row of facts" in report) == ("failed", True)
    # The same ingest brings the client: then it is known.
    spoil(toy_settings, 0, client_id="777")
    assert way(toy_settings, JULY)["loaded"] == {"facts": 60, "label": 60}
    # So it is when only the labels come.
    (toy_settings.home.parent / "labels.csv").write_text("client_id,month,leaves\n777,2026-06-05,no\n")
    assert way(toy_settings, JULY + DAY)["loaded"] == {"label": 1}


@WAYS
def test_a_reference_may_only_warn(
    toy_settings: Settings,
    csv: Path,
    way: Callable[..., dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    declare(toy_settings, label=REFERRING.format("warning"))
    spoil(toy_settings, 0, name="labels.csv", client_id="777")
    told = way(toy_settings, JULY)
    assert told["loaded"] == {"facts": 60, "label": 60}
    report = get_ingest(get_engine(toy_settings), told["ingest_run"]).report["label"]
    [failure] = report["failures"]
    assert (failure["severity"], failure["count"], failure["examples"]) == ("warning", 1, ["777"])
    assert "stands in no row of facts" in caplog.text


@WAYS
def test_repeated_rows_are_told_and_loaded_once(
    toy_settings: Settings, csv: Path, way: Callable[..., dict[str, Any]]
) -> None:
    declare(toy_settings)
    path = toy_settings.home.parent / "toy.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, *lines[5:9]]) + "\n")
    told = way(toy_settings, JULY)
    assert told["loaded"]["facts"] == 60
    report = get_ingest(get_engine(toy_settings), told["ingest_run"]).report["facts"]
    assert (report["rows"], report["kept"]) == (64, 60)
    assert [(found["count"], found["severity"]) for found in report["failures"]] == [(4, "warning")]


def test_one_task_and_three_come_to_the_same(toy_settings: Settings, csv: Path) -> None:
    use_case = declare(toy_settings, facts=TOLERANT, label=REFERRING.format("warning"))
    spoil(toy_settings, 3, age="old")
    spoil(toy_settings, 5, month="2026-12-01")
    spoil(toy_settings, 9, name="labels.csv", client_id="777")
    database = get_engine(toy_settings)
    found = []
    for way in (by_one, by_three):
        told = way(toy_settings, JULY)
        run = get_ingest(database, told["ingest_run"])
        rows = (content(database, use_case), quarantine.read_rejected_rows(database, run.id))
        found.append((told, rows, run.report, run.inputs, run.digest, run.rows_in, run.rows_rejected))
        erase_use_case(database, use_case)
        with database.begin() as connection:
            connection.exec_driver_sql("DELETE FROM quarantine")
    assert found[0] == found[1]
    assert found[0][0]["held_back"] == 1


def test_progress_is_told_by_part(toy_settings: Settings, csv: Path) -> None:
    declare(toy_settings)
    told: list[tuple[str, int]] = []
    ingest.run_ingest(toy_settings, "toy", JULY, progress=lambda part, rows: told.append((part, rows)))
    assert dict(told) == {"facts": 60, "label": 60}
