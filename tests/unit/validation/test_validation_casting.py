"""Casting whole columns in Arrow means what casting value by value means."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evergreen.validation.casting import CastResult, to_number, to_text, to_timestamp

MANY = settings(max_examples=60)

spaces = st.sampled_from(["", "", "", " ", "\t", "\u00a0", "\u2003 ", "\x1f"])
number_texts = st.one_of(
    st.integers().map(str),
    st.integers(-(2**54), 2**54).map(str),
    st.floats().map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: f"{value:+.3E}"),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str),
    st.from_regex(r"[+-]?[0-9]{0,3}\.?[0-9]{0,3}([eE][+-]?[0-9]{0,4})?", fullmatch=True),
)
words = st.sampled_from(
    ["", "NA", "n/a", "NaN", "-nan", "nan(7)", "NULL", "None", "-", "--", "inf", "-Infinity", "1e400", "0x1F"]
) | st.sampled_from(["1_000", "1,5", "١٢", "old", "true", "1e", ".", "+", "infinit", "1 2", "9" * 400])
texts = st.tuples(spaces, st.one_of(number_texts, words, st.text(max_size=6)), spaces).map("".join)


def objects(values: list[Any]) -> np.ndarray:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def told(cast: CastResult) -> tuple[Any, ...]:
    """Type, values and faults of a cast, comparable."""
    assert cast.values.null_count == sum(value is None for value in cast.values.to_pylist())
    faults = sorted((fault.check, fault.rows.tolist()) for fault in cast.faults)
    values = [
        math.copysign(1, v) * (abs(v) + 1) if isinstance(v, float) else v for v in cast.values.to_pylist()
    ]
    assert not any(isinstance(value, float) and not math.isfinite(value) for value in values)
    return cast.values.type, values, faults


def same(cast: Callable[..., CastResult], column: pa.Array, values: list[Any], **how: Any) -> None:
    fast = told(cast(column, **how))
    assert fast == told(cast(objects(values), **how))
    # A column is the same column wherever in a larger one it stands.
    wider = pa.concat_arrays([column[:1], column, column[:1]])
    shifted = cast(wider.slice(min(1, len(column)), len(column)), **how)
    assert told(shifted) == fast


@MANY
@given(st.lists(st.none() | texts, max_size=6), st.booleans())
@example(["0x1F"], True)
@example(["nan(7)", "1"], False)
@example(["1", "9007199254740993"], True)
@example(["NA", "1.5", "old"], False)
def test_numbers_in_texts(values: list[str | None], whole: bool) -> None:
    for kind in (pa.string(), pa.large_string()):
        same(to_number, pa.array(values, kind), values, whole=whole)


@MANY
@given(st.lists(st.floats() | st.floats(width=32) | st.integers(-(2**60), 2**60).map(float)), st.booleans())
def test_floats(values: list[float], whole: bool) -> None:
    same(to_number, pa.array(values, pa.float64()), values, whole=whole)


@MANY
@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9)), st.booleans())
def test_integers(values: list[int | None], whole: bool) -> None:
    same(to_number, pa.array(values, pa.int64()), values, whole=whole)


@MANY
@given(st.lists(st.none() | st.decimals(-(10**20), 10**20, places=9)), st.booleans())
def test_decimals(values: list[Decimal | None], whole: bool) -> None:
    same(to_number, pa.array(values, pa.decimal128(38, 9)), values, whole=whole)


@MANY
@given(st.lists(st.none() | st.booleans()))
def test_booleans(values: list[bool | None]) -> None:
    same(to_number, pa.array(values, pa.bool_()), values, whole=True)
    same(to_text, pa.array(values, pa.bool_()), values, dtype="category")


@MANY
@given(st.lists(st.none() | st.tuples(spaces, st.text(max_size=5), spaces).map("".join)))
@example(["x" * 255, "ü" * 255, "ü" * 256, None])
def test_texts(values: list[str | None]) -> None:
    for dtype in ("category", "text"):
        same(to_text, pa.array(values, pa.string()), values, dtype=dtype)
    same(to_text, pa.array(values, pa.string()).dictionary_encode(), values, dtype="category")


@MANY
@given(st.lists(st.floats() | st.integers(-99, 99).map(float)), st.lists(st.none() | st.integers(-9, 99)))
def test_other_types_as_texts(floats: list[float], integers: list[int | None]) -> None:
    same(to_text, pa.array(floats, pa.float64()), floats, dtype="category")
    same(to_text, pa.array(integers, pa.int64()), integers, dtype="category")


moments = st.datetimes(
    timezones=st.none()
    | st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(minutes=330))])
)
times = st.one_of(
    moments.map(str),
    moments.map(datetime.isoformat),
    moments.map(lambda moment: moment.date().isoformat()),
    moments.map(lambda moment: moment.isoformat(timespec="minutes")),
    moments.map(lambda moment: moment.isoformat().replace("+00:00", "Z")),
    st.from_regex(r"[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9])?)?", fullmatch=True),
    st.from_regex(r"[+-]?[0-9]{4,5}[-/ .]?[0-9]{1,2}[-/ .]?[0-9]{1,2}", fullmatch=True),
    st.sampled_from(["now", "today", "", "NaT", "03/04/2026", "2026-W10-1", "20261121", "2026", "2026-02-30"])
    | st.sampled_from(["0000-01-01", "0001-01-01T00:00+05:00", "9999-12-31T23:59:59-05:00", "10000-01-01"])
    | st.sampled_from(
        ["2026-11-21T10:11:12.1234567", "2026-11-21T24:00:00", "2026-11-21T23:59:60", "2026-1-2"]
    ),
)


@MANY
@given(st.lists(st.none() | st.tuples(spaces, times, spaces).map("".join), max_size=4))
@example(["2026-11-21T10:11:12.123456789", "3000-01-01"])
@example(["\u00a02000-01-01 00:00:00"])
@example(["0000-01-01"])
def test_times_in_texts(values: list[str | None]) -> None:
    same(to_timestamp, pa.array(values, pa.string()), values)
    one_by_one = [to_timestamp(objects([value])).values[0].as_py() for value in values]
    assert to_timestamp(objects(values)).values.to_pylist() == one_by_one


@MANY
@given(
    st.lists(st.none() | st.datetimes()), st.lists(st.none() | moments.filter(lambda m: m.tzinfo is not None))
)
def test_timestamps(naive: list[datetime | None], aware: list[datetime | None]) -> None:
    same(to_timestamp, pa.array(naive, pa.timestamp("us")), naive)
    inside = [m if m and 1 < m.year < 9999 else None for m in aware]
    same(to_timestamp, pa.array(inside, pa.timestamp("us", "America/Lima")), inside)


@MANY
@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.sampled_from(["s", "ms", "us", "ns"]))
def test_any_timestamp_is_a_moment_of_mariadb_or_refused(counts: list[int], unit: str) -> None:
    cast = to_timestamp(pa.array(counts, pa.int64()).cast(pa.timestamp(unit)))
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    for count, moment in zip(counts, cast.values.to_pylist(), strict=True):
        if -62_135_596_800 <= count // per_second < 253_402_300_800:
            assert moment == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
                seconds=count // per_second, microseconds=count % per_second * 10**6 // per_second
            )
        else:
            assert moment is None
    refused = sum(moment is None for moment in cast.values.to_pylist())
    assert sum(len(fault.rows) for fault in cast.faults) == refused


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_dates_are_moments(kind: pa.DataType) -> None:
    day = datetime(2026, 11, 21, tzinfo=UTC)
    cast = to_timestamp(pa.array([day.date(), None], kind))
    assert (cast.values.to_pylist(), cast.faults) == ([day, None], ())


def test_a_date_beyond_every_calendar_is_refused() -> None:
    cast = to_timestamp(pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32()))
    assert [(fault.check, fault.rows.tolist()) for fault in cast.faults] == [
        ("is not in the years 1 to 9999", [0])
    ]


def test_validation_leaves_pyarrows_time_zones_alone() -> None:
    """Libraries for Spark set PYARROW_IGNORE_TIMEZONE, by which 10:00 in Lima becomes 10:00 UTC."""
    importlib.import_module("evergreen.validation.domains")
    assert "PYARROW_IGNORE_TIMEZONE" not in os.environ
    lima = datetime(2026, 11, 21, 10, tzinfo=timezone(timedelta(hours=-5)))
    assert to_timestamp(pa.array([lima])).values.to_pylist() == [datetime(2026, 11, 21, 15, tzinfo=UTC)]


def test_structures_are_neither_texts_nor_numbers() -> None:
    nested = pa.array([{"a": 1}, None])
    assert [fault.check for fault in to_text(nested, "text").faults] == ["is nested, not text"]
    assert [fault.check for fault in to_number(nested, whole=False).faults] == ["is not a number"]
    assert [fault.rows.tolist() for fault in to_timestamp(nested).faults] == [[0]]


def test_half_a_surrogate_pair_is_no_text() -> None:
    cast = to_text(objects(["\ud800", "fine"]), "text")
    assert [(fault.check, fault.rows.tolist()) for fault in cast.faults] == [("is not Unicode text", [0])]
    assert cast.values.to_pylist() == [None, "fine"]
