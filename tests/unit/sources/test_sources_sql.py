"""What of a query is bound, what of an interval's edge is read twice, and which types values get."""

from __future__ import annotations

import math
import sqlite3
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evergreen.errors import SettingsError, SourceError, SourceUnreadable
from evergreen.settings import Settings
from evergreen.sources import read as read_module
from evergreen.sources.read import open_source, read_source
from evergreen.sources.sql import OVERLAP, build_column
from evergreen.usecase import SqlSource
from support.drivers import hide_mysqlclient

START = datetime(2026, 1, 5, tzinfo=UTC)
END = START + timedelta(days=1)
NAIVE = datetime(2026, 1, 5, 2, 3, 4, 5, tzinfo=UTC).replace(tzinfo=None)


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
    frame = read_source(SqlSource("bank", query), settings, "toy", start=START, end=END)
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


def test_the_one_input_of_a_query_is_its_database_and_nothing_is_asked_yet(bank: Settings) -> None:
    (given,) = open_source(SqlSource("bank", "SELECT wrong"), bank, "toy", start=START, end=END)
    assert given.name.startswith("sqlite:///")
    assert (given.digest, given.size) == ("", None)
    with pytest.raises(SourceUnreadable, match="no such column"):
        list(given.batches())


def test_a_url_takes_a_connections_place_and_its_password_is_never_shown(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("CREATE TABLE t AS SELECT 7 AS id")
    database.close()
    url = f"sqlite:///{tmp_path / 'other.db'}"
    frame = read_source(SqlSource(url, "SELECT id FROM t"), settings, "toy", start=START, end=END)
    assert frame["id"].tolist() == [7]
    secret = "mysql://me:SECRET@db.example/bank?ssl_key=SECRET"
    (given,) = open_source(SqlSource(secret, "SELECT 1"), settings, "toy", start=START, end=END)
    assert given.name == "mysql://me:***@db.example/bank"
    with pytest.raises(SourceError) as raised:
        open_source(SqlSource(secret, "SELECT 1"), settings, "toy", start=START, end=END, override="x.csv")
    assert "SECRET" not in str(raised.value)
    for wrong in ("mysql://me:SECRET@h:no-port/d", "carrier://me:SECRET@h/d"):
        with pytest.raises(SettingsError) as raised:
            read_source(SqlSource(wrong, "SELECT 1"), settings, "toy", start=START, end=END)
        assert "SECRET" not in str(raised.value)


def test_a_driver_that_is_named_and_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_mysqlclient(monkeypatch)
    source = SqlSource("mysql+mysqldb://me:SECRET@h/d", "SELECT 1")
    with pytest.raises(SettingsError, match="needs the Python package MySQLdb") as raised:
        read_source(source, Settings(home=tmp_path), "toy", start=START, end=END)
    assert "mysql+pymysql://" in raised.value.hint


def test_a_column_named_twice_is_the_querys_fault(bank: Settings) -> None:
    with pytest.raises(SourceUnreadable, match="'id' more than once") as raised:
        ids(bank, "SELECT id, recorded AS id FROM fact")
    assert "AS" in raised.value.hint


def test_a_statement_that_returns_nothing_is_the_declarations_fault(bank: Settings) -> None:
    with pytest.raises(SourceUnreadable, match="no rows at all"):
        ids(bank, "CREATE TEMP TABLE t (id INTEGER)")


def test_rows_are_streamed_and_each_batch_has_the_types_of_its_values(
    bank: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_module, "BATCH_ROWS", 2)
    query = "SELECT 1 AS v UNION ALL SELECT NULL UNION ALL SELECT 2.5 UNION ALL SELECT 'x' UNION ALL SELECT 3"
    (given,) = open_source(SqlSource("bank", query), bank, "toy", start=START, end=END)
    batches = list(given.batches(numbered=True))
    assert [batch.column("v").to_pylist() for batch in batches] == [[1, None], ["2.5", "x"], [3]]
    assert [batch.column("#").to_pylist() for batch in batches] == [[1, 2], [3, 4], [5]]
    frame = read_source(SqlSource("bank", query), bank, "toy", start=START, end=END)
    assert frame["v"].tolist()[2:] == ["2.5", "x", 3]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None, 2**62 + 1], "int64", None),
        ([1, 2.5, None], "double", None),
        ([Decimal("12"), None, Decimal(2**53 + 1)], "int64", [12, None, 2**53 + 1]),
        ([Decimal("1.5"), None], "double", [1.5, None]),
        ([Decimal("1.5"), 2, 0.25], "double", [1.5, 2.0, 0.25]),
        ([Decimal(10) ** 30], "double", [1e30]),
        ([2**63], "double", [2.0**63]),
        ([1, "x", None], "string", ["1", "x", None]),
        ([{"a": [1, None]}, None], "string", ['{"a": [1, null]}', None]),
        ([True, 5], "string", ["True", "5"]),
        ([date(2026, 1, 1), None], "date32[day]", None),
        ([NAIVE, None], "timestamp[us]", None),
        ([NAIVE, "soon"], "string", ["2026-01-05 02:03:04.000005", "soon"]),
        ([None, None], "null", None),
        (["😀", ""], "string", None),
        ([b"\xff", b"a"], "binary", None),
    ],
)
def test_values_keep_their_kind_or_become_text(
    values: list[Any], kind: str, expected: list[Any] | None
) -> None:
    made = build_column(values)
    assert str(made.type) == kind
    assert made.to_pylist() == (values if expected is None else expected)


def test_what_is_no_number_stays_one() -> None:
    made = build_column([1.0, math.nan, Decimal("NaN"), None])
    assert str(made.type) == "double"
    assert [value is None or math.isnan(value) for value in made.to_pylist()[1:]] == [True] * 3
