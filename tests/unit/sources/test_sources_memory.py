"""A small file that stands for much: memory stays bounded, and what cannot be read so is refused in words."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evergreen.errors import SourceUnreadable
from evergreen.settings import Settings
from evergreen.sources.files import csv_file, json_lines, parquet
from evergreen.sources.files.column_names import MAX_COLUMNS
from evergreen.sources.read import BATCH_BYTES, BATCH_ROWS, open_source
from evergreen.usecase import TIMELESS, FileSource

MB = 1 << 20
ROWS = 65_536
# Arrow's own threads may still give memory back after a reader was left: its pool must not be gone by then.
POOLS: list[pa.MemoryPool] = []


@pytest.fixture
def pool() -> Iterator[pa.MemoryPool]:
    """Arrow's memory of this test alone, with its own peak."""
    before = pa.default_memory_pool()
    own = pa.proxy_memory_pool(before)
    POOLS.append(own)
    pa.set_memory_pool(own)
    yield own
    pa.set_memory_pool(before)


def written(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def decoded(content: bytes, rows: int = BATCH_ROWS, size: int = BATCH_BYTES) -> Iterator[pa.Table]:
    return parquet.read_batches("rows.parquet", lambda: io.BytesIO(content), rows, size)


def repeated(text: str, rows: int = ROWS) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])


@pytest.mark.parametrize("store_schema", [True, False], ids=["as_categories", "as_texts"])
def test_a_text_that_all_rows_refer_to_is_not_written_out_at_once(
    pool: pa.MemoryPool, store_schema: bool
) -> None:
    content = written(pa.table({"t": repeated("x" * 13_000)}), store_schema=store_schema)
    assert len(content) < 10_000
    rows = 0
    for batch in decoded(content):
        assert batch.nbytes <= BATCH_BYTES
        assert batch.schema.field("t").type == pa.string()
        rows += batch.num_rows
    assert rows == ROWS
    assert pool.max_memory() < 32 * MB  # 850 MB are in it


def test_texts_that_repeat_the_one_before_are_not_written_out_at_once(pool: pa.MemoryPool) -> None:
    table = pa.table({"t": ["x" * 20_000] * 10_000})
    content = written(table, use_dictionary=False, column_encoding={"t": "DELTA_BYTE_ARRAY"})
    del table
    before = pool.bytes_allocated()
    peak = 0
    assert len(content) < MB
    for batch in decoded(content):
        peak = max(peak, pool.bytes_allocated() - before)
        assert batch["t"].to_pylist() == ["x" * 20_000] * batch.num_rows
    assert peak < 80 * MB  # 200 MB are in it


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["x" * 2_000] * 10] * 10_000),
        pa.array([{"a": "x" * 20_000}] * 10_000),
        pa.array([[1] * 1_000] * 20_000),
    ],
    ids=["lists", "structs", "numbers"],
)
def test_nested_values_are_bounded_too(column: pa.Array) -> None:
    content = written(pa.table({"n": column}))
    batches = list(decoded(content))
    assert max(batch.nbytes for batch in batches) < 72 * MB  # 160 to 200 MB are in it
    assert pa.concat_tables(batches)["n"].combine_chunks().equals(column)


def test_many_columns_make_batches_of_few_rows(pool: pa.MemoryPool) -> None:
    content = written(pa.table({f"c{n}": pa.array([1] * 20_000) for n in range(300)}))
    before = pool.bytes_allocated()
    peak = max(pool.bytes_allocated() - before for _ in decoded(content))
    assert peak < 24 * MB  # 48 MB are in it


def test_rows_differ_in_size_and_a_batch_is_cut_by_its_bytes() -> None:
    sizes = [3 * MB, 10, 4 * MB, 5 * MB, 10, 10]
    texts = ["a" * size for size in sizes]
    codes = pa.array([0, 1, 2, 3, 4, 5], pa.int32())
    content = written(pa.table({"t": pa.DictionaryArray.from_arrays(codes, texts)}), store_schema=False)
    batches = list(decoded(content))
    assert pa.concat_tables(batches)["t"].to_pylist() == texts
    assert max(batch.nbytes for batch in batches) <= BATCH_BYTES + 4 * MB


