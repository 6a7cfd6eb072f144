"""People's values in the store: texts that collations take for others stay what they are, and no error or log
tells a value."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.ingest.loading.bulk import load_rows, write_rows
from evergreen.usecase import UseCase

MARK = "m4rk-of-a-person"
# Each pair, and most of these and the empty text, are equal under some collation.
TEXTS = [
    None,
    "x",
    " ",
    "  ",
    "\u200b",
    "\u200b\u200d",
    "a",
    "A",
    "a ",
    "\u00e1",
    "a\u200b",
    "\u00ad",
    "\ufeff",
]


@pytest.mark.parametrize(
    "collation", ["utf8mb4_unicode_520_ci", "utf8mb4_general_ci", "utf8mb4_unicode_nopad_ci"]
)
def test_texts_that_a_collation_takes_for_empty_or_for_each_other_are_kept(
    database: sa.Engine, tmp_path: Path, collation: str
) -> None:
    """Under whatever collation the database, the session and its variables have."""
    name = database.url.database
    table = pa.table({"n": list(range(len(TEXTS))), "t": pa.array(TEXTS, pa.string())})
    with database.begin() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE `{name}` COLLATE {collation}")
        connection.exec_driver_sql(f"SET collation_connection = {collation}, collation_server = {collation}")
        if connection.exec_driver_sql("SHOW VARIABLES LIKE 'character_set_collations'").first():
            connection.exec_driver_sql(f"SET character_set_collations = 'utf8mb4={collation}'")
        connection.exec_driver_sql(
            "CREATE TABLE kept (n INT, t VARCHAR(20), PRIMARY KEY (n), UNIQUE (t))"
            " DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin"
        )
        load_rows(connection, "kept", write_rows(table, tmp_path / "rows"))
        found = connection.exec_driver_sql("SELECT t FROM kept ORDER BY n").scalars().all()
        assert found == TEXTS


def test_without_a_byte_a_text_is_missing_whatever_the_collation_of_variables(
    database: sa.Engine, tmp_path: Path
) -> None:
    table = pa.table({"t": pa.array(["", None, "\u200b"], pa.string())})
    with database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (t VARCHAR(20)) COLLATE=utf8mb4_unicode_520_ci")
        load_rows(connection, "kept", write_rows(table, tmp_path / "rows"))
        found = connection.exec_driver_sql("SELECT COUNT(*) FROM kept WHERE t IS NULL").scalar()
    assert found == 2


def test_no_error_of_the_database_tells_a_value(
    database: sa.Engine, toy_use_case: UseCase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not its message, not what it was caused by, not what SQLAlchemy adds, and not what is logged of it."""
    with database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (t VARCHAR(40) PRIMARY KEY, n INT, d DATETIME)")
    kept = sa.table("kept", sa.column("t"), sa.column("n"), sa.column("d"))
    row = {"t": MARK, "n": 1, "d": datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)}
    attempts: dict[str, Callable[[sa.Connection], object]] = {
        "Duplicate entry": lambda c: c.execute(kept.insert(), [row, row]),
        "Incorrect integer value": lambda c: c.execute(kept.insert(), {**row, "n": MARK}),
        "Incorrect datetime value": lambda c: c.execute(kept.insert(), {**row, "d": MARK}),
        "Data too long": lambda c: c.execute(kept.insert(), {**row, "t": MARK * 9}),
        "Unknown column": lambda c: c.execute(sa.insert(sa.table("kept", sa.column("lost"))), {"lost": MARK}),
        "incorrect DOUBLE value": lambda c: c.execute(
            sa.text("UPDATE kept SET n = CAST(:mark AS DOUBLE) + n"), {"mark": MARK}
        ),
        "does not take the rows": lambda c: load_rows(
            c, "kept", write_rows(pa.table({"t": ["x"], "n": [MARK]}), tmp_path / "rows")
        ),
    }
    with database.begin() as connection:
        connection.execute(kept.insert(), {**row, "t": "other"})
    caplog.set_level(logging.INFO)
    for said, attempt in attempts.items():
        with pytest.raises((sa.exc.DBAPIError, StoreError)) as caught, database.begin() as connection:
            attempt(connection)
        told = "".join(traceback.format_exception(caught.value))
        logging.getLogger("evergreen").error("it failed: %s", caught.value, exc_info=caught.value)
        assert said in told
        assert MARK not in told
        assert MARK not in repr(caught.value)
    assert MARK not in caplog.text
