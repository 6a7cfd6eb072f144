"""What MariaDB refuses is told by table and column, with a next step, and never with a row's value."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from evergreen.errors import SchemaMismatch, StoreError, StoreRefused, StoreUnreachable
from evergreen.store.connection.arrow import _translate_read_error
from evergreen.store.connection.faults import find_table_name, find_use_case_name, translate_error

URL = sa.make_url("mysql://evergreen@127.0.0.1:3307/evergreen")
SELECT = "SELECT `client_id`, `age` FROM `toy__facts` FOR SYSTEM_TIME AS OF TIMESTAMP '2026-01-01' ORDER BY 1"


def test_what_connectorx_says_of_a_missing_column_becomes_words() -> None:
    raw = "MySqlError { ERROR 1054 (42S22): Unknown column 'age' in 'SELECT' }"
    error = _translate_read_error(URL, raw, SELECT)
    assert isinstance(error, SchemaMismatch)
    assert error.message == "table toy__facts lacks the column age, which is declared"
    assert "evergreen features diff toy" in error.hint
    assert "evergreen apply toy" in error.hint


def test_a_column_of_the_platforms_own_tables_is_no_matter_of_a_declaration() -> None:
    error = translate_error(
        1054, "Unknown column 'ingest_run.seconds' in 'SELECT'", "SELECT 1 FROM ingest_run"
    )
    assert error is not None
    assert error.message == "table ingest_run of the platform lacks the column seconds"
    assert "features diff" not in error.hint


def test_a_missing_table_names_the_ingest_that_makes_it() -> None:
    raw = "MySqlError { ERROR 1146 (42S02): Table 'evergreen.toy__facts' doesn't exist }"
    error = _translate_read_error(URL, raw, SELECT)
    assert (error.message, error.hint) == (
        "table toy__facts is not there",
        "ingest first, which makes it: evergreen run ingest toy",
    )


def test_a_reader_that_is_cut_off_is_unreachable_and_any_other_error_shows_no_value() -> None:
    assert isinstance(_translate_read_error(URL, "Connection reset by peer", SELECT), StoreUnreachable)
    error = _translate_read_error(
        URL, "MySqlError { ERROR 1292 (22007): Incorrect value: 'Ada, 1815' }", SELECT
    )
    assert type(error) is StoreError
    assert error.message == "MariaDB could not read the rows of toy__facts: error 1292"


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (1054, SchemaMismatch, "table toy__prediction lacks the column age"),
        (1142, StoreRefused, "user may not do what is to be done with table toy__prediction"),
        (1205, StoreRefused, "in use by another session"),
        (1213, StoreRefused, "in use by another session"),
        (1114, StoreRefused, "no room on its disk"),
        (1153, StoreRefused, "larger than MariaDB takes"),
        (1290, StoreRefused, "read-only"),
        (1969, StoreRefused, "ended the statement"),
    ],
)
def test_refusals_that_people_can_mend_have_a_next_step(code: int, kind: type[StoreError], says: str) -> None:
    said = "Unknown column 'age' in 'INSERT INTO'" if code == 1054 else "of 'Ada, 1815'"
    error = translate_error(code, said, "INSERT INTO toy__prediction (age) VALUES (%s)")
    assert type(error) is kind
    assert says in error.message
    assert error.hint
    assert "Ada" not in str(error)


@pytest.mark.parametrize("code", [1062, 1146, 1264, 1406, 0])
def test_what_callers_look_at_themselves_stays_the_drivers(code: int) -> None:
    assert translate_error(code, "", "SELECT 1") is None


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        (SELECT, "toy__facts"),
        ("INSERT INTO `evergreen_ledger`.`promotion` VALUES (1)", "promotion"),
        ("UPDATE ingest_run SET a = 1", "ingest_run"),
        ("SET STATEMENT lock_wait_timeout = 1 FOR ALTER TABLE `toy__label` ADD COLUMN a INT", "toy__label"),
        ("SELECT GET_LOCK(%s, 1)", ""),
        (None, ""),
    ],
)
def test_the_table_of_a_statement(statement: str | None, table: str) -> None:
    assert find_table_name(statement) == table


def test_the_use_case_of_a_table() -> None:
    assert find_use_case_name("credit_score__accounts__online") == "credit_score"
    assert find_use_case_name("ingest_run") == "USE_CASE"