@pytest.mark.parametrize("use_dictionary", [True, False])
def test_a_row_that_is_too_large_is_told_by_its_number(use_dictionary: bool) -> None:
    texts = ["small"] * 700 + ["x" * (17 * MB)] + ["small"] * 700
    content = written(pa.table({"t": texts}), use_dictionary=use_dictionary, row_group_size=500)
    with pytest.raises(SourceUnreadable, match=r"rows\.parquet: row 701 has 17\.0 MB, more than 16"):
        list(decoded(content))


_TEXTS = st.sampled_from(["", "a", "é" * 5, "long" * 30, "longer" * 300, None])
_VALUES = {
    "text": _TEXTS,
    "number": st.one_of(st.none(), st.integers(-5, 5)),
    "list": st.one_of(st.none(), st.lists(_TEXTS, max_size=3)),
    "time": st.one_of(st.none(), st.datetimes()),
}
_KINDS = {
    "text": pa.string(),
    "number": pa.int64(),
    "list": pa.list_(pa.string()),
    "time": pa.timestamp("us"),
}


@settings(max_examples=60)
@given(
    rows=st.lists(st.fixed_dictionaries(_VALUES), max_size=40),
    options=st.fixed_dictionaries(
        {
            "row_group_size": st.integers(1, 50),
            "use_dictionary": st.booleans(),
            "compression": st.sampled_from(["none", "zstd"]),
            "store_schema": st.booleans(),
            "data_page_size": st.integers(1, 2_000),
        }
    ),
    categories=st.booleans(),
    batch_rows=st.integers(1, 50),
    # The largest row has 7,225 bytes; one of more than two batches would be refused.
    batch_bytes=st.integers(4_000, 100_000),
)
@example(
    rows=[{"text": "", "number": None, "list": None, "time": None}],
    options={
        "row_group_size": 1,
        "use_dictionary": True,
        "compression": "none",
        "store_schema": False,
        "data_page_size": 1,
    },
    categories=False,
    batch_rows=1,
    batch_bytes=4_000,
)
def test_cutting_changes_no_row(
    rows: list[dict[str, Any]],
    options: dict[str, Any],
    categories: bool,
    batch_rows: int,
    batch_bytes: int,
) -> None:
    """For any table and any batch size the rows are those of a plain reader, in their order."""
    table = pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in _KINDS.items()})
    stored = table
    if categories:
        stored = table.set_column(0, "text", table["text"].dictionary_encode())
    content = written(stored, **options)
    try:
        pq.read_table(io.BytesIO(content))
    except pa.ArrowInvalid:
        # Arrow 25 writes an unsound file of missing lists in tiny pages: no row of one may be lost silently.
        with pytest.raises(SourceUnreadable, match="not a sound Parquet file"):
            list(decoded(content, batch_rows, batch_bytes))
        return
    pieces = list(decoded(content, batch_rows, batch_bytes))
    assert all(piece.num_rows <= batch_rows for piece in pieces)
    assert pa.concat_tables(pieces).combine_chunks().equals(table.combine_chunks())


def test_a_point_in_a_columns_name_and_decimals_are_no_texts_to_look_into() -> None:
    table = pa.table(
        {"a.b": ["x", "y"], "a": [{"b": "q"}, {"b": "r"}], "d": [Decimal("1.5"), Decimal("2.5")]}
    )
    assert pa.concat_tables(decoded(written(table))).equals(table)


@pytest.fixture
def python_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def _zstd(data: bytes) -> bytes:
    file = io.BytesIO()
    with pa.CompressedOutputStream(pa.PythonFile(file, "w"), "zstd") as stream:
        stream.write(data)
        stream.flush()
        return file.getvalue()


