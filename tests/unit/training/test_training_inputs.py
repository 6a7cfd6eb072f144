import logging

import numpy as np
import pytest

from evergreen.errors import NotEnoughData
from evergreen.training.data.checks import check_inputs


def blank(columns):
    return {
        name: np.full(len(values), np.nan) if values.dtype == np.float64 else np.full(len(values), None)
        for name, values in columns.items()
    }


def test_columns_that_tell_nothing_are_named_as_such(toy_use_case, toy_columns):
    columns, _ = toy_columns(100)
    with pytest.raises(NotEnoughData, match="no feature of toy tells anything"):
        check_inputs(toy_use_case, blank(columns))
    constant = {name: np.array([values[0]] * 100) for name, values in columns.items()}
    with pytest.raises(NotEnoughData, match="one value in all rows"):
        check_inputs(toy_use_case, constant)


def test_a_column_without_any_value_is_warned_of(toy_use_case, toy_columns, caplog):
    columns, _ = toy_columns(100)
    empty = {**columns, "age": np.full(100, np.nan), "mood": np.full(100, None)}
    with caplog.at_level(logging.WARNING, logger="evergreen.training.data.checks"):
        check_inputs(toy_use_case, empty)
    assert "no row has a value of age, mood" in caplog.text


def test_what_is_missing_in_some_rows_only_tells_something(toy_use_case, toy_columns):
    columns, _ = toy_columns(100)
    empty = blank(columns)
    empty["age"][:50] = 30.0
    check_inputs(toy_use_case, empty)
