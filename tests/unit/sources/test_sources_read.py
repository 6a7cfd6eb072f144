"""Which source is read, and what a database that fails looks like."""

from __future__ import annotations

import sqlite3
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from evergreen.errors import SourceError, SourceUnreachable, SourceUnreadable
from evergreen.settings import Settings
from evergreen.sources.read import read_source
from evergreen.sources.sql import OVERLAP
from evergreen.usecase import FileSource, SqlSource

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
QUERY = "SELECT id, amount FROM fact WHERE recorded > :start AND recorded <= :end ORDER BY id"


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delitem(sys.modules, "airflow", raising=False)
    path = tmp_path / "bank.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE fact (id INTEGER, amount REAL, recorded TEXT)")
        database.executemany(
            "INSERT INTO fact VALUES (?, ?, ?)",
            [
                (1, 1.0, "2026-01-01 00:00:00.000000"),
                (2, 2.0, "2026-01-01 00:00:00.000001"),
                (3, None, "2026-01-03 00:00:00.000000"),
                (4, 4.0, "2026-01-03 00:00:00.000001"),
            ],
        )
    database.close()
    monkeypatch.setenv("AIRFLOW_CONN_BANK", f"sqlite:///{path}")
    return Settings(home=tmp_path)


def test_the_interval_excludes_its_start_and_includes_its_end(bank: Settings) -> None:
    frame = read_source(SqlSource("bank", QUERY), bank, "toy", start=START + OVERLAP, end=END)
    assert frame["id"].tolist() == [2, 3]


def test_bounds_in_another_zone_mean_the_same_moment(bank: Settings) -> None:
    zone = timezone(timedelta(hours=5))
    start, end = (START + OVERLAP).astimezone(zone), END.astimezone(zone)
    frame = read_source(SqlSource("bank", QUERY), bank, "toy", start=start, end=end)
    assert frame["id"].tolist() == [2, 3]


def test_no_new_rows_keep_the_columns(bank: Settings) -> None:
    frame = read_source(
        SqlSource("bank", QUERY), bank, "toy", start=END + timedelta(days=9), end=END + timedelta(days=10)
    )
    assert (list(frame.columns), len(frame)) == (["id", "amount"], 0)


def test_a_wrong_query_is_the_declarations_fault(bank: Settings) -> None:
    with pytest.raises(SourceUnreadable, match="no such column") as raised:
        read_source(SqlSource("bank", "SELECT wrong FROM fact"), bank, "toy", start=START, end=END)
    assert "declaration" in raised.value.hint


def test_an_unreachable_database_hides_the_password(bank: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BANK", "mysql://u:SECRET@127.0.0.1:1/bank")
    with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1:1/bank") as raised:
        read_source(SqlSource("bank", QUERY), bank, "toy", start=START, end=END)
    assert "SECRET" not in str(raised.value)


def test_a_file_cannot_take_a_databases_place(bank: Settings) -> None:
    with pytest.raises(SourceError, match="cannot take its place"):
        read_source(SqlSource("bank", QUERY), bank, "toy", start=START, end=END, override="rows.csv")


def test_the_override_wins_over_the_setting_and_that_over_the_declaration(tmp_path: Path) -> None:
    for name in ("declared", "set", "given"):
        (tmp_path / f"{name}.csv").write_text(f"a\n{name}\n")
    source = FileSource(str(tmp_path / "declared.csv"))
    setting = Settings(home=tmp_path, sources={"toy": str(tmp_path / "set.csv")})
    override = str(tmp_path / "given.csv")

    def value(settings: Settings, **options: str) -> str:
        return str(read_source(source, settings, "toy", start=START, end=END, **options)["a"][0])

    assert value(Settings(home=tmp_path, sources={})) == "declared"
    assert value(setting) == "set"
    assert value(setting, override=override) == "given"


def test_a_declared_relative_path_starts_beside_the_home_wherever_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    settings = Settings(home=tmp_path / ".evergreen")
    rows = read_source(FileSource("rows.csv"), settings, "toy", start=START, end=END)
    assert rows["a"].tolist() == ["1"]
