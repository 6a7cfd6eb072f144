"""LOAD DATA into the prediction log gives the rows that INSERT gives; real MariaDB."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evergreen.errors import SchemaMismatch, StoreError
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions import load
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.load import load_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.usecase import UseCase
from support.toy_schema import LOG, rows

NOON = int(datetime(2026, 6, 10, 12, tzinfo=UTC).timestamp() * 1000)

WORDS = st.sampled_from(
    (
        "",
        "NULL",
        "null",
        ",null,",
        r"\N",
        r"\u0001",
        "\x01",
        "\f",
        r"\f",
        "]\n[",
        "\\",
        '"',
        "a,b",
        "tab\tbed",
        "two\nlines",
        "\r\n",
        "\0",
        "\x1a",
        " ends ",
        "'",
        "😀",
    )
)
WORDS |= st.text(st.characters(codec="utf-8"), max_size=60)
TEXTS = st.none() | WORDS
NUMBERS = st.none() | st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=False)
WHOLE = st.none() | st.integers(-(2**63), 2**63 - 1)
ROWS = st.lists(
    st.builds(
        lambda noise, **fields: PredictionRow(make_id(noise), **fields),
        st.integers(0, 2**62 - 1),
        model_version=st.integers(0, 2**31 - 1),
        channel=st.sampled_from(("online", "batch", "probe")),
        inputs=st.fixed_dictionaries(
            {"client_id": WHOLE, "age": WHOLE, "spend": NUMBERS, "segment": TEXTS, "mood": TEXTS}
        ),
        prediction=WORDS,
        probability=NUMBERS,
        probabilities=st.none() | st.dictionaries(st.text(max_size=5), st.floats(0, 1), max_size=3),
        on_demand=st.just({}) | st.fixed_dictionaries({"spend_per_visit": NUMBERS}),
    ),
    min_size=1,
    max_size=20,
)


def make_id(noise: int, at: int = NOON) -> str:
    """A UUIDv7 of that millisecond."""
    return str(uuid.UUID(int=(at << 80) | (0x7 << 76) | (0b10 << 62) | noise))


def row(noise: int, **changes: Any) -> PredictionRow:
    made = PredictionRow(make_id(noise), 1, "online", {"age": 30, "mood": "so, so"}, "yes", 0.75)
    return replace(made, **changes)


def read_log(database: sa.Engine) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Every row and MariaDB's own sum over them."""
    return rows(database, f"SELECT * FROM {LOG} ORDER BY prediction_id"), rows(
        database, f"CHECKSUM TABLE {LOG} EXTENDED"
    )


def empty_log(database: sa.Engine) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {LOG}")


@pytest.fixture
def no_insert(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that could not be loaded are not inserted instead."""

    def refuse(*_: Any) -> int:
        raise AssertionError("not loaded")

    monkeypatch.setattr(load, "insert_logged_rows", refuse)


@settings(max_examples=60)
@given(made=ROWS)
@example(made=[row(1, inputs={"age": 2**63 - 1, "spend": 1e308, "mood": 'He said "no\\n", \\N\n'})])
@pytest.mark.usefixtures("no_insert")
def test_what_is_loaded_is_what_is_inserted(
    database: sa.Engine, toy_use_case: UseCase, made: list[PredictionRow]
) -> None:
    empty_log(database)
    count = insert_predictions(database, toy_use_case, made)
    inserted = read_log(database)
    empty_log(database)
    assert load_predictions(database, toy_use_case, made) == count == len(inserted[0])
    assert read_log(database) == inserted
    assert load_predictions(database, toy_use_case, made) == 0


@pytest.mark.usefixtures("no_insert")
def test_rows_that_are_there_are_skipped(database: sa.Engine, toy_use_case: UseCase) -> None:
    assert load_predictions(database, toy_use_case, [row(1), row(2)]) == 2
    again = [row(n, prediction="no") for n in (1, 2, 3, 3)]
    assert load_predictions(database, toy_use_case, again) == 1
    predictions = rows(database, f"SELECT prediction FROM {LOG} ORDER BY prediction_id")
    assert predictions == [("yes",), ("yes",), ("no",)]


def test_more_duplicates_than_mariadb_tells_of_are_skipped_too(
    database: sa.Engine, toy_use_case: UseCase
) -> None:
    assert load_predictions(database, toy_use_case, [row(n) for n in range(200)]) == 200
    again = [row(n, prediction="no") for n in range(201)]
    assert load_predictions(database, toy_use_case, again) == 1
    assert rows(database, f"SELECT COUNT(*) FROM {LOG} WHERE prediction = 'yes'") == [(200,)]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"inputs": {"mood": "x" * 256}}, sa.exc.DataError),
        ({"inputs": {"age": 2**63}}, sa.exc.DataError),
        ({"inputs": {"age": "many"}}, sa.exc.DBAPIError),
        ({"prediction": None}, sa.exc.IntegrityError),
        ({"inputs": {"mood": "\ud800"}}, StoreError),
        ({"inputs": {"colour": "red"}}, StoreError),
        ({"channel": "somewhere"}, StoreError),
        ({"prediction_id": "1"}, StoreError),
    ],
)
def test_one_bad_row_keeps_all_out_with_the_error_of_an_insert(
    database: sa.Engine, toy_use_case: UseCase, fault: dict[str, Any], error: type[Exception]
) -> None:
    made = [row(1), row(2, **fault), row(3)]
    for write in (insert_predictions, load_predictions):
        with pytest.raises(error):
            write(database, toy_use_case, made)
        assert rows(database, f"SELECT COUNT(*) FROM {LOG}") == [(0,)]


def test_where_no_file_may_be_sent_rows_are_inserted(
    database: sa.Engine, settings: Settings, toy_use_case: UseCase
) -> None:
    careful = get_engine(settings.model_copy(update={"mariadb_local_infile": "off"}))
    assert careful is not database
    assert load_predictions(careful, toy_use_case, [row(1), row(2)]) == 2
    assert load_predictions(careful, toy_use_case, [row(2), row(3)]) == 1


def test_a_table_that_is_not_there_is_told(settings: Settings, toy_use_case: UseCase) -> None:
    with pytest.raises(SchemaMismatch, match="no table toy__prediction yet"):
        load_predictions(get_engine(settings), toy_use_case, [row(1)])
