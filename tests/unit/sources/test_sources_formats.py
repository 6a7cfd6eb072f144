"""Parquet and JSON lines: types kept, faults told."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.errors import SettingsError, SourceUnreadable
from evergreen.settings import Settings
from evergreen.sources.files import json_lines
from evergreen.sources.read import open_source
from evergreen.usecase import TIMELESS, FileSource


def table_of(path: Path, **declared: Any) -> pa.Table:
    settings = Settings(home=path.parent, sources={})
    (found,) = open_source(FileSource(str(path), **declared), settings, "toy", start=TIMELESS, end=TIMELESS)
    return pa.concat_tables(found.batches())


def test_parquet_keeps_its_types_and_dictionaries_become_their_values(tmp_path: Path) -> None:
    given_table = pa.table(
        {
            "n": pa.array([2**60 + 1, None], pa.int64()),
            "t": pa.array([datetime(2026, 1, 1, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
            "c": pa.array(["x", None]).dictionary_encode(),
            "s": pa.array(["x", None], pa.large_string()),
        }
    )
    pq.write_table(given_table, tmp_path / "rows.parquet")
    found = table_of(tmp_path / "rows.parquet")
    assert [str(kind) for kind in found.schema.types] == ["int64", "timestamp[us, tz=UTC]"] + ["string"] * 2
    assert found.to_pylist() == given_table.to_pylist()


def test_a_pandas_index_is_a_column_like_others(tmp_path: Path) -> None:
    # An index of evenly spaced numbers is not written as a column by pandas.
    for ids in ([9, 7, 8], [9, 7, 5]):
        frame = pa.table({"id": ids, "v": [1.0, 2.0, 3.0]}).to_pandas().set_index("id")
        frame.to_parquet(tmp_path / "rows.parquet")
        assert table_of(tmp_path / "rows.parquet").column("id").to_pylist() == ids


def test_large_rows_come_in_smaller_batches(tmp_path: Path) -> None:
    pq.write_table(pa.table({"v": ["x" * 10_000] * 5_000}), tmp_path / "rows.parquet", use_dictionary=False)
    settings = Settings(home=tmp_path, sources={})
    source = FileSource(str(tmp_path / "rows.parquet"))
    (found,) = open_source(source, settings, "toy", start=TIMELESS, end=TIMELESS)
    sizes = [batch.nbytes for batch in found.batches()]
    assert sum(sizes) > 50_000_000
    assert max(sizes) < 20_000_000


@pytest.mark.parametrize("content", [b"PAR1 and then nothing", b"a,b\n1,2\n"])
def test_a_file_that_is_not_the_parquet_it_says(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows.parquet").write_bytes(content)
    with pytest.raises(SourceUnreadable, match="not a sound Parquet file"):
        table_of(tmp_path / "rows.parquet")


def test_a_declared_format_is_heeded(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    assert table_of(path).to_pylist() == [{"a": 1}, {"a": 2}]
    assert table_of(path, format="csv").to_pylist() == [{'{"a": 1}': '{"a": 2}'}]
    with pytest.raises(SettingsError, match="excel"):
        table_of(path, format="excel")


def test_json_members_may_turn_up_late_and_times_stay_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "_BLOCK", 40)
    rows = [
        {"n": 1, "t": "2026-01-01T00:00:00+02:00"},
        {"n": None, "t": "2026-01-01"},
        {"n": 2.5, "t": None},
        {"n": 3, "late": True, "deep": {"x": [1]}},
        {},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n\n".join(map(json.dumps, rows)))
    found = table_of(path)
    assert found.schema.field("t").type == pa.string()
    assert found.to_pylist() == [
        {"n": row.get("n"), "t": row.get("t"), "late": row.get("late"), "deep": row.get("deep")}
        for row in rows
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1}\n\n{"a": "x"}\n', ["line 3", "from number to string"]),
        (b'{"a": 1}\n{"a": 2', ["line 2"]),
        (b'{"a": 1, "a": 2}\n', ["line 1", "specified twice"]),
        (b'[{"a": 1},\n{"a": 2}]\n', ["line 1", "instead of one array"]),
        (b'{"a": 1e400}\n', ["line 1", "too big"]),
        (b'{"a": "\xff"}\n', ["not utf-8", "line 1", "0xff"]),
        (b"\n \n", ["is empty"]),
    ],
)
def test_broken_json_says_what_and_where(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(SourceUnreadable) as raised:
        table_of(path)
    assert all(word in str(raised.value) for word in [str(path), *words]), str(raised.value)


def test_kinds_that_change_between_blocks_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "_BLOCK", 20)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n' * 6 + '{"a": "x"}\n')
    with pytest.raises(SourceUnreadable, match=r"int64 values under 'a' at first.*string.*line [67]"):
        table_of(path)


# Infinity and NaN are not JSON; integers beyond 64 bits are told from their neighbours by no column type.
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "whole": st.integers(-(2**63), 2**63 - 1) | st.none(),
        "number": NUMBERS | st.none(),
        "text": st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))) | st.none(),
        "😀 select": st.booleans(),
    },
)


@given(rows=st.lists(ROWS, min_size=1, max_size=20).filter(any), block=st.integers(5, 300))
def test_any_rows_are_read_back_exactly_however_they_fall_into_blocks(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lines, "_BLOCK", max(block, max(map(len, path.read_bytes().split(b"\n")))))
        found = table_of(path).to_pylist()
    assert len(found) == len(rows)
    for row, back in zip(rows, found, strict=True):
        for name, value in back.items():
            expected = row.get(name)
            if isinstance(expected, float):
                assert math.isclose(value, expected, rel_tol=0, abs_tol=0)
            else:
                assert value == expected
