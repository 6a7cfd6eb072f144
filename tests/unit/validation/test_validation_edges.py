"""Values at the edge of what a type can hold, objects of databases, and rows that are not labelled yet."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from evergreen.usecase import UseCase
from evergreen.validation.casting import to_moment, to_number, to_text
from evergreen.validation.contract import validate


def objects(*values: object) -> pd.Series:
    return pd.Series(list(values), dtype=object)


@pytest.mark.parametrize("value", [2**53, 2**53 + 1, "9007199254740993", -(2**53)])
def test_a_whole_number_that_may_have_been_its_neighbour_is_refused(value: object) -> None:
    _, failures = to_number(objects(value), "key", whole=True)
    assert [found.check for found in failures] == ["is 2^53 or more"]


def test_the_last_whole_number_that_is_certain_passes() -> None:
    numbers, failures = to_number(objects(2**53 - 1, str(1 - 2**53)), "key", whole=True)
    assert failures == []
    assert [int(number) for number in numbers] == [2**53 - 1, 1 - 2**53]


def test_booleans_among_objects_are_numbers_as_elsewhere() -> None:
    numbers, failures = to_number(objects(True, False, None), "flag", whole=True)
    assert failures == []
    assert numbers.tolist()[:2] == [1.0, 0.0]
    assert pd.isna(numbers[2])


def test_a_number_among_objects_is_no_time() -> None:
    moments, failures = to_moment(objects(20260101, "2026-01-01", None), "month")
    assert [(found.check, found.count) for found in failures] == [("is a number, not a time", 1)]
    assert moments.isna().all()


def test_bytes_are_no_text() -> None:
    _, failures = to_text(objects(b"abc", "abc"), "mood", "category")
    assert [(found.check, found.count) for found in failures] == [("is binary, not text", 1)]


def test_a_label_row_with_neither_outcome_nor_date_is_not_known_yet(
    toy_use_case: UseCase, toy_source: Callable[..., pd.DataFrame]
) -> None:
    raw = toy_source(20).astype(object)
    raw.loc[3, ["leaves", "month"]] = None
    frame, report = validate(toy_use_case, toy_use_case.label, raw)
    assert report.ok, report.as_table()
    assert (report.rows, report.kept, len(frame)) == (20, 19, 19)
    assert [found.severity for found in report.failures] == ["warning"]
    raw.loc[4, "month"] = None  # an outcome without its date stays a fault
    assert not validate(toy_use_case, toy_use_case.label, raw)[1].ok
