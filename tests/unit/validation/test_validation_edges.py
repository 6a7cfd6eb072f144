"""Values at the edge of what a type can hold, objects of databases, and rows that are not labelled yet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from evergreen.usecase import UseCase
from evergreen.validation.casting import CastResult, to_number, to_text, to_timestamp
from evergreen.validation.contract import validate_part


def objects(*values: object) -> np.ndarray:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def faults(cast: CastResult) -> list[tuple[str, list[int]]]:
    return [(fault.check, fault.rows.tolist()) for fault in cast.faults]


@pytest.mark.parametrize("value", [2**53, 2**53 + 1, "9007199254740993", -(2**53)])
def test_a_whole_number_that_may_have_been_its_neighbour_is_refused(value: object) -> None:
    assert faults(to_number(objects(value), whole=True)) == [("is 2^53 or more", [0])]


def test_the_last_whole_number_that_is_certain_passes() -> None:
    cast = to_number(objects(2**53 - 1, str(1 - 2**53)), whole=True)
    assert (cast.values.to_pylist(), cast.faults) == ([2**53 - 1, 1 - 2**53], ())


@pytest.mark.parametrize("value", [10**400, "1e400", float("-inf"), "Infinity"])
def test_what_no_float_holds_is_infinite(value: object) -> None:
    assert faults(to_number(objects(value, 1), whole=False)) == [("is infinite", [0])]


def test_booleans_among_objects_are_numbers_as_elsewhere() -> None:
    cast = to_number(objects(True, False, None), whole=True)
    assert (cast.values.to_pylist(), cast.faults) == ([1, 0, None], ())


def test_a_number_among_objects_is_no_time() -> None:
    cast = to_timestamp(objects(20260101, "2026-01-01", None))
    assert faults(cast) == [("is a number, not a time", [0])]
    assert cast.values.is_null().to_pylist() == [True, False, True]


def test_bytes_are_no_text() -> None:
    assert faults(to_text(objects(b"abc", "abc"), "category")) == [("is binary, not text", [0])]


@pytest.mark.parametrize("odd", [b"web", ["web"]])
def test_a_frame_of_mixed_objects_is_judged_value_by_value(
    toy_use_case: UseCase, toy_source: Callable[..., pd.DataFrame], odd: object
) -> None:
    raw = toy_source(6).astype(object)
    raw["age"] = ["31", 32, 33.0, True, np.int64(35), "36"]
    raw.at[1, "mood"] = odd
    _, report = validate_part(toy_use_case, toy_use_case.views[0], raw)
    assert [(found.column, found.count) for found in report.errors] == [("mood", 1)], report.as_table()
    raw.at[1, "mood"] = "fine"
    frame, report = validate_part(toy_use_case, toy_use_case.views[0], raw)
    assert frame["age"].tolist() == [31.0, 32.0, 33.0, 1.0, 35.0, 36.0]


def test_a_label_row_with_neither_outcome_nor_date_is_not_known_yet(
    toy_use_case: UseCase, toy_source: Callable[..., pd.DataFrame]
) -> None:
    raw = toy_source(20).astype(object)
    raw.loc[3, ["leaves", "month"]] = None
    frame, report = validate_part(toy_use_case, toy_use_case.label, raw)
    assert report.ok, report.as_table()
    assert (report.rows, report.kept, len(frame)) == (20, 19, 19)
    assert [found.severity for found in report.failures] == ["warning"]
    raw.loc[4, "month"] = None  # an outcome without its date stays a fault
    assert not validate_part(toy_use_case, toy_use_case.label, raw)[1].ok
