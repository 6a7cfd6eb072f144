"""What of a query is bound, and what of an interval's edge is read twice."""

from __future__ import annotations

import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evergreen.errors import SourceUnreadable
from evergreen.settings import Settings
from evergreen.sources.sql import OVERLAP, read_sql
from evergreen.usecase import SqlSource

START = datetime(2026, 1, 5, tzinfo=UTC)
END = START + timedelta(days=1)


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delitem(sys.modules, "airflow", raising=False)
    path = tmp_path / "bank.db"
    database = sqlite3.connect(path)
    with database:
        database.execute("CREATE TABLE fact (id INTEGER, recorded TEXT)")
        rows = [(1, START - OVERLAP), (2, START - OVERLAP / 2), (3, END)]
        database.executemany(
            "INSERT INTO fact VALUES (?, ?)", [(n, f"{moment:%Y-%m-%d %H:%M:%S.%f}") for n, moment in rows]
        )
    database.close()
    monkeypatch.setenv("AIRFLOW_CONN_BANK", f"sqlite:///{path}")
    return Settings(home=tmp_path)


def ids(settings: Settings, query: str) -> list[int]:
    frame = read_sql(SqlSource("bank", query), settings, start=START, end=END)
    return [int(number) for number in frame["id"]]


def test_a_row_stamped_before_the_interval_but_committed_in_it_is_read(bank: Settings) -> None:
    query = "SELECT id FROM fact WHERE recorded > :start AND recorded <= :end ORDER BY id"
    assert ids(bank, query) == [2, 3]


def test_a_word_that_begins_like_a_bound_is_none(bank: Settings) -> None:
    query = "SELECT id FROM fact WHERE recorded <= :end AND '12:start' <> '' ORDER BY id"
    assert ids(bank, query) == [1, 2, 3]


def test_a_bound_that_nobody_gives_is_the_declarations_fault(bank: Settings) -> None:
    with pytest.raises(SourceUnreadable, match="started") as raised:
        ids(bank, "SELECT id FROM fact WHERE recorded > :started")
    assert ":start and :end" in raised.value.hint
