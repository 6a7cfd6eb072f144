"""Documents of dataclasses: what is written is JSON, and is read as it was, whatever version wrote it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.documents import read_document, write_document


@dataclass(frozen=True)
class Part:
    moment: datetime
    value: float | None
    kind: Literal["one", "other"] = "one"


@dataclass(frozen=True)
class Whole:
    name: str
    parts: tuple[Part, ...]
    shares: Mapping[str, float | None]
    pair: tuple[float, float] | None = None
    first: Part | None = None
    count: int = 0


NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
MOMENTS = st.datetimes(timezones=st.just(UTC))
PARTS = st.builds(Part, MOMENTS, NUMBERS, st.sampled_from(["one", "other"]))
WHOLES = st.builds(
    Whole,
    st.text(),
    st.lists(PARTS, max_size=3).map(tuple),
    st.dictionaries(st.text(), NUMBERS, max_size=3),
    st.none() | st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9)),
    st.none() | PARTS,
    st.integers(-(2**60), 2**60),
)


@given(WHOLES)
def test_a_document_is_read_as_it_was_written(whole: Whole) -> None:
    document = json.loads(json.dumps(write_document(whole), allow_nan=False))
    assert read_document(Whole, document) == whole


def test_what_is_missing_takes_its_default_and_what_is_unknown_is_left_out() -> None:
    document = {"name": "a", "parts": [], "shares": {}, "of_tomorrow": {"b": 1}}
    assert read_document(Whole, document) == Whole("a", (), {})


def test_numbers_that_are_not_finite_are_null() -> None:
    moment = datetime(2026, 7, 1, tzinfo=UTC)
    for value in (math.nan, math.inf, -math.inf, np.float64("nan")):
        document = write_document(Whole("a", (Part(moment, value),), {"b": value}))
        json.dumps(document, allow_nan=False)
        assert read_document(Whole, document) == Whole("a", (Part(moment, None),), {"b": None})


def test_moments_and_dates_are_iso_text() -> None:
    moment = datetime(2026, 7, 1, 6, 30, tzinfo=UTC)
    assert write_document(Part(moment, 1.0))["moment"] == "2026-07-01T06:30:00+00:00"

    @dataclass
    class Day:
        day: date

    assert write_document(Day(date(2026, 7, 1))) == {"day": "2026-07-01"}


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"moment": "yesterday", "value": 1.0}, "moment"),
        ({"moment": "2026-07-01T06:30:00+00:00", "value": "1"}, "value"),
        ({"moment": "2026-07-01T06:30:00+00:00", "value": 1.0, "kind": "third"}, "kind"),
        ({"moment": "2026-07-01T06:30:00+00:00"}, "value"),
    ],
)
def test_another_document_is_refused_with_the_place_of_the_fault(part: object, place: str) -> None:
    with pytest.raises(ValueError, match=place) as refusal:
        read_document(Whole, {"name": "a", "parts": [part], "shares": {}})
    assert "$.parts[0]" in str(refusal.value)


def test_what_json_does_not_have_is_refused() -> None:
    @dataclass
    class Wait:
        wait: timedelta

    with pytest.raises(TypeError, match="timedelta"):
        write_document(Wait(timedelta(1)))
