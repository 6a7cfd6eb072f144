"""Rows are counted before they are read, and read one by one: a body costs little more than its bytes."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable

import msgspec
import pytest
from pydantic import BaseModel

from evergreen.serving.fast.row_list import InvalidBody, RowList, UnreadableBody, parse_row
from evergreen.serving.guard.body_limits import ROW_BYTES
from evergreen.serving.http.first_faults import MOST_FAULTS

ROWS = RowList(3)


class Row(BaseModel):
    size: int


def check(raw_row: msgspec.Raw) -> int:
    return Row.model_validate(parse_row(raw_row)).size


def read(*rows: object) -> list[int]:
    return ROWS.read(json.dumps({"data": rows}).encode(), check)


def list_faults(call: Callable[[], object]) -> list[tuple[object, ...]]:
    with pytest.raises(InvalidBody) as caught:
        call()
    return [(fault["type"], *fault["loc"]) for fault in caught.value.faults]


def test_rows_are_read_in_their_order() -> None:
    assert read({"size": 1}, {"size": 2}, {"size": 3}) == [1, 2, 3]


def test_faults_have_their_place_and_are_not_searched_without_end() -> None:
    assert list_faults(lambda: read({"size": 1}, {"size": "x"}, {})) == [
        ("int_parsing", "body", "data", 1, "size"),
        ("missing", "body", "data", 2, "size"),
    ]
    body = json.dumps({"data": [{}] * 1000}).encode()
    assert len(list_faults(lambda: RowList(1000).read(body, check))) == MOST_FAULTS


@pytest.mark.parametrize(
    "body", [b"[]", b'{"data": {}}', b'{"data": []}', b'{"data": [1]}', b'{"data": [{}], "x": 1}']
)
def test_what_is_no_list_of_objects_is_refused(body: bytes) -> None:
    assert list_faults(lambda: ROWS.read(body, check)) == [("body", "body")]


def test_one_row_too_many_is_refused_and_braces_within_texts_are_none() -> None:
    text = json.dumps({"data": [{"note": "{" * 50}] * 3}).encode()
    ROWS.check_count(text)
    assert list_faults(lambda: ROWS.check_count(b'{"data": [{}, {}, {}, {}]}')) == [("body", "body")]
    assert list_faults(lambda: read({}, {}, {}, {})) == [("body", "body")]


def test_a_row_that_is_too_long_is_refused() -> None:
    assert list_faults(lambda: read({"size": 1}, {"x": "x" * ROW_BYTES})) == [
        ("row_too_large", "body", "data", 1)
    ]


@pytest.mark.parametrize("value", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b'"\xff"'])
def test_what_cannot_be_read_is_told_apart(value: bytes) -> None:
    with pytest.raises(UnreadableBody):
        ROWS.read(b'{"data": [{"size": ' + value + b"}]}", check)


@pytest.mark.parametrize("element", [b"{}", b"[]", b'{"size":1}', b"0"])
def test_too_many_rows_cost_no_memory(element: bytes) -> None:
    body = b'{"data": [' + (element + b",") * 1_000_000 + element + b"]}"
    tracemalloc.start()
    try:
        list_faults(lambda: ROWS.read(body, check))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