@pytest.mark.usefixtures("python_memory")
@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, _zstd])
@pytest.mark.parametrize(
    ("name", "start"), [("rows.csv", b"a,b\n1,"), ("rows.jsonl", b'{"a": "')], ids=["csv", "json"]
)
def test_a_compressed_row_without_an_end_is_refused_in_bounded_memory(
    tmp_path: Path, pool: pa.MemoryPool, compress: Any, name: str, start: bytes
) -> None:
    content = compress(start + b"1" * (96 * MB))
    assert len(content) < MB
    (tmp_path / name).write_bytes(content)
    tracemalloc.reset_peak()
    with pytest.raises(SourceUnreadable, match="more than"):
        everything(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 56 * MB
    assert pool.max_memory() < 40 * MB


def everything(path: Path) -> int:
    own = Settings(home=path.parent, sources={})
    (found,) = open_source(FileSource(str(path)), own, "toy", start=TIMELESS, end=TIMELESS)
    return sum(batch.num_rows for batch in found.batches())


def test_xz_data_may_not_ask_for_gigabytes(tmp_path: Path) -> None:
    dear = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3}]
    header = lzma.compress(b"a\n1\n", filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}])
    assert header  # a sound one is read
    (tmp_path / "sound").write_bytes(header)
    assert everything(tmp_path / "sound") == 1
    (tmp_path / "rows").write_bytes(_asking_for(header, dear[0]["dict_size"]))
    with pytest.raises(SourceUnreadable, match="limit") as caught:
        everything(tmp_path / "rows")
    assert "xz -9" in caught.value.hint
    # A later stream that asks for as much is no garbage behind the first one: its rows would be lost.
    (tmp_path / "rows").write_bytes(header + _asking_for(lzma.compress(b"2\n3\n"), dear[0]["dict_size"]))
    with pytest.raises(SourceUnreadable, match="limit"):
        everything(tmp_path / "rows")


def _asking_for(content: bytes, size: int) -> bytes:
    """The same xz data with another size of the dictionary in its block header."""
    import zlib

    length = (content[12] + 1) * 4
    block = bytearray(content[12 : 12 + length])
    at = block.index(bytes([0x21, 0x01])) + 2
    block[at] = next(bits for bits in range(40) if (2 | bits & 1) << (bits // 2 + 11) >= size)
    block[-4:] = zlib.crc32(block[:-4]).to_bytes(4, "little")
    return content[:12] + bytes(block) + content[12 + length :]


@pytest.mark.parametrize("padding", [b"", b"\0" * 4, b"\0" * (1 << 20)])
def test_xz_streams_follow_one_another(tmp_path: Path, padding: bytes) -> None:
    parts = [lzma.compress(b"a,b\n1,2\n"), padding, lzma.compress(b"3,4\n" * 500_000), padding]
    (tmp_path / "rows").write_bytes(b"".join(parts))
    assert everything(tmp_path / "rows") == 500_001
    (tmp_path / "rows").write_bytes(b"".join(parts)[:-20] if not padding else b"".join(parts[:3])[:-20])
    with pytest.raises(SourceUnreadable, match="not sound xz data"):
        everything(tmp_path / "rows")


def test_a_member_of_its_own_in_each_line_makes_no_square_of_memory(pool: pa.MemoryPool) -> None:
    text = "".join(f'{{"k{number}": 1}}\n' for number in range(400))
    text += "{}\n" * 80_000
    found = json_lines.read_batches("rows.jsonl", lambda: io.BytesIO(text.encode()))
    assert sum(batch.num_rows for batch in found) == 80_400
    assert pool.max_memory() < 96 * MB  # 80,400 rows of 400 numbers are 260 MB


@pytest.mark.parametrize("separator", ["}\n{", ", "], ids=["over_lines", "in_one_line"])
def test_more_members_than_columns_may_be_are_refused(separator: str) -> None:
    text = "{" + separator.join(f'"{number:x}":{{}}' for number in range(5_100)) + "}\n"
    with pytest.raises(SourceUnreadable, match="more than 5,000 columns"):
        list(json_lines.read_batches("rows.jsonl", lambda: io.BytesIO(text.encode())))


def test_more_columns_than_there_may_be_are_refused() -> None:
    text = ",".join(f"{number:x}" for number in range(MAX_COLUMNS + 1)) + "\n"
    with pytest.raises(SourceUnreadable, match="more than 50,000 columns"):
        list(csv_file.read_batches("rows.csv", lambda: io.BytesIO(text.encode())))


def test_ten_thousand_columns_of_a_csv_are_read_in_bounded_memory(pool: pa.MemoryPool) -> None:
    text = ",".join(f"c{number}" for number in range(10_000)) + "\n" + ("1," * 9_999 + "1\n") * 100
    found = csv_file.read_batches("rows.csv", lambda: io.BytesIO(text.encode()))
    assert sum(batch.num_rows for batch in found) == 100
    assert pool.max_memory() < 64 * MB
