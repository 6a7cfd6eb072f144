"""The same input again: files whose content the store has are not read, and the run says so."""

from __future__ import annotations

import json
import sys
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
from evergreen.store.records.ingest_run import (
    compute_usual_rows,
    find_ingest,
    find_last_load,
    get_ingest,
    list_ingests,
)
from evergreen.usecase import UseCase
from support.toy_loads import DAY, content

Source = Callable[..., pd.DataFrame]
PIECES = {
    "event_time": 'event_time="month",',
    "key": 'Key("client_id", "int", "The client\'s number")',
    "source": 'FileSource("toy.csv")',
}
APRIL, JULY = datetime(2026, 4, 3, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def csv(toy_settings: Settings, toy_source: Source) -> Path:
    path = Path(toy_settings.sources["toy"])
    toy_source(60).to_csv(path, index=False)
    return path


@pytest.fixture
def two_files(toy_settings: Settings, csv: Path) -> Settings:
    """The toy with a file for its facts and one for its labels, where they are declared."""
    declaration = Path(toy_settings.use_cases) / "toy" / "__init__.py"
    head, label = declaration.read_text().split("label=Label(")
    declaration.write_text(head + "label=Label(" + label.replace("SOURCE,", 'FileSource("labels.csv"),', 1))
    rows = pd.read_csv(csv)
    rows.drop(columns="leaves").to_csv(toy_settings.home.parent / "toy.csv", index=False)
    rows[["client_id", "month", "leaves"]].to_csv(toy_settings.home.parent / "labels.csv", index=False)
    return toy_settings.model_copy(update={"sources": {}})


def unchanged(told: dict[str, Any]) -> bool:
    return bool(told.get("unchanged")) and told["rows_loaded"] == 0 and "loaded before" in told["said"]


def test_the_same_file_again_is_a_no_op_that_says_so(
    toy_settings: Settings, toy_use_case: UseCase, csv: Path
) -> None:
    database = get_engine(toy_settings)
    first = ingest.run_ingest(toy_settings, "toy", JULY)
    before, record = content(database, toy_use_case), get_ingest(database, first["ingest_run"])
    assert "unchanged" not in first
    again = ingest.run_ingest(toy_settings, "toy", JULY)
    assert unchanged(again)
    assert again["ingest_run"] == first["ingest_run"]
    assert json.loads(json.dumps(again)) == again
    # The run that loaded the file is still the one on record, all of it.
    assert get_ingest(database, first["ingest_run"]) == record
    later = ingest.run_ingest(toy_settings, "toy", JULY + DAY)
    assert unchanged(later)
    run = get_ingest(database, later["ingest_run"])
    assert (run.status, run.rows_in, run.rows_loaded, run.as_of) == ("loaded", 0, 0, JULY + DAY)
    assert run.inputs is not None
    assert {entry["unchanged"] for part in run.inputs.values() for entry in part} == {first["ingest_run"]}
    # A third look finds the run that loaded it through the one that did not.
    assert unchanged(ingest.run_ingest(toy_settings, "toy", JULY + 2 * DAY))
    assert content(database, toy_use_case) == before
    forced = ingest.run_ingest(toy_settings, "toy", JULY + 3 * DAY, force=True)
    assert (forced["rows_in"], forced["rows_loaded"]) == (120, 0)
    assert "unchanged" not in forced
    forced = ingest.run_ingest(toy_settings, "toy", JULY, force=True)
    assert (forced["rows_in"], forced["rows_loaded"], forced["unchanged"]) == (120, 120, True)
    assert "same rows" in forced["said"]
    assert content(database, toy_use_case) == before


def test_the_three_tasks_end_with_the_first(toy_settings: Settings, csv: Path) -> None:
    ingest.run_ingest(toy_settings, "toy", JULY)
    extracted = ingest.extract_source_rows(toy_settings, "toy", JULY + DAY)
    assert unchanged(extracted)
    assert extracted["rows"] == {"facts": 0, "label": 0}
    # Whoever goes on all the same finds a finished run.
    assert ingest.validate_staged_rows(toy_settings, extracted["ingest_run"])["rows"] == {}
    assert ingest.load_clean_rows(toy_settings, extracted["ingest_run"])["rows_loaded"] == 0
    assert ingest.extract_source_rows(toy_settings, "toy", JULY + DAY, force=True)["rows"] == {
        "facts": 60,
        "label": 60,
    }


def test_what_a_file_held_of_the_future_is_read_later(toy_settings: Settings, csv: Path) -> None:
    early = ingest.run_ingest(toy_settings, "toy", APRIL)
    assert early["held_back"] > 0
    inputs = get_ingest(get_engine(toy_settings), early["ingest_run"]).inputs
    assert inputs is not None
    assert {name: (e["rows"], e["held_back"] > 0) for name, [e] in inputs.items()} == {
        "facts": (60, True),
        "label": (60, True),
    }
    later = ingest.run_ingest(toy_settings, "toy", JULY)
    assert later["rows_loaded"] > 0
    assert unchanged(ingest.run_ingest(toy_settings, "toy", JULY + DAY))
    # An earlier moment knows nothing of the later load.
    assert "unchanged" not in ingest.run_ingest(toy_settings, "toy", APRIL + DAY)


def test_a_file_that_was_another_meanwhile_is_read_again(
    toy_settings: Settings, toy_use_case: UseCase, csv: Path
) -> None:
    first = csv.read_text(encoding="utf-8")
    other = pd.read_csv(csv)
    other["age"] = other["age"].where(other.index != 3, 99)
    ingest.run_ingest(toy_settings, "toy", JULY)
    before = content(get_engine(toy_settings), toy_use_case)["toy__facts__online"]
    other.to_csv(csv, index=False)
    assert ingest.run_ingest(toy_settings, "toy", JULY + DAY)["loaded"] == {"facts": 1, "label": 0}
    # Back to what it was: loaded before, but no longer what the store knows.
    csv.write_text(first, encoding="utf-8")
    back = ingest.run_ingest(toy_settings, "toy", JULY + 2 * DAY)
    assert back["loaded"] == {"facts": 1, "label": 0}
    values = [row[3:] for row in content(get_engine(toy_settings), toy_use_case)["toy__facts__online"]]
    assert values == [row[3:] for row in before]


def test_a_failed_rerun_does_not_hide_what_was_loaded(
    toy_settings: Settings, toy_use_case: UseCase, csv: Path
) -> None:
    first = csv.read_text(encoding="utf-8")
    ingest.run_ingest(toy_settings, "toy", JULY - DAY)
    other = pd.read_csv(csv)
    other["age"] = 99
    other.to_csv(csv, index=False)
    ingest.run_ingest(toy_settings, "toy", JULY)
    csv.write_text(first.replace("yes", "perhaps"), encoding="utf-8")
    with pytest.raises(ValidationFailed):
        ingest.run_ingest(toy_settings, "toy", JULY)
    # The store knows 99 as of July: the file of the day before is news again.
    csv.write_text(first, encoding="utf-8")
    assert ingest.run_ingest(toy_settings, "toy", JULY)["loaded"]["facts"] == 60
    ages = {row[3] for row in content(get_engine(toy_settings), toy_use_case)["toy__facts__online"]}
    assert 99 not in ages


@pytest.mark.parametrize("table", ["toy__facts", "toy__facts__online", "toy__label"])
@pytest.mark.parametrize("how", ["RENAME TABLE {0} TO old_table", "DELETE FROM {0}"])
def test_a_table_that_lost_its_rows_gets_them_again(
    toy_settings: Settings, toy_use_case: UseCase, csv: Path, table: str, how: str
) -> None:
    ingest.run_ingest(toy_settings, "toy", JULY)
    before = content(get_engine(toy_settings), toy_use_case)
    with get_engine(toy_settings).begin() as connection:
        connection.exec_driver_sql(how.format(table))
    assert "unchanged" not in ingest.run_ingest(toy_settings, "toy", JULY)
    assert content(get_engine(toy_settings), toy_use_case) == before


def test_a_changed_declaration_reads_again(toy_settings: Settings, csv: Path) -> None:
    ingest.run_ingest(toy_settings, "toy", JULY)
    declaration = Path(toy_settings.use_cases) / "toy" / "__init__.py"
    declaration.write_text(declaration.read_text().replace("Age in years", "Years of age"))
    sys.modules.pop("evergreen_usecases_toy")
    assert unchanged(ingest.run_ingest(toy_settings, "toy", JULY + DAY))
    declaration.write_text(declaration.read_text().replace("maximum=120", "maximum=1300"))
    sys.modules.pop("evergreen_usecases_toy")
    assert ingest.run_ingest(toy_settings, "toy", JULY + DAY)["rows_in"] == 120


def test_only_the_file_that_changed_is_read(two_files: Settings, toy_use_case: UseCase) -> None:
    first = ingest.run_ingest(two_files, "toy", JULY)
    assert first["loaded"] == {"facts": 60, "label": 60}
    labels = two_files.home.parent / "labels.csv"
    rows = pd.read_csv(labels)
    rows["leaves"] = rows["leaves"].where(rows.index != 0, rows["leaves"].map({"yes": "no", "no": "yes"}))
    rows.to_csv(labels, index=False)
    second = ingest.run_ingest(two_files, "toy", JULY + DAY)
    assert (second["rows_in"], second["loaded"]) == (60, {"label": 1})
    inputs = get_ingest(get_engine(two_files), second["ingest_run"]).inputs
    assert inputs is not None
    assert [inputs["facts"][0].get("unchanged"), inputs["label"][0]["rows"]] == [first["ingest_run"], 60]
    # A rerun that reads one of its files reads the other one too, so that its record stays whole.
    labels.write_text(labels.read_text() + "\n")
    third = ingest.run_ingest(two_files, "toy", JULY)
    assert third["rows_in"] == 120
    assert compute_usual_rows(get_engine(two_files), toy_use_case, "facts") == 60
    assert compute_usual_rows(get_engine(two_files), toy_use_case, "other") is None


def test_a_new_file_of_a_folder_is_read_alone(toy_settings: Settings, toy_source: Source) -> None:
    folder = toy_settings.home / "landing"
    folder.mkdir()
    rows = toy_source(60)
    rows.iloc[:30].to_csv(folder / "1.csv", index=False)
    toy_settings.sources["toy"] = str(folder / "*.csv")
    assert ingest.run_ingest(toy_settings, "toy", JULY)["rows_in"] == 60
    rows.iloc[30:].to_csv(folder / "2.csv", index=False)
    second = ingest.run_ingest(toy_settings, "toy", JULY + DAY)
    assert (second["rows_in"], second["loaded"]) == (60, {"facts": 30, "label": 30})
    assert unchanged(ingest.run_ingest(toy_settings, "toy", JULY + 2 * DAY))


def declare(settings: Settings, **words: str) -> None:
    """The toy with those pieces of its declaration replaced, each once, by piece in `PIECES`."""
    declaration = Path(settings.use_cases) / "toy" / "__init__.py"
    text = declaration.read_text().replace("    Entity,", "    Contract,\n    Entity,\n    Freshness,", 1)
    text = text.replace("    OnDemandFeature,", "    OnDemandFeature,\n    RowCount,\n    SqlSource,", 1)
    for piece, new in words.items():
        assert PIECES[piece] in text
        text = text.replace(PIECES[piece], new, 1)
    declaration.write_text(text)


def landing(settings: Settings, **files: pd.DataFrame) -> None:
    folder = settings.home / "landing"
    folder.mkdir(exist_ok=True)
    for name, rows in files.items():
        rows.to_csv(folder / f"{name}.csv", index=False)
    settings.sources["toy"] = str(folder / "*.csv")


def test_a_file_that_no_longer_changes_goes_stale(toy_settings: Settings, csv: Path) -> None:
    fresh = 'contract=Contract(freshness=Freshness(timedelta(days=40), "error"))'
    declare(toy_settings, event_time=f'event_time="month", {fresh},')
    ingest.run_ingest(toy_settings, "toy", JULY)  # the newest row is of June
    assert unchanged(ingest.run_ingest(toy_settings, "toy", JULY + DAY))
    with pytest.raises(ValidationFailed, match="the newest is 50 days"):
        ingest.run_ingest(toy_settings, "toy", JULY + 20 * DAY)
    assert unchanged(ingest.run_ingest(toy_settings, "toy", JULY + DAY))


def test_new_files_are_as_long_as_files_usually_are(toy_settings: Settings, toy_source: Source) -> None:
    usual = 'contract=Contract(row_count=RowCount(severity="error"))'
    declare(toy_settings, event_time=f'event_time="month", {usual},')
    rows = toy_source(330)
    landing(toy_settings, **{f"day{n}": rows.iloc[n * 60 : (n + 1) * 60] for n in range(5)})
    assert ingest.run_ingest(toy_settings, "toy", JULY)["loaded"]["facts"] == 300
    # One more file like the five before it, not a fifth of what is usual.
    landing(toy_settings, day5=rows.iloc[270:])
    assert ingest.run_ingest(toy_settings, "toy", JULY + DAY)["loaded"]["facts"] == 30
    landing(toy_settings, day6=rows.iloc[:10])
    with pytest.raises(ValidationFailed, match="10 rows came, of usually 60"):
        ingest.run_ingest(toy_settings, "toy", JULY + 2 * DAY)


def test_what_a_database_had_at_first_is_not_what_it_brings_a_day(
    toy_settings: Settings, toy_use_case: UseCase, toy_source: Source
) -> None:
    database = get_engine(toy_settings)
    rows = toy_source(120).astype(object).where(lambda frame: frame.notna(), None)
    with database.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE upstream (client_id INT, month DATE, age INT, visits INT, spend DOUBLE,"
            " segment VARCHAR(9), mood VARCHAR(9), leaves VARCHAR(9), recorded DATETIME)"
        )
        arrived = [(JULY + (-9 if n < 100 else n % 3 + 2) * DAY).replace(tzinfo=None) for n in range(120)]
        connection.exec_driver_sql(
            f"INSERT INTO upstream VALUES ({', '.join(['%s'] * 9)})",
            [(*row, at) for row, at in zip(rows.itertuples(index=False, name=None), arrived, strict=True)],
        )
    query = "SELECT * FROM upstream WHERE recorded > :start AND recorded <= :end"
    reached = {"unix_socket": database.url.query["unix_socket"]}
    url = database.url.set(query=reached).render_as_string(hide_password=False)
    usual = 'event_time="month", contract=Contract(row_count=RowCount(least=0.4, severity="error")),'
    declare(toy_settings, event_time=usual, source=f"SqlSource({url!r}, {query!r})")
    toy_settings.sources.clear()
    assert ingest.run_ingest(toy_settings, "toy", JULY)["loaded"]["facts"] == 100
    assert compute_usual_rows(database, toy_use_case, "facts") is None
    assert ingest.run_ingest(toy_settings, "toy", JULY + 3 * DAY)["rows_in"] == 2 * 13
    assert compute_usual_rows(database, toy_use_case, "facts") == 13
    # A feature that is new to the store stands in all older rows of the database, for those who ask.
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE upstream SET age = age + 1, recorded = recorded")
    assert ingest.run_ingest(toy_settings, "toy", JULY + 9 * DAY)["rows_in"] == 2 * 14  # a day over
    forced = ingest.run_ingest(toy_settings, "toy", JULY + 9 * DAY, force=True)
    assert (forced["rows_in"], forced["loaded"]) == (240, {"facts": 120, "label": 7})
    assert compute_usual_rows(database, toy_use_case, "facts") == 13


def test_row_numbers_of_several_files_are_refused(toy_settings: Settings, toy_source: Source) -> None:
    declare(toy_settings, key='Key("row_no", "int", "Its row.", column="#")')
    landing(toy_settings, first=toy_source(6))
    assert ingest.run_ingest(toy_settings, "toy", JULY)["loaded"]["facts"] == 6
    # Number 1 of the second file would take the place of number 1 of the first.
    landing(toy_settings, second=toy_source(6, seed=2))
    with pytest.raises(SourceError, match="row numbers, but reads 2 files") as raised:
        ingest.run_ingest(toy_settings, "toy", JULY + DAY)
    assert "first.csv" in str(raised.value)


def test_an_emptied_online_table_comes_back_whole(
    toy_settings: Settings, toy_use_case: UseCase, csv: Path
) -> None:
    database = get_engine(toy_settings)
    ingest.run_ingest(toy_settings, "toy", JULY)
    before = content(database, toy_use_case)
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM toy__facts__online")
    pd.read_csv(csv).iloc[:6].to_csv(csv, index=False)
    assert ingest.run_ingest(toy_settings, "toy", JULY + DAY)["rows_loaded"] == 0
    assert content(database, toy_use_case) == before


def test_a_fault_of_any_kind_is_on_record(
    toy_settings: Settings, toy_use_case: UseCase, csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise sa.exc.DataError("INSERT", {}, Exception("no room in column x"))

    with monkeypatch.context() as patch:
        patch.setattr("evergreen.ingest.loading.load.load_rows", fail)
        with pytest.raises(sa.exc.DataError):
            ingest.run_ingest(toy_settings, "toy", JULY)
    [run] = list_ingests(get_engine(toy_settings), toy_use_case)
    assert (run.status, "no room in column x" in run.report["error"]) == ("failed", True)


def test_files_are_replaced_by_part(two_files: Settings, tmp_path: Path) -> None:
    facts, labels = two_files.home.parent / "toy.csv", two_files.home.parent / "labels.csv"
    moved = tmp_path / "moved=1.csv"
    labels.rename(moved)
    told = ingest.run_ingest(two_files, "toy", JULY, source=f"label={moved}")
    assert told["loaded"] == {"facts": 60, "label": 60}
    other = facts.rename(tmp_path / "other.csv")
    both = f"facts={other},label={moved}"
    setting = two_files.model_copy(update={"sources": {"toy": both}})
    assert ingest.run_ingest(setting, "toy", JULY + DAY)["rows_in"] == 60  # the labels are known
    with pytest.raises(SourceError, match="names the part 'fact'") as raised:
        ingest.run_ingest(two_files, "toy", JULY, source=f"fact={other}")
    assert "facts, label" in raised.value.hint


def test_runs_are_listed_with_what_they_were_made_by(
    toy_settings: Settings, toy_use_case: UseCase, csv: Path
) -> None:
    database = get_engine(toy_settings)
    for day in range(3):
        ingest.run_ingest(toy_settings, "toy", JULY + day * DAY)
    listed = list_ingests(database, toy_use_case, limit=2)
    assert [run.as_of for run in listed] == [JULY + 2 * DAY, JULY + DAY]
    first = list_ingests(database, toy_use_case)[-1]
    assert first.inputs is not None
    [entry] = first.inputs["facts"]
    assert (entry["name"], entry["size"], entry["rows"]) == (str(csv), csv.stat().st_size, 60)
    assert len(entry["digest"]) == 64
    assert first.seconds is not None
    assert first.code_version is not None
    assert first.code_version.startswith("0.")
    assert len(first.declaration or "") == 64
    assert find_last_load(database, toy_use_case, JULY) == first
    assert find_last_load(database, toy_use_case, APRIL) is None
    assert find_ingest(database, "nobody") is None
    # The digest is of the rows, in whatever order the file has them.
    pd.read_csv(csv, dtype=str).iloc[::-1].to_csv(csv, index=False)
    turned = ingest.run_ingest(toy_settings, "toy", JULY + 3 * DAY)
    assert turned["rows_loaded"] == 0
    assert get_ingest(database, turned["ingest_run"]).digest == first.digest
    with database.connect() as connection:
        assert connection.execute(sa.text("SELECT COUNT(*) FROM ingest_batch")).scalar() == 0
