"""What a database is asked for: its interval, what was held back, and all of it after a change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from evergreen.errors import SourceError
from evergreen.loop import ingest
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.online.vectors import read_online_features
from evergreen.usecases import load_use_case

JULY = datetime(2026, 7, 1, tzinfo=UTC)
DAY = timedelta(days=1)
_QUERY = "SELECT * FROM upstream WHERE recorded > :start AND recorded <= :end"


@pytest.fixture
def upstream(toy_settings: Settings) -> sa.Engine:
    """The toy's source is a table of this test's database, which is empty."""
    database = get_engine(toy_settings)
    with database.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE upstream (client_id INT, month DATE, age INT, visits INT, spend DOUBLE,"
            " segment VARCHAR(9), mood VARCHAR(9), leaves VARCHAR(9), height INT, recorded DATETIME)"
        )
    reached = {"unix_socket": database.url.query["unix_socket"]}
    url = database.url.set(query=reached).render_as_string(hide_password=False)
    _declare(toy_settings, 'FileSource("toy.csv")', f"SqlSource({url!r}, {_QUERY!r})")
    _declare(toy_settings, "    FileSource,", "    SqlSource,")
    toy_settings.sources.clear()
    return database


def _declare(settings: Settings, old: str, new: str) -> None:
    declaration = Path(settings.use_cases) / "toy" / "__init__.py"
    text = declaration.read_text()
    assert old in text
    declaration.write_text(text.replace(old, new, 1))


def _record(database: sa.Engine, client: int, month: str, age: int, recorded: datetime) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO upstream VALUES (%s, %s, %s, 1, 5, 'web', 'fine', 'no', 180, %s)",
            (client, month, age, recorded.replace(tzinfo=None)),
        )


def _age(settings: Settings, client: int = 1) -> float | None:
    found = read_online_features(get_engine(settings), load_use_case("toy", settings), [(client,)])
    return found[(client,)]["age"] if found else None


def test_nobody_is_served_what_is_not_true_yet(toy_settings: Settings, upstream: sa.Engine) -> None:
    _record(upstream, 1, "2026-06-01", 30, JULY - 20 * DAY)
    _record(upstream, 1, "2026-07-15", 99, JULY - 10 * DAY)
    first = ingest.run_ingest(toy_settings, "toy", JULY)
    assert (first["loaded"]["facts"], first["held_back"], _age(toy_settings)) == (1, 1, 30)
    # Recorded long before the interval that begins now, and still not true.
    _record(upstream, 2, "2026-07-02", 50, JULY + 2 * DAY)
    second = ingest.run_ingest(toy_settings, "toy", JULY + 9 * DAY)
    assert (second["loaded"]["facts"], second["held_back"], _age(toy_settings)) == (1, 1, 30)
    third = ingest.run_ingest(toy_settings, "toy", JULY + 20 * DAY)
    assert (third["loaded"]["facts"], third["held_back"], _age(toy_settings)) == (1, 0, 99)
    assert _age(toy_settings, 2) == 50
    # Nothing is owed any more: the interval is an interval again.
    assert ingest.run_ingest(toy_settings, "toy", JULY + 30 * DAY)["rows_in"] == 0
    again = ingest.run_ingest(toy_settings, "toy", JULY + 20 * DAY)
    assert (again["rows_in"], again["loaded"]["facts"]) == (third["rows_in"], 1)


def test_a_changed_declaration_reads_the_older_rows_again(
    toy_settings: Settings, upstream: sa.Engine
) -> None:
    _record(upstream, 1, "2026-06-01", 30, JULY - 20 * DAY)
    ingest.run_ingest(toy_settings, "toy", JULY)
    assert ingest.run_ingest(toy_settings, "toy", JULY + 2 * DAY)["rows_in"] == 0
    height = '                Feature("height", "int", "In centimetres", max_null_share=1.0),\n'
    first = '                Feature("age", "int"'
    _declare(toy_settings, first, height + first)
    _forget_module()
    assert ingest.run_ingest(toy_settings, "toy", JULY + 3 * DAY)["loaded"]["facts"] == 1
    found = read_online_features(get_engine(toy_settings), load_use_case("toy", toy_settings), [(1,)])
    assert found[(1,)]["height"] == 180
    assert ingest.run_ingest(toy_settings, "toy", JULY + 5 * DAY)["rows_in"] == 0


def _forget_module() -> None:
    import sys

    sys.modules.pop("evergreen_usecases_toy", None)


def test_rows_that_nobody_goes_on_with_are_forgotten_after_a_week(
    toy_settings: Settings, upstream: sa.Engine
) -> None:
    _record(upstream, 1, "2026-06-01", 30, JULY - 20 * DAY)
    left = ingest.extract_source_rows(toy_settings, "toy", JULY)["ingest_run"]

    def staged() -> set[str]:
        with upstream.connect() as connection:
            return set(connection.execute(sa.text("SELECT ingest_run_id FROM ingest_batch")).scalars())

    next_one = ingest.extract_source_rows(toy_settings, "toy", JULY + DAY)["ingest_run"]
    assert staged() == {left, next_one}
    with upstream.begin() as connection:
        connection.execute(
            sa.text("UPDATE ingest_run SET started_at = started_at - INTERVAL 8 DAY WHERE id = :id"),
            {"id": left},
        )
    last = ingest.extract_source_rows(toy_settings, "toy", JULY + 2 * DAY)["ingest_run"]
    assert staged() == {next_one, last}


def test_a_source_too_long_to_be_recorded_is_refused(toy_settings: Settings) -> None:
    with pytest.raises(SourceError, match="1,500 characters"):
        ingest.run_ingest(toy_settings, "toy", JULY, "x" * 1500)
