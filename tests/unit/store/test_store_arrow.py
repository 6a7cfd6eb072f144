"""Digests of Arrow tables, and SQL text of keys."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.errors import StoreError
from evergreen.store.connection.arrow import MOMENT, digest_table, flatten_column, format_sql_literal
from evergreen.store.tables.frames import to_frame

texts = st.one_of(st.none(), st.text(max_size=6))
doubles = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
wholes = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
moments = st.one_of(st.none(), st.integers(-(10**15), 10**15))
rows = st.lists(st.tuples(texts, doubles, wholes, moments), max_size=12)


def table(found: list[Any], cuts: list[int]) -> pa.Table:
    columns = list(zip(*found, strict=True)) if found else [(), (), (), ()]
    whole = pa.table(
        {
            "t": pa.array(columns[0], pa.string()),
            "f": pa.array(columns[1], pa.float64()),
            "i": pa.array(columns[2], pa.int64()),
            "m": pa.array(columns[3], MOMENT),
        }
    )
    bounds = [0, *sorted(min(cut, len(found)) for cut in cuts), len(found)]
    slices = [whole.slice(a, b - a) for a, b in pairwise(bounds)]
    return pa.concat_tables(slices) if slices else whole


@settings(max_examples=150)
@given(found=rows, cuts=st.lists(st.integers(0, 12), max_size=4))
def test_a_digest_does_not_depend_on_chunks_or_the_width_of_texts(found: list[Any], cuts: list[int]) -> None:
    whole = table(found, [])
    assert digest_table(table(found, cuts)) == digest_table(whole)
    wide = whole.set_column(0, "t", whole["t"].cast(pa.large_string()))
    assert digest_table(wide) == digest_table(whole)


@settings(max_examples=150)
@given(found=rows.filter(bool), other=st.tuples(texts, doubles, wholes, moments), place=st.integers(0, 11))
def test_a_digest_tells_every_value(found: list[Any], other: tuple[Any, ...], place: int) -> None:
    place %= len(found)
    changed = [*found[:place], other, *found[place + 1 :]]
    assert (digest_table(table(changed, [])) == digest_table(table(found, []))) == (changed == found)


def test_a_digest_tells_names_types_order_and_missing_values() -> None:
    base = pa.table({"a": pa.array([0.0, 1.0]), "b": pa.array(["", None])})
    others = [
        base.rename_columns(["a", "c"]),
        base.select(["b", "a"]),
        base.take([1, 0]),
        base.slice(0, 1),
        base.set_column(0, "a", pa.array([0, 1])),
        base.set_column(0, "a", pa.array([None, 1.0])),
        base.set_column(1, "b", pa.array([None, ""])),
        base.set_column(1, "b", pa.array(["", ""])),
    ]
    assert len({digest_table(found) for found in (base, *others)}) == len(others) + 1
    assert digest_table(base.set_column(0, "a", pa.array([-0.0, 1.0]))) == digest_table(base)


def test_another_process_finds_the_same_digest() -> None:
    code = (
        "import pyarrow as pa; from evergreen.store.connection.arrow import digest_table;"
        "print(digest_table(pa.table({'a': pa.array([1.5, None]), 'b': pa.array(['ü', None])})))"
    )
    # In ASCII: an argument is in the encoding of the locale.
    command = [sys.executable, "-c", code.replace("ü", "\\xfc")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.strip() == digest_table(pa.table({"a": pa.array([1.5, None]), "b": pa.array(["ü", None])}))
    assert len(told.strip()) == len(hashlib.sha256().hexdigest())


def test_keys_and_moments_as_sql_text() -> None:
    assert format_sql_literal(-7) == "-7"
    assert format_sql_literal(np.int64(7)) == "7"
    assert format_sql_literal(None) == "NULL"
    assert format_sql_literal("'; DROP") == "_utf8mb4 X'273b2044524f50' COLLATE utf8mb4_nopad_bin"
    assert (
        format_sql_literal(datetime(2026, 1, 2, 3, 4, 5, 6, UTC)) == "TIMESTAMP '2026-01-02 03:04:05.000006'"
    )
    assert format_sql_literal(datetime(2026, 1, 2, tzinfo=UTC)) == "TIMESTAMP '2026-01-02 00:00:00.000000'"
    with pytest.raises(StoreError, match="no time zone"):
        format_sql_literal(datetime(2026, 1, 2))  # noqa: DTZ001


def test_flat_makes_one_array() -> None:
    assert flatten_column(pa.chunked_array([["a"], ["b"]])).to_pylist() == ["a", "b"]
    assert flatten_column(pa.chunked_array([], pa.string())).to_pylist() == []


def test_a_frame_of_a_table_has_the_shared_dtypes() -> None:
    found = table([("x", 1.5, 3, 0), (None, None, None, 1)], [1]).append_column("key", pa.array([1, 2]))
    frame = to_frame(found, ["key"])
    assert [str(dtype) for dtype in frame.dtypes] == [
        *("object", "float64", "float64", "datetime64[us, UTC]", "int64")
    ]
    assert frame["t"].tolist() == ["x", None]
    np.testing.assert_array_equal(frame["i"], [3.0, np.nan])
    frame.loc[0, "f"] = 2.0  # a frame's owner may write
    assert found["f"][0].as_py() == 1.5
