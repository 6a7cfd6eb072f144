"""The text for LOAD DATA where it differs from JSON; `test_store_load_predictions.py` has MariaDB read it."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest

from evergreen.store.predictions.load_text import format_rows


def test_a_row_is_a_line() -> None:
    at = datetime(2028, 2, 29, 23, 59, 59, 250_000)  # noqa: DTZ001  as the column holds it
    text = format_rows({"id": ["a", "b"], "at": [at, at], "number": [1, 2.5], "text": ["so, so", 'say "no"']})
    assert text.decode().splitlines() == [
        '["a","2028-02-29T23:59:59.250000",1,"so, so"]',
        '["b","2028-02-29T23:59:59.250000",2.5,"say \\"no\\""]',
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "NULL"),
        (math.nan, "NULL"),
        (-math.inf, "NULL"),
        ("null", '"null"'),
        ('",null,"', '"\\",null,\\""'),
        ("\x01\x1f", '"\x01\x1f"'),
        ("\0", '"\\0"'),
        ("\f", '"\f"'),
        (r"\f", r'"\\f"'),
        (r"\u0001", r'"\\u0001"'),
        ("\\\x01", '"\\\\\x01"'),
        ("a\tb\nc", r'"a\tb\nc"'),
        ("한", '"한"'),
    ],
)
def test_what_json_writes_otherwise(value: Any, expected: str) -> None:
    assert format_rows({"value": [value]}).decode() == f"[{expected}]\n"
    # Beside values of all other kinds.
    both = format_rows({"missing": [None], "text": ["null\x02"], "value": [value]}).decode()
    assert both == f'[NULL,"null\x02",{expected}]\n'


@pytest.mark.parametrize("value", [object(), "\ud800"])
def test_a_value_that_json_does_not_know_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, UnicodeEncodeError)):
        format_rows({"value": [value]})
