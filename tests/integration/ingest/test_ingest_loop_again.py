"""The verb ingest a second time: the same report, tables made anew, refused moments and files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.errors import SettingsError, SourceError, StoreError, ValidationFailed
from evergreen.loop import ingest
from evergreen.settings import Settings
from evergreen.store.connection.database import build_database_url, get_engine

Source = Callable[..., pd.DataFrame]
APRIL, JULY = datetime(2026, 4, 3, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
AUGUST = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.fixture
def csv(toy_settings: Settings, toy_source: Source) -> Path:
    path = Path(toy_settings.sources["toy"])
    toy_source(30).to_csv(path, index=False)
    return path


@pytest.fixture
def shop(toy_settings: Settings, toy_source: Source, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The toy reads its rows from a table, each recorded on the day of its month."""
    declaration = Path(toy_settings.use_cases) / "toy" / "__init__.py"
    query = "SELECT * FROM source_fact WHERE recorded_at > :start AND recorded_at <= :end"
    text = declaration.read_text().replace('FileSource("toy.csv")', f'SqlSource("shop", "{query}")')
    declaration.write_text(text.replace("    FileSource,", "    SqlSource,"))
    monkeypatch.setenv(
        "AIRFLOW_CONN_SHOP",
        build_database_url(toy_settings.model_copy(update={"mariadb_socket": None}))
        .set(drivername="mysql", query={})
        .render_as_string(hide_password=False),
    )
    rows = toy_source(30)
    rows.assign(recorded_at=pd.to_datetime(rows["month"])).to_sql(
        "source_fact", get_engine(toy_settings), index=False
    )
    return toy_settings


def test_a_second_attempt_tells_the_same_report(toy_settings: Settings, csv: Path) -> None:
    frame = pd.read_csv(csv, dtype=str)
    frame.loc[3, "age"] = "old"
    frame.to_csv(csv, index=False)
    run = ingest.extract_source_rows(toy_settings, "toy", JULY)["ingest_run"]
    told = []
    for _ in range(2):
        with pytest.raises(ValidationFailed, match="is not a number") as raised:
            ingest.validate_staged_rows(toy_settings, run)
        told.append(str(raised.value))
    assert told[0] == told[1]


def test_a_failed_extract_leaves_nothing_to_validate(toy_settings: Settings, csv: Path) -> None:
    csv.write_bytes(b"")
    with pytest.raises(SourceError):
        ingest.extract_source_rows(toy_settings, "toy", JULY)
    with get_engine(toy_settings).connect() as connection:
        run = connection.execute(sa.text("SELECT id FROM ingest_run")).scalar_one()
    with pytest.raises(StoreError, match="no staged rows"):
        ingest.validate_staged_rows(toy_settings, run)


def test_a_table_made_again_gets_its_whole_source(shop: Settings) -> None:
    assert ingest.run_ingest(shop, "toy", APRIL)["loaded"] == {"facts": 20, "label": 20}
    assert ingest.run_ingest(shop, "toy", JULY)["loaded"] == {"facts": 10, "label": 10}
    with get_engine(shop).begin() as connection:
        connection.exec_driver_sql("RENAME TABLE toy__facts TO old_facts")
    extracted = ingest.extract_source_rows(shop, "toy", AUGUST)
    assert extracted["rows"] == {"facts": 30, "label": 0}
    ingest.validate_staged_rows(shop, extracted["ingest_run"])
    assert ingest.load_clean_rows(shop, extracted["ingest_run"])["loaded"] == {"facts": 30, "label": 0}
    # The same moment again reads the same rows.
    assert ingest.run_ingest(shop, "toy", AUGUST)["loaded"] == {"facts": 30, "label": 0}


def test_the_future_is_refused(toy_settings: Settings, csv: Path) -> None:
    with pytest.raises(SettingsError, match="in the future"):
        ingest.run_ingest(toy_settings, "toy", datetime(2062, 1, 1, tzinfo=UTC))


def test_one_file_cannot_replace_two(toy_settings: Settings, csv: Path) -> None:
    declaration = Path(toy_settings.use_cases) / "toy" / "__init__.py"
    text = declaration.read_text()
    head, label = text.split("label=Label(")
    declaration.write_text(head + "label=Label(" + label.replace("SOURCE,", 'FileSource("labels.csv"),', 1))
    for source in (str(csv), ""):  # with the fixture's EVERGREEN_SOURCES
        with pytest.raises(SourceError, match=r"cannot take the place of the 2 files of toy \(labels\.csv"):
            ingest.run_ingest(toy_settings, "toy", JULY, source=source)
    rows = pd.read_csv(csv)
    rows.drop(columns="leaves").to_csv(toy_settings.home.parent / "toy.csv", index=False)
    rows[["client_id", "month", "leaves"]].to_csv(toy_settings.home.parent / "labels.csv", index=False)
    declared = toy_settings.model_copy(update={"sources": {}})
    assert ingest.run_ingest(declared, "toy", JULY)["loaded"] == {"facts": 30, "label": 30}
